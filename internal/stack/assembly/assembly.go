// Package assembly reads cloud assemblies: the folder, usually cdk.out, in which
// `cdk synth` leaves templates and the files that they need. It runs nothing.
//
// Source: the CDK's cloud assembly and asset manifest schemas
// (aws-cdk-lib/cloud-assembly-schema).
package assembly

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// manifest is the file that makes a folder an assembly.
	manifest = "manifest.json"
	// maxBytes bounds every file that is read: templates may have 1 MB on AWS, and
	// manifests list what the templates hold.
	maxBytes = 16 << 20
	// maxDepth bounds assemblies in assemblies: the CDK's stages.
	maxDepth = 16
	// maxStacks bounds what one assembly may hold, its nested ones included.
	maxStacks = 1000
)

// ErrNone says that a folder is no cloud assembly.
var ErrNone = errors.New("no cloud assembly")

// ErrChoice says that the stacks of an assembly don't include the one asked for,
// or that it must be said which one is meant.
var ErrChoice = errors.New("no one stack to run")

// An Assembly is what one `cdk synth` wrote, with the assemblies inside it.
type Assembly struct {
	Dir    string // absolute
	Stacks []Stack
	// Files are the manifests and templates that were read, absolute: when one of
	// them changes the assembly was synthesized anew.
	Files []string
}

// A Stack is one stack of an assembly.
type Stack struct {
	ID       string // its path in the app, such as Prod/Chat
	Name     string // the CloudFormation stack's
	Template string // absolute path
	// Region and Account are those the stack was synthesized for; empty when it is
	// for any.
	Region, Account string
	// WebSocket says that the template has a WebSocket API.
	WebSocket bool
}

// Is reports whether a folder is a cloud assembly.
func Is(dir string) bool {
	var m manifestFile
	return read(filepath.Join(dir, manifest), &m) == nil && m.Version != "" && m.Artifacts != nil
}

type manifestFile struct {
	Version   string
	Artifacts map[string]struct {
		Type        string
		Environment string
		DisplayName string
		Properties  struct {
			TemplateFile  string
			StackName     string
			DirectoryName string
		}
	}
}

// Open reads the assembly in a folder. The error is ErrNone when there is none,
// otherwise it names the file that can't be read.
func Open(dir string) (*Assembly, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if !Is(dir) {
		return nil, fmt.Errorf("%w in %s", ErrNone, dir)
	}
	a := &Assembly{Dir: dir}
	if err := a.add(dir, 0); err != nil {
		return nil, err
	}
	slices.SortFunc(a.Stacks, func(x, y Stack) int { return strings.Compare(x.ID, y.ID) })
	return a, nil
}

// add reads the manifest of one folder, and those of the assemblies in it.
func (a *Assembly) add(dir string, depth int) error {
	path := filepath.Join(dir, manifest)
	if depth > maxDepth {
		return fmt.Errorf("%s: assemblies nest more than %d deep", path, maxDepth)
	}
	var m manifestFile
	if err := read(path, &m); err != nil {
		return err
	}
	a.Files = append(a.Files, path)
	for id, artifact := range m.Artifacts {
		switch artifact.Type {
		case "cdk:cloud-assembly":
			nested, err := inside(path, dir, artifact.Properties.DirectoryName)
			if err == nil {
				err = a.add(nested, depth+1)
			}
			if err != nil {
				return err
			}
		case "aws:cloudformation:stack":
			template, err := inside(path, dir, artifact.Properties.TemplateFile)
			if err != nil {
				return err
			}
			s := Stack{ID: artifact.DisplayName, Name: artifact.Properties.StackName, Template: template}
			if i := strings.Index(s.ID, " ("); i > 0 { // Prod/Chat (prod-chat): path, then name
				s.ID = s.ID[:i]
			}
			if s.ID == "" {
				s.ID = id
			}
			if s.Name == "" {
				s.Name = id
			}
			s.Account, s.Region = environment(artifact.Environment)
			if s.WebSocket, err = hasWebSocket(template); err != nil {
				return err
			}
			if a.Stacks = append(a.Stacks, s); len(a.Stacks) > maxStacks {
				return fmt.Errorf("%s: more than %d stacks", path, maxStacks)
			}
			a.Files = append(a.Files, template)
		}
	}
	return nil
}

// inside joins a name that a manifest gives with the manifest's folder, out of
// which it must not lead.
func inside(from, dir, name string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", fmt.Errorf("%s names the file %q, which is not in its folder", from, name)
	}
	return filepath.Join(dir, filepath.FromSlash(name)), nil
}

// environment splits aws://account/region.
func environment(s string) (account, region string) {
	account, region, _ = strings.Cut(strings.TrimPrefix(s, "aws://"), "/")
	if len(account) != 12 || strings.Trim(account, "0123456789") != "" { // unknown-account: any
		account = ""
	}
	if region == "unknown-region" {
		region = ""
	}
	return account, region
}

// hasWebSocket tells whether a template makes a WebSocket API.
func hasWebSocket(template string) (bool, error) {
	var t struct {
		Resources map[string]struct {
			Type       string
			Properties json.RawMessage
		}
	}
	if err := read(template, &t); err != nil {
		return false, err
	}
	for _, r := range t.Resources {
		var p struct{ ProtocolType any }
		if r.Type == "AWS::ApiGatewayV2::Api" && json.Unmarshal(r.Properties, &p) == nil && p.ProtocolType == "WEBSOCKET" {
			return true, nil
		}
	}
	return false, nil
}

// Choose returns the stack of that id or name; with the name "" the only stack,
// or the only one that has a WebSocket API. The error, an ErrChoice, lists the
// stacks.
func (a *Assembly) Choose(name string) (Stack, error) {
	var fit []Stack
	for _, s := range a.Stacks {
		if name != "" && (s.Name == name || s.ID == name) || name == "" && (s.WebSocket || len(a.Stacks) == 1) {
			fit = append(fit, s)
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	var lines []string
	for _, s := range a.Stacks {
		line := "  " + s.Name
		if s.ID != s.Name {
			line += " (" + s.ID + ")"
		}
		if s.WebSocket {
			line += ", with a WebSocket API"
		}
		lines = append(lines, line)
	}
	var what string
	switch {
	case len(a.Stacks) == 0:
		return Stack{}, fmt.Errorf("%w: the cloud assembly %s has no stack", ErrChoice, a.Dir)
	case name != "":
		what = fmt.Sprintf("has no stack %q", name)
		if len(fit) > 1 {
			what = fmt.Sprintf("has several stacks %q", name)
		}
	case len(fit) == 0:
		what = "has several stacks, none with a WebSocket API"
	default:
		what = "has several stacks with a WebSocket API"
	}
	return Stack{}, fmt.Errorf("%w: the cloud assembly %s %s; choose one with --stack-name:\n%s", ErrChoice, a.Dir, what, strings.Join(lines, "\n"))
}

// read decodes a JSON file within maxBytes.
func read(path string, into any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return fmt.Errorf("%s is no file of at most %d bytes", path, maxBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
