// Package stack turns a SAM or CloudFormation template into a running stack:
// it reads the template, expands what SAM adds, plans the difference to what
// is recorded, and calls the same AWS-shaped APIs that anyone can call. It is
// a client and holds no server code.
//
// The steps, each in its files: a template is read with the place of every
// value (template.go, value.go), parameters, conditions and static intrinsic
// functions are evaluated (parameter.go, intrinsic.go), SAM types become plain
// CloudFormation types (sam.go, policy.go), every resource is held against
// what Tidegate knows of its type (schema.go, resource_*.go), the resources
// are put in order (graph.go), compared with the record (plan.go) and applied
// (apply.go, client.go).
//
// Sources: the CloudFormation user guide's template and resource reference,
// and the SAM specification.
package stack

import (
	"fmt"
	"maps"
	"os"
	"sort"
	"strings"

	"tidegate/internal/stack/assembly"
)

// Bounds on a template. CloudFormation's own are 1 MB and 500 resources.
const (
	MaxTemplateBytes = 1 << 20
	MaxResources     = 500
	maxDepth         = 100     // nested lists and maps
	maxValues        = 200_000 // values after aliases are expanded
	maxTextBytes     = 4 << 20 // a text that intrinsic functions build
)

// Where a template runs that doesn't say.
const (
	fallbackRegion  = "us-east-1"
	fallbackAccount = "000000000000"
)

// Options are what a template is read with. The zero value reads it for
// account 000000000000 in us-east-1.
type Options struct {
	// Parameters are the overrides, by parameter name. Names that the template
	// doesn't declare are errors.
	Parameters map[string]string
	// Defaults are overrides of lower rank, from a configuration file that may
	// serve other templates too: names that the template doesn't declare are noted.
	Defaults map[string]string
	// Variables are values of functions' environment variables, by logical id or
	// name of the function and variable; the section Parameters is for all. Only
	// variables that the template declares get them.
	Variables map[string]map[string]string
	// Blanks are values of environment variables that the template leaves empty or
	// that Tidegate has but a placeholder for.
	Blanks map[string]string
	// StackName defaults to the name of the template's folder, made fit for
	// CloudFormation.
	StackName string
	// Stage is that of a serverless.yml; empty means the one that it names.
	Stage string
	// Region is the one asked for; empty means that the template's is taken, if it
	// says one, else DefaultRegion.
	Region        string
	DefaultRegion string
	// Account is the one asked for; empty means the one that a cloud assembly was
	// synthesized for, else 000000000000.
	Account string
	// Prune deletes tables whose resource left the template or must be replaced;
	// without it they are kept, with their items, unless their DeletionPolicy is
	// Delete.
	Prune bool
	// NoBuild has functions run what lies in their folders, as it is.
	NoBuild bool
	// Strict makes an error of every resource that would become a placeholder
	// and of every event that Tidegate has no source for.
	Strict bool
}

// A Stack is a template that was read, expanded and checked, ready to be
// planned and applied. It is not changed afterwards and may be used by several
// goroutines.
type Stack struct {
	Name    string
	Region  string
	Account string
	Path    string // of the template, absolute
	Home    string // the project's folder, absolute: where its data lies
	// Files are what the template was made from, absolute: when one of them
	// changes, so may the stack.
	Files       []string
	Prune       bool // see Options
	Description string
	// Notes are what a person should know although it is no error: resources of
	// services that Tidegate lacks, properties without effect.
	Notes []Note

	assets    assembly.Assets
	noBuild   bool
	env       *environment
	resources []*resource // in the template's order, SAM's additions after their source
	byID      map[string]*resource
	order     []*resource // in the order in which they are made
	outputs   []output
	variables map[string]map[string]string // see Options
	blanks    map[string]string
	made      map[string]*resource // what SAM added
}

// An output is a value that the template names.
type output struct {
	name  string
	value *value
}

// Load reads the template at path, expands and checks it, without touching the
// network: a CloudFormation or SAM template, a serverless.yml, or a folder that
// `cdk synth` wrote.
// What is wrong with the template comes back as Diagnostics, all of it together;
// a file that can't be read is another error.
func Load(path string, opts Options) (*Stack, error) {
	o, err := openOrigin(path, &opts)
	if err != nil {
		return nil, err
	}
	data, err := readTemplate(o.path)
	if err != nil {
		return nil, err
	}
	return o.load(data, opts)
}

// readTemplate reads the file, within MaxTemplateBytes.
func readTemplate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("template %s is a folder; name the template file in it", path)
	}
	if info.Size() > MaxTemplateBytes {
		return nil, fmt.Errorf("template %s has %d bytes; at most %d are read, as CloudFormation does", path, info.Size(), MaxTemplateBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return data, nil
}

// load is Load on bytes that came from the origin.
func (o *origin) load(data []byte, opts Options) (*Stack, error) {
	if opts.Region == "" {
		opts.Region = opts.DefaultRegion
	}
	if opts.Region == "" {
		opts.Region = fallbackRegion
	}
	if opts.Account == "" {
		opts.Account = fallbackAccount
	}
	r := &reporter{file: o.sources(), strict: opts.Strict}
	if problem := checkStackName(opts.StackName); problem != "" {
		return nil, fmt.Errorf("stack name %q: %s", opts.StackName, problem)
	}
	root := o.root(data, r)
	if err := r.err(); err != nil {
		return nil, err
	}
	s := &Stack{Name: opts.StackName, Region: opts.Region, Account: opts.Account, Path: o.path, Home: o.home, Files: o.files,
		Prune: opts.Prune, noBuild: opts.NoBuild, assets: o.assets, variables: opts.Variables, blanks: opts.Blanks, byID: map[string]*resource{}}
	root = s.expand(root, opts, r)
	if err := r.err(); err != nil {
		return nil, err
	}
	t := readSections(root, r)
	s.Description = t.description
	s.env = newEnvironment(s, t, opts.overrides(), r)
	t.checkRules(s.env, r)
	s.resources = t.selectResources(s.env, r)
	s.resources = expandSAM(s, t, s.resources, r)
	r.trace(s.resources)
	s.made = r.made
	if len(s.resources) > MaxResources {
		r.errorf(place{line: 1, column: 1}, "the template makes %d resources; CloudFormation allows %d", len(s.resources), MaxResources)
	}
	for _, res := range s.resources {
		s.byID[res.id] = res
	}
	s.markStandIns(r)
	t.checkReferences(s, r)
	for _, res := range s.resources {
		res.check(r)
	}
	s.outputs = t.readOutputs(s, r)
	s.order = sortResources(s, r)
	for _, res := range s.resources {
		switch res.typ {
		case "AWS::Lambda::Function":
			res.code = s.readCode(res, r)
			s.noteForeignLayers(res, r)
		case "AWS::Lambda::LayerVersion":
			res.code = s.readLayer(res, r)
		}
	}
	s.noteOpt(r)
	s.checkVariables(r)
	s.env.checkOverrides(t.parameters, opts, r)
	s.Notes = r.sortedNotes()
	if err := r.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// overrides are Parameters over Defaults.
func (o Options) overrides() map[string]string {
	all := maps.Clone(o.Defaults)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, o.Parameters)
	return all
}

// expand includes files and repeats loops, which may stand anywhere in a
// template, before anything of it is read.
func (s *Stack) expand(root *value, opts Options, r *reporter) *value {
	loops := false
	root.eachMember(func(m member) { loops = loops || strings.HasPrefix(m.name, loopPrefix) })
	transform := root.get("Transform")
	if !loops && !root.hasMember("Fn::Transform") && !transform.hasMember("Name") {
		return root
	}
	quiet := &reporter{file: r.file} // the same is told when the sections are read
	t := readSections(root, quiet)
	env := newEnvironment(s, t, opts.overrides(), quiet)
	x := &includer{e: &evaluator{env: env, r: r}, s: s, r: r}
	root = x.include(root, place{})
	if transform.hasMember("Name") {
		root = x.includeAtRoot(root, transform)
	}
	if !loops {
		return root
	}
	if !t.extended {
		r.report(place{property: "Transform"}.at(root), "add Transform: "+extensionsTransform, "Fn::ForEach needs the transform %s", extensionsTransform)
		return root
	}
	l := &looper{e: &evaluator{env: env, r: r}, r: r, budget: maxValues}
	return l.unroll(root, nil, place{})
}

// reporter returns one that names what the template's author wrote.
func (s *Stack) reporter() *reporter { return &reporter{file: s.env.file, made: s.made} }

// Validate checks again what may have changed since Load: that the folders and
// files of the functions' code are there. It doesn't touch the network.
func (s *Stack) Validate() error {
	r := s.reporter()
	for _, res := range s.resources {
		switch res.typ {
		case "AWS::Lambda::Function":
			s.readCode(res, r)
		case "AWS::Lambda::LayerVersion":
			s.readLayer(res, r)
		}
	}
	return r.err()
}

// A Function is one function of the stack and where its code lies.
type Function struct {
	LogicalID string
	Name      string
	Handler   string
	Runtime   string
	// Folder is the absolute path of the folder that holds the code; empty for
	// inline code and zip files.
	Folder string
	// File is the absolute path of the zip file that holds the code, if any.
	File string
}

// Functions lists the stack's functions by logical id. Values that are known
// only after other resources exist are empty.
func (s *Stack) Functions() []Function {
	var fs []Function
	for _, r := range s.resources {
		if r.typ != "AWS::Lambda::Function" {
			continue
		}
		f := Function{LogicalID: r.id, Name: s.plannedName(r)}
		f.Handler, _ = r.properties.get("Handler").scalar()
		f.Runtime, _ = r.properties.get("Runtime").scalar()
		if r.code != nil {
			f.Folder, f.File = r.code.folder, r.code.file
		}
		fs = append(fs, f)
	}
	sort.Slice(fs, func(i, j int) bool { return fs[i].LogicalID < fs[j].LogicalID })
	return fs
}

// Folders lists the code folders of the stack's functions, sorted, each once.
func (s *Stack) Folders() []string {
	seen := map[string]bool{}
	var folders []string
	for _, f := range s.Functions() {
		if f.Folder != "" && !seen[f.Folder] {
			seen[f.Folder] = true
			folders = append(folders, f.Folder)
		}
	}
	sort.Strings(folders)
	return folders
}

// stackNameOf makes a CloudFormation stack name out of a folder's name.
func stackNameOf(folder string) string {
	var b strings.Builder
	for _, c := range folder {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			b.WriteRune(c)
		default:
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" {
		return "stack"
	}
	if name[0] >= '0' && name[0] <= '9' {
		name = "stack-" + name
	}
	if len(name) > 128 {
		name = strings.TrimRight(name[:128], "-")
	}
	return name
}

// checkStackName returns what is wrong with a stack's name, or "".
func checkStackName(name string) string {
	if name == "" || len(name) > 128 {
		return "it must have 1 to 128 characters"
	}
	if c := name[0] | 0x20; c < 'a' || c > 'z' {
		return "it must begin with a letter"
	}
	for _, c := range name {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return "only letters, digits and hyphens are allowed"
		}
	}
	return ""
}
