package serverless

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"
	"go.yaml.in/yaml/v4"
)

const (
	// maxBytes bounds each file that is read, as a template is.
	maxBytes = 1 << 20
	maxFiles = 200
	// maxNodes and maxText bound what variables may build.
	maxNodes = 200_000
	maxText  = 16 << 20
)

// remote are the sources that ask a service or another tool: they have no value
// here but the one that is given for them.
var remote = []string{"ssm", "cf", "s3", "terraform", "output", "state", "secretsmanager", "vault", "doppler", "git", "outputs"}

// A resolver gives variables their values. A file's nodes are never changed, and
// each is resolved once.
type resolver struct {
	*Service
	o       Options
	dir     string
	root    *yaml.Node
	trees   map[string]*yaml.Node // files read, by path
	env     map[string]string     // of .env files
	done    map[*yaml.Node]*yaml.Node
	busy    map[*yaml.Node]bool
	ready   map[*yaml.Node]bool // what resolving made: not looked into again
	noted   map[string]bool
	nodes   int
	bytes   int
	stopped bool
	depth   int
}

func (r *resolver) errorf(at *yaml.Node, hint, format string, args ...any) {
	m := Message{Text: fmt.Sprintf(format, args...), Hint: hint}
	if at != nil {
		m.Line, m.Column = at.Line, at.Column
	}
	r.Problems = append(r.Problems, m)
}

func (r *resolver) notef(at *yaml.Node, lacking bool, format string, args ...any) {
	m := Message{Text: fmt.Sprintf(format, args...), Lacking: lacking}
	if at != nil {
		m.Line, m.Column = at.Line, at.Column
	}
	r.Notes = append(r.Notes, m)
}

// open reads a file of the service; nil after a problem.
func (r *resolver) open(path string, at *yaml.Node) *yaml.Node {
	if n, ok := r.trees[path]; ok {
		return n
	}
	if len(r.trees) >= maxFiles {
		r.errorf(at, "", "more than %d files", maxFiles)
		return nil
	}
	data, err := readFile(path)
	if err != nil {
		r.trees[path] = nil
		r.errorf(at, "", "%v", err)
		return nil
	}
	before := 0
	if n := len(r.Files); n > 0 {
		before = r.Files[n-1].Before + r.Files[n-1].lines
	}
	lines := strings.Count(string(data), "\n") + 2
	r.Files = append(r.Files, File{Path: path, Before: before, lines: lines})
	if ext := filepath.Ext(path); !slices.Contains([]string{".yml", ".yaml", ".json"}, ext) {
		n := text(strings.TrimSpace(string(data)), &yaml.Node{Line: before + 1, Column: 1})
		r.trees[path] = n
		r.ready[n] = true
		return n
	}
	n, line, err := parseFile(data, before)
	if err != nil {
		r.errorf(&yaml.Node{Line: before + line, Column: 1}, "", "%v", err)
	}
	r.trees[path] = n
	return n
}

// readFile reads a regular file within maxBytes.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s", path)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxBytes:
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxBytes)
	}
	return os.ReadFile(path)
}

// loadEnv reads .env.{stage} and .env, as useDotenv asks for.
func (r *resolver) loadEnv() {
	r.env = map[string]string{}
	for _, name := range []string{".env." + r.Stage, ".env"} {
		path := filepath.Join(r.dir, name)
		data, err := readFile(path)
		if err != nil {
			continue // most services have one of the two, or none
		}
		values, err := godotenv.UnmarshalBytes(data)
		if err != nil {
			r.errorf(nil, "", "%s can't be read as a list of NAME=VALUE", path) // its error would quote a value
			continue
		}
		last := r.Files[len(r.Files)-1]
		r.Files = append(r.Files, File{Path: path, Before: last.Before + last.lines})
		for k, v := range values {
			if _, ok := r.env[k]; !ok {
				r.env[k] = v
			}
		}
	}
}

// spend counts what is made, and reports once when it is too much.
func (r *resolver) spend(n *yaml.Node) bool {
	r.nodes++
	r.bytes += len(n.Value)
	if !r.stopped && (r.nodes > maxNodes || r.bytes > maxText) {
		r.stopped = true
		r.errorf(n, "", "variables make more than %d values or %d bytes", maxNodes, maxText)
	}
	return !r.stopped
}

// resolve returns the tree with every variable, alias and merge resolved; nil
// stays nil.
func (r *resolver) resolve(n *yaml.Node) *yaml.Node {
	n = target(n)
	if n == nil || r.ready[n] {
		return n
	}
	if d, ok := r.done[n]; ok {
		return d
	}
	if !r.spend(n) {
		return plain("", "!!null", n)
	}
	if r.busy[n] {
		r.errorf(n, "", "the value depends on itself")
		return plain("", "!!null", n)
	}
	if r.depth++; r.depth > 200 {
		r.depth--
		r.errorf(n, "", "values refer to each other more than 200 deep")
		return plain("", "!!null", n)
	}
	r.busy[n] = true
	defer func() { delete(r.busy, n); r.depth-- }()
	var out *yaml.Node
	switch n.Kind {
	case yaml.MappingNode:
		out = &yaml.Node{Kind: n.Kind, Tag: n.Tag, Style: n.Style, Line: n.Line, Column: n.Column}
		r.members(out, n, map[string]bool{}, 0)
	case yaml.SequenceNode:
		out = &yaml.Node{Kind: n.Kind, Tag: n.Tag, Style: n.Style, Line: n.Line, Column: n.Column}
		for _, c := range n.Content {
			out.Content = append(out.Content, r.resolve(c))
		}
	default:
		out = r.scalar(n)
	}
	r.done[n], r.ready[out] = out, true
	return out
}

// members resolves the members of n into out; those of a merge come last.
func (r *resolver) members(out, n *yaml.Node, seen map[string]bool, depth int) {
	if depth > maxVariableDepth {
		r.errorf(n, "", "merges nest more than %d deep", maxVariableDepth)
		return
	}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], target(n.Content[i+1])
		switch {
		case k.Tag == "!!merge" && v != nil && v.Kind == yaml.SequenceNode:
			merges = append(merges, v.Content...)
		case k.Tag == "!!merge":
			merges = append(merges, v)
		case !seen[k.Value]:
			seen[k.Value] = true
			out.Content = append(out.Content, k, r.resolve(v))
		case depth == 0:
			r.errorf(k, "", "key %q is given twice", clip(k.Value))
		}
	}
	for _, m := range merges {
		if m = target(m); m != nil && m.Kind == yaml.MappingNode {
			r.members(out, m, seen, depth+1)
		}
	}
}

func (r *resolver) scalar(n *yaml.Node) *yaml.Node {
	if !strings.Contains(n.Value, "${") {
		return n
	}
	parts, err := parseText(n.Value)
	if err != nil {
		r.errorf(n, "", "%v", err)
		return text("", n)
	}
	v := r.value(parts, n)
	if v == nil {
		return plain("", "!!null", n)
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") && v.Kind == yaml.ScalarNode { // !Sub ${self:…}
		c := *v
		c.Tag, c.Style = n.Tag, n.Style
		return &c
	}
	return v
}

// value is what a text's parts make: of one variable any value, otherwise a text.
func (r *resolver) value(parts []part, at *yaml.Node) *yaml.Node {
	if len(parts) == 1 && parts[0].sources != nil {
		return r.variable(parts[0], at)
	}
	var b strings.Builder
	for _, p := range parts {
		if p.sources == nil {
			b.WriteString(p.literal)
			continue
		}
		v := r.variable(p, at)
		if !isNull(v) && v.Kind != yaml.ScalarNode {
			r.errorf(inText(at, p), "", "%s is no text, and can't be a part of one", clip(p.text))
			continue
		}
		b.WriteString(scalar(v))
		if b.Len() > maxText {
			break
		}
	}
	out := text(b.String(), at)
	r.spend(out)
	return out
}

// inText is the place of a variable in a text of one line.
func inText(at *yaml.Node, p part) *yaml.Node {
	c := &yaml.Node{Line: at.Line, Column: at.Column + p.offset}
	switch at.Style {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		c.Column = at.Column
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		c.Column++
	}
	return c
}

// variable tries the sources in order; a problem when none has a value.
func (r *resolver) variable(p part, at *yaml.Node) *yaml.Node {
	here := inText(at, p)
	hint := ""
	for i, s := range p.sources {
		var v *yaml.Node
		switch {
		case s.literal != nil && s.literal.quoted:
			return text(s.literal.text, here)
		case s.literal != nil:
			tag := map[string]string{"true": "!!bool", "false": "!!bool", "null": "!!null"}[s.literal.text]
			if tag == "" {
				tag = "!!float"
			}
			return plain(s.literal.text, tag, here)
		case s.nested != nil:
			v = r.value(s.nested, here)
		default:
			var h string
			v, h = r.source(s, here, i == len(p.sources)-1)
			hint = joinHints(hint, h)
		}
		if !isNull(v) {
			return v
		}
		if v != nil && i == len(p.sources)-1 {
			return v // null is what it is
		}
	}
	if !r.stopped {
		r.errorf(here, hint, "%s has no value", clip(p.text))
	}
	return plain("", "!!null", here)
}

func joinHints(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", or " + b
}

// source returns the value of one source, nil when it has none, with what to do
// about it. last says that nothing is tried after it.
func (r *resolver) source(s source, at *yaml.Node, last bool) (*yaml.Node, string) {
	address := scalar(r.value(s.address, at))
	var params []string
	for _, p := range s.params {
		params = append(params, scalar(r.value(p, at)))
	}
	key := s.typ
	if params != nil {
		key += "(" + strings.Join(params, ", ") + ")"
	}
	key = strings.TrimSuffix(strings.TrimSuffix(key+":"+address, "~true"), "~false")
	given := func(names ...string) *yaml.Node {
		for _, name := range names {
			if v, ok := r.o.Overrides[name]; ok {
				r.Used[name] = true
				return text(v, at)
			}
		}
		return nil
	}
	override := "give it with --parameter-overrides '" + key + "=VALUE'"
	if v := given(key); v != nil {
		return v, ""
	}
	switch s.typ {
	case "self":
		return r.self(address, at), ""
	case "file":
		return r.file(params, address, at)
	case "opt":
		switch {
		case address == "stage" && (r.o.Stage != "" || last):
			return text(r.stageOf(), at), ""
		case address == "region" && (r.o.Region != "" || last):
			return text(r.regionOf(), at), ""
		case address == "stage" || address == "region":
			return nil, ""
		}
		return given(address), override
	case "param":
		return r.param(address, given, at), "give it with --parameter-overrides " + address + "=VALUE"
	case "env":
		if v, ok := r.o.Env(address); ok {
			return text(v, at), ""
		}
		if v, ok := r.env[address]; ok {
			return text(v, at), ""
		}
		return nil, "set the environment variable " + address
	case "sls":
		switch address {
		case "stage":
			return text(r.stageOf(), at), ""
		case "instanceId":
			return text("tidegate", at), ""
		}
		return nil, "the source sls has stage and instanceId"
	case "aws":
		switch address {
		case "accountId":
			return text(r.o.Account, at), ""
		case "region":
			return text(r.regionOf(), at), ""
		}
		return nil, "the source aws has accountId and region"
	case "strToBool":
		if len(params) == 1 {
			switch strings.ToLower(strings.TrimSpace(params[0])) {
			case "true", "1":
				return plain("true", "!!bool", at), ""
			case "false", "0", "":
				return plain("false", "!!bool", at), ""
			}
		}
		return nil, "strToBool takes true, false, 1 or 0"
	}
	if !slices.Contains(remote, strings.SplitN(s.typ, ".", 2)[0]) {
		return nil, "the source " + s.typ + " isn't known here: " + override
	}
	if !last {
		return nil, ""
	}
	stand := s.typ + "-" + strings.Trim(unnamed.ReplaceAllString(address, "-"), "-")
	if !r.noted[key] {
		r.noted[key] = true
		r.notef(at, true, "nothing is asked for ${%s} here: %q stands in for it; %s", clip(key), clip(stand), override)
	}
	return text(stand, at), ""
}

var unnamed = regexp.MustCompile(`[^A-Za-z0-9_.]+`)

// self walks to a value of serverless.yml.
func (r *resolver) self(address string, at *yaml.Node) *yaml.Node {
	switch address {
	case "provider.stage":
		return text(r.stageOf(), at)
	case "provider.region":
		return text(r.regionOf(), at)
	case "service", "service.name": // either form means the name
		n := target(get(r.root, "service"))
		if n != nil && n.Kind == yaml.MappingNode {
			n = get(n, "name")
		}
		return r.resolve(n)
	}
	return r.walk(r.root, address)
}

// walk follows a dotted path, through variables and lists, and resolves what is
// there.
func (r *resolver) walk(n *yaml.Node, address string) *yaml.Node {
	return r.resolve(r.find(n, address))
}

// find is walk's way to a value, which it returns as it is written.
func (r *resolver) find(n *yaml.Node, address string) *yaml.Node {
	n = target(n)
	for _, name := range strings.Split(address, ".") {
		if address == "" {
			break
		}
		if n != nil && n.Kind == yaml.ScalarNode && !r.ready[n] {
			n = r.inside(n)
		}
		if n == nil {
			return nil
		}
		if n.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(n.Content) {
				return nil
			}
			n = target(n.Content[i])
			continue
		}
		n = get(n, name)
	}
	return n
}

// inside returns what a text leads to whose members are wanted: of a text that is
// one ${file(path)}, the file's tree as it is written, so that its values may refer
// to each other by the name that the file has in serverless.yml.
func (r *resolver) inside(n *yaml.Node) *yaml.Node {
	parts, err := parseText(n.Value)
	if err != nil || len(parts) != 1 || len(parts[0].sources) != 1 {
		return r.resolve(n)
	}
	s := parts[0].sources[0]
	if s.typ != "file" || len(s.address) > 0 || len(s.params) != 1 || len(s.params[0]) != 1 || s.params[0][0].sources != nil {
		return r.resolve(n)
	}
	if tree, _ := r.fileTree([]string{s.params[0][0].literal}, n); tree != nil {
		return target(tree)
	}
	return r.resolve(n) // which says what is wrong
}

// file reads ${file(path):address}.
func (r *resolver) file(params []string, address string, at *yaml.Node) (*yaml.Node, string) {
	n, hint := r.fileTree(params, at)
	if n == nil {
		return nil, hint
	}
	return r.walk(n, address), ""
}

// fileTree reads the file of ${file(path)}; nil with what to do about it.
func (r *resolver) fileTree(params []string, at *yaml.Node) (*yaml.Node, string) {
	if len(params) == 0 || params[0] == "" {
		return nil, "write the file's path as ${file(./other.yml):name}"
	}
	path := filepath.FromSlash(params[0])
	if rest, ok := strings.CutPrefix(path, "~"+string(filepath.Separator)); ok {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if ext := filepath.Ext(path); slices.Contains([]string{".js", ".cjs", ".mjs", ".ts"}, ext) {
		return nil, "variables from " + ext + " files aren't supported: put the values into a YAML or JSON file, or run `serverless package` and use .serverless/cloudformation-template-update-stack.json"
	}
	if _, err := os.Stat(path); err != nil {
		return nil, "there is no file " + path
	}
	return r.open(path, at), ""
}

// param is ${param:name}: given, the stage's, or the default.
func (r *resolver) param(name string, given func(...string) *yaml.Node, at *yaml.Node) *yaml.Node {
	if v := given(name); v != nil {
		return v
	}
	for _, path := range []string{"params." + r.stageOf(), "stages." + r.stageOf() + ".params", "params.default", "stages.default.params"} {
		if v := r.walk(r.root, path+"."+name); v != nil {
			return v
		}
	}
	return nil
}

// stageOf is the stage that is deployed.
func (r *resolver) stageOf() string {
	if r.Stage == "" {
		if r.Stage = r.o.Stage; r.Stage == "" {
			r.Stage = "dev" // while provider.stage is resolved, which may ask for it
			if s := scalar(r.resolve(get(r.provider(), "stage"))); s != "" {
				r.Stage = s
			}
		}
	}
	return r.Stage
}

// regionOf is the region that the service is for.
func (r *resolver) regionOf() string {
	if r.Region == "" {
		if r.Region = r.o.Region; r.Region == "" {
			r.Region = r.o.DefaultRegion
			if s := scalar(r.resolve(get(r.provider(), "region"))); s != "" {
				r.Region = s
			}
		}
	}
	return r.Region
}

// provider is the section as it is written, or what its variable leads to.
func (r *resolver) provider() *yaml.Node {
	n := target(get(r.root, "provider"))
	if n != nil && n.Kind == yaml.ScalarNode {
		return r.resolve(n)
	}
	return n
}
