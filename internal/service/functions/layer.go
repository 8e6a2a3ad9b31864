package functions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/pattern"
)

// layerPrefix begins the bucket's keys of layer versions: layers/NAME/NUMBER.
const layerPrefix = "layers/"

// maxLayers is how many a function may have.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxLayers = 5

// A layer is one version of a layer, as the bucket keeps it. It is never changed
// but to mark it deleted, which it stays so that its number isn't given out again.
type layer struct {
	Name                    string
	Version                 int
	Description, License    string   `json:",omitempty"`
	Runtimes, Architectures []string `json:",omitempty"`
	Code                    code
	Created                 time.Time
	Deleted                 bool `json:",omitempty"`
}

var (
	layerNamePattern = pattern.New(`^[a-zA-Z0-9-_]{1,140}$`)
	layerARNPattern  = pattern.New(`^arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]{1,140})(?::(\d{1,9}))?$`)
)

func (l *layer) bucketKey() string { return layerPrefix + l.Name + "/" + strconv.Itoa(l.Version) }

func (s *Service) layerARN(name string) string {
	return "arn:aws:lambda:" + s.cfg.Region + ":" + s.cfg.Account + ":layer:" + name
}

func (s *Service) layerVersionARN(l *layer) string {
	return s.layerARN(l.Name) + ":" + strconv.Itoa(l.Version)
}

// layerDir is where the layer's files are, as they were given.
func (s *Service) layerDir(l *layer) string {
	if l.Code.Folder != "" {
		return l.Code.Folder
	}
	return filepath.Join(s.cfg.Dir, "layers", l.Name, l.Code.Dir)
}

// layerOf returns the layer version of an ARN; a deleted one serves the
// functions that have it. Nil when there is none.
func (s *Service) layerOf(arn string) *layer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.layers[arn]
}

// layersOf returns the versions of a layer, the newest first, deleted ones too.
func (s *Service) layersOf(name string) []*layer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*layer
	for _, l := range s.layers {
		if l.Name == name {
			out = append(out, l)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Version > out[j].Version })
	return out
}

// buildsLayers says whether one of the function's layers is built here.
func (s *Service) buildsLayers(fn *function) bool {
	return slices.ContainsFunc(fn.Layers, func(arn string) bool {
		l := s.layerOf(arn)
		return l != nil && l.Code.Build != nil
	})
}

// checkLayers refuses layers that a function can't have.
func (s *Service) checkLayers(arns []string) error {
	if len(arns) > maxLayers {
		return invalidParameter(fmt.Sprintf("Cannot reference more than %d layers.", maxLayers))
	}
	seen := map[string]bool{}
	for _, arn := range arns {
		m := layerARNPattern.FindStringSubmatch(arn)
		switch {
		case m == nil || m[4] == "":
			return constraint(arn, "layers", `Member must satisfy regular expression pattern: arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+`)
		case m[1] != s.cfg.Region || m[2] != s.cfg.Account:
			return invalidParameter(fmt.Sprintf("Layer %s belongs to another account or region, from which Tidegate fetches nothing: publish what it holds as a layer here, or leave it out.", arn))
		case seen[m[3]]:
			return invalidParameter(fmt.Sprintf("Two different versions of the same layer are not allowed to be referenced in the same function. %s", arn))
		}
		seen[m[3]] = true
		if l := s.layerOf(arn); l == nil || l.Deleted {
			return invalidParameter(fmt.Sprintf("Layer version %s does not exist.", arn))
		}
	}
	return nil
}

// layerSources lists the files of the function's layers that may change, which are
// those in folders.
func (s *Service) layerSources(fn *function) []sourceFile {
	var files []sourceFile
	for _, arn := range fn.Layers {
		if l := s.layerOf(arn); l != nil && l.Code.Folder != "" {
			if l.Code.Build != nil {
				files = append(files, withFolders(everyFile(l.Code.Folder))...)
				continue
			}
			files = append(files, listFiles(l.Code.Folder, true)...)
			files = append(files, stamp(filepath.Join(l.Code.Folder, "nodejs", "node_modules", ".package-lock.json")))
		}
	}
	return files
}

// opt returns the folder that is /opt to the function: that of its only layer, or
// one in which its layers lie over each other, the last on top. It is empty
// without layers.
func (s *Service) opt(fn *function) (string, error) {
	var dirs []string
	h := sha256.New()
	for _, arn := range fn.Layers {
		l := s.layerOf(arn)
		if l == nil {
			return "", fmt.Errorf("the layer %s is gone", arn)
		}
		dir := s.layerDir(l)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return "", fmt.Errorf("the folder %s of the layer %s is gone; put it back", dir, arn)
		}
		if made := s.builtLayer(l); made != nil {
			if !made.usable {
				return "", fmt.Errorf("the layer %s: %w", arn, made.err)
			}
			dir = made.dir
		}
		dirs = append(dirs, dir)
		fmt.Fprintf(h, "%s %s\n", arn, dir)
	}
	if len(dirs) < 2 {
		return strings.Join(dirs, ""), nil
	}
	for _, f := range s.layerSources(fn) {
		fmt.Fprintf(h, "%s %d %d\n", f.path, f.size, f.modified)
	}
	merged := filepath.Join(s.cfg.Dir, "opt", hex.EncodeToString(h.Sum(nil))[:32])
	if _, err := os.Stat(merged); err == nil {
		return merged, nil
	}
	if err := os.MkdirAll(filepath.Dir(merged), 0o700); err != nil {
		return "", err
	}
	building, err := os.MkdirTemp(filepath.Dir(merged), ".building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(building)
	for _, dir := range dirs {
		if err := overlay(building, dir); err != nil {
			return "", fmt.Errorf("laying %s over the layers below: %w", dir, err)
		}
	}
	if err := os.Rename(building, merged); err != nil {
		if _, there := os.Stat(merged); there != nil {
			return "", err
		}
	}
	return merged, nil
}

// overlay puts what is in from over what is in to.
func overlay(to, from string) error {
	count := 0
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || rel == "." {
			return err
		}
		if count++; count > maxEntries {
			return fmt.Errorf("it has more than %d files", maxEntries)
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			if info, err := os.Lstat(target); err == nil && !info.IsDir() {
				os.Remove(target)
			}
			return os.MkdirAll(target, 0o755)
		}
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			name, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(name, target)
		}
		if !d.Type().IsRegular() {
			return nil // a socket or a pipe of the user's is no part of a layer
		}
		return copyFile(target, path)
	})
}

// copyFile copies a file with its mode. It isn't linked: what a function writes
// into /opt must not change the layer.
func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return err
}

// tellExtensions says once which external extensions in /opt aren't run.
func (s *Service) tellExtensions(fn *function, opt string) {
	entries, err := os.ReadDir(filepath.Join(opt, "extensions"))
	if err != nil {
		return
	}
	for _, entry := range entries {
		s.mu.Lock()
		key := fn.Name + "/" + entry.Name()
		told := s.extensions[key]
		s.extensions[key] = true
		s.mu.Unlock()
		if !told && !entry.IsDir() {
			s.cfg.Events.progress(Progress{Function: fn.Name, Text: "the external extension " + entry.Name() + " of its layers isn't run here: the function goes without it"})
		}
	}
}

// publishLayerInput is the body of PublishLayerVersion.
type publishLayerInput struct {
	Content                 *codeInput
	Description             string
	LicenseInfo             string
	CompatibleRuntimes      []string
	CompatibleArchitectures []string
}

// layerOutput is Lambda's answer about one version; the list's entries lack
// Content and LayerArn.
type layerOutput struct {
	Content                 *layerContent `json:",omitempty"`
	LayerArn                string        `json:",omitempty"`
	LayerVersionArn         string
	Description             string
	CreatedDate             string
	Version                 int
	CompatibleRuntimes      []string `json:",omitempty"`
	LicenseInfo             string   `json:",omitempty"`
	CompatibleArchitectures []string `json:",omitempty"`
}

type layerContent struct {
	Location   string
	CodeSha256 string
	CodeSize   int64
}

func (s *Service) describeLayer(l *layer) layerOutput {
	return layerOutput{
		LayerVersionArn: s.layerVersionARN(l), Description: l.Description, CreatedDate: l.Created.UTC().Format(lastModified), Version: l.Version,
		CompatibleRuntimes: l.Runtimes, LicenseInfo: l.License, CompatibleArchitectures: l.Architectures,
	}
}

func (s *Service) describeContent(l *layer) layerOutput {
	out := s.describeLayer(l)
	out.LayerArn = s.layerARN(l.Name)
	out.Content = &layerContent{Location: "file://" + filepath.ToSlash(s.layerDir(l)), CodeSha256: l.Code.SHA256, CodeSize: l.Code.Size}
	return out
}

// layerName reads the name or ARN of a layer.
func (s *Service) layerName(text string) (string, error) {
	if m := layerARNPattern.FindStringSubmatch(text); m != nil && m[1] == s.cfg.Region && m[2] == s.cfg.Account {
		return m[3], nil
	}
	if !layerNamePattern.MatchString(text) {
		return "", constraint(text, "layerName", "Member must satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+")
	}
	return text, nil
}

func (s *Service) publishLayer(c *awshttp.Call, text, _ string) (any, error) {
	name, err := s.layerName(text)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize("lambda:PublishLayerVersion", s.layerARN(name)); err != nil {
		return nil, err
	}
	var in publishLayerInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	switch {
	case in.Content == nil:
		return nil, constraint("null", "content", "Member must not be null")
	case len(in.Description) > maxDescription:
		return nil, constraint(in.Description, "description", "Member must have length less than or equal to 256")
	case len(in.LicenseInfo) > 512:
		return nil, constraint(in.LicenseInfo, "licenseInfo", "Member must have length less than or equal to 512")
	case len(in.CompatibleRuntimes) > 15 || len(in.CompatibleArchitectures) > 2:
		return nil, invalidParameter("A layer has at most 15 compatible runtimes and 2 architectures.")
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	l := &layer{Name: name, Version: 1, Description: in.Description, License: in.LicenseInfo, Runtimes: in.CompatibleRuntimes,
		Architectures: in.CompatibleArchitectures, Created: time.Now().UTC()}
	if before := s.layersOf(name); len(before) > 0 {
		l.Version = before[0].Version + 1
	}
	if err := checkLayerBuild(in.Content.TidegateBuild); err != nil {
		return nil, err
	}
	if l.Code, err = s.take(filepath.Join("layers", name), *in.Content); err != nil {
		return nil, err
	}
	if err := s.saveLayer(c.Context(), l); err != nil {
		return nil, err
	}
	return &awshttp.Response{Status: http.StatusCreated, Value: s.describeContent(l)}, nil
}

// saveLayer writes a layer version. The caller holds s.writes.
func (s *Service) saveLayer(ctx context.Context, l *layer) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := s.cfg.Bucket.Put(ctx, l.bucketKey(), b); err != nil {
		return fmt.Errorf("functions: saving the layer %s: %w", l.Name, err)
	}
	s.mu.Lock()
	s.layers[s.layerVersionARN(l)] = l
	s.mu.Unlock()
	return nil
}

// layerVersion serves GetLayerVersion and DeleteLayerVersion.
func (s *Service) layerVersion(c *awshttp.Call, text, number string) (any, error) {
	name, err := s.layerName(text)
	if err != nil {
		return nil, err
	}
	if !versionPattern.MatchString(number) {
		return nil, constraint(number, "versionNumber", "Member must have value greater than or equal to 1")
	}
	action := map[string]string{http.MethodGet: "GetLayerVersion", http.MethodDelete: "DeleteLayerVersion"}[c.Request.Method]
	arn := s.layerARN(name) + ":" + number
	if err := c.Authorize("lambda:"+action, arn); err != nil {
		return nil, err
	}
	l := s.layerOf(arn)
	if action == "GetLayerVersion" {
		if l == nil || l.Deleted {
			return nil, userError(http.StatusNotFound, "ResourceNotFoundException", "The resource you requested does not exist.")
		}
		return s.describeContent(l), nil
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if l != nil && !l.Deleted {
		gone := *l
		gone.Deleted = true
		if err := s.saveLayer(c.Context(), &gone); err != nil {
			return nil, err
		}
		s.discardLayers()
	}
	return &awshttp.Response{Status: http.StatusNoContent}, nil // also when it wasn't there, as on AWS
}

// discardLayers removes the files of deleted layers that no function has.
func (s *Service) discardLayers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := map[string]bool{}
	for _, fn := range s.functions {
		for _, arn := range fn.Layers {
			used[arn] = true
		}
	}
	for arn, l := range s.layers {
		if l.Deleted && l.Code.Folder == "" && !used[arn] {
			os.RemoveAll(s.layerDir(l))
		}
	}
}

// listLayers serves ListLayers, and GetLayerVersionByArn, which has the same path.
func (s *Service) listLayers(c *awshttp.Call, _, _ string) (any, error) {
	q := c.Request.URL.Query()
	if q.Get("find") == "LayerVersion" {
		m := layerARNPattern.FindStringSubmatch(q.Get("Arn"))
		if m == nil || m[4] == "" {
			return nil, constraint(q.Get("Arn"), "arn", `Member must satisfy regular expression pattern: arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+`)
		}
		if m[1] != s.cfg.Region || m[2] != s.cfg.Account {
			return nil, userError(http.StatusNotFound, "ResourceNotFoundException", "The resource you requested does not exist.")
		}
		return s.layerVersion(c, m[3], m[4])
	}
	if err := c.Authorize("lambda:ListLayers", "*"); err != nil {
		return nil, err
	}
	type entry struct {
		LayerName, LayerArn   string
		LatestMatchingVersion layerOutput
	}
	newest := map[string]*layer{}
	s.mu.Lock()
	for _, l := range s.layers {
		if fits(l, c) && (newest[l.Name] == nil || l.Version > newest[l.Name].Version) {
			newest[l.Name] = l
		}
	}
	s.mu.Unlock()
	all := make([]entry, 0, len(newest))
	for name, l := range newest {
		all = append(all, entry{name, s.layerARN(name), s.describeLayer(l)})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.LayerName, b.LayerName) })
	part, next, err := page(c, all, func(e entry) string { return e.LayerName })
	if err != nil {
		return nil, err
	}
	return struct {
		Layers     []entry
		NextMarker string `json:",omitempty"`
	}{part, next}, nil
}

// fits says whether a list's CompatibleRuntime and CompatibleArchitecture let a
// version pass.
func fits(l *layer, c *awshttp.Call) bool {
	q := c.Request.URL.Query()
	runtime, architecture := q.Get("CompatibleRuntime"), q.Get("CompatibleArchitecture")
	return !l.Deleted && (runtime == "" || slices.Contains(l.Runtimes, runtime)) && (architecture == "" || slices.Contains(l.Architectures, architecture))
}

func (s *Service) listLayerVersions(c *awshttp.Call, text, _ string) (any, error) {
	name, err := s.layerName(text)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize("lambda:ListLayerVersions", s.layerARN(name)); err != nil {
		return nil, err
	}
	all := []layerOutput{}
	for _, l := range s.layersOf(name) {
		if fits(l, c) {
			all = append(all, s.describeLayer(l))
		}
	}
	part, next, err := page(c, all, func(l layerOutput) string { return strconv.Itoa(l.Version) })
	if err != nil {
		return nil, err
	}
	return struct {
		LayerVersions []layerOutput
		NextMarker    string `json:",omitempty"`
	}{part, next}, nil
}

// loadLayer takes a layer version from the bucket.
func (s *Service) loadLayer(b []byte) error {
	l := &layer{}
	if err := json.Unmarshal(b, l); err != nil {
		return err
	}
	if !layerNamePattern.MatchString(l.Name) || l.Version < 1 {
		return errors.New("it names no layer version")
	}
	s.layers[s.layerVersionARN(l)] = l
	return nil
}
