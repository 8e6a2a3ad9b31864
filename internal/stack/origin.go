package stack

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"tidegate/internal/stack/assembly"
	"tidegate/internal/stack/serverless"
)

// An origin is where a template comes from.
type origin struct {
	name   string // how diagnostics call the file
	path   string // of the template, absolute
	home   string // the project's folder, absolute
	files  []string
	assets assembly.Assets
	// service is the serverless.yml that the template is made of, if it is.
	service *serverless.Service
	shown   sources
}

// sources are the files that lines lie in.
func (o *origin) sources() sources {
	if o.shown != nil {
		return o.shown
	}
	return oneSource(o.name)
}

// openOrigin finds the template that a path means, and fills in the stack's name
// when the options have none.
func openOrigin(path string, opts *Options) (*origin, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", path, err)
	}
	o := &origin{name: path, path: abs, home: filepath.Dir(abs)}
	if serverless.Is(abs) {
		return o, o.readService(opts)
	}
	chosen, err := assembly.Open(abs)
	switch {
	case errors.Is(err, assembly.ErrNone):
		o.files = []string{abs}
		if opts.StackName == "" {
			opts.StackName = assembly.StackName(abs)
		}
	case err != nil:
		return nil, fmt.Errorf("cloud assembly: %w", err)
	default:
		s, err := chosen.Choose(opts.StackName)
		if err != nil {
			return nil, err
		}
		o.path, o.home, o.files = s.Template, abs, chosen.Files
		if rel, err := filepath.Rel(abs, s.Template); err == nil {
			o.name = filepath.Join(path, rel)
		}
		opts.StackName = s.Name
		if opts.Region == "" {
			opts.Region = s.Region
		}
		if opts.Account == "" { // it is written into the template
			opts.Account = s.Account
		}
	}
	if isBuilt(o.home) {
		opts.NoBuild = true
	}
	o.home = Project(o.home)
	if opts.StackName == "" {
		opts.StackName = stackNameOf(filepath.Base(o.home))
	}
	assets, from, err := assembly.AssetsOf(o.path)
	if err != nil {
		return nil, fmt.Errorf("cloud assembly: %w", err)
	}
	if o.assets = assets; from != "" {
		o.files = append(o.files, from)
	}
	return o, nil
}

// Project returns the folder of the project that a template's folder belongs to:
// the folder itself, unless it is one that `cdk synth` or `sam build` owns and
// may delete at any time.
func Project(dir string) string {
	switch {
	case isBuilt(dir):
		return filepath.Dir(filepath.Dir(dir))
	case filepath.Base(dir) == "cdk.out":
		return filepath.Dir(dir)
	}
	return dir
}

// isBuilt reports whether a folder is what `sam build` wrote: its functions are
// ready to run, whatever its template says of how they are built.
func isBuilt(dir string) bool {
	dir = filepath.Clean(dir)
	return filepath.Base(dir) == "build" && filepath.Base(filepath.Dir(dir)) == ".aws-sam"
}

// readService reads a serverless.yml, which says what stage, region and stack
// name are when the options don't.
func (o *origin) readService(opts *Options) error {
	region := opts.DefaultRegion
	if region == "" {
		region = fallbackRegion
	}
	account := opts.Account
	if account == "" {
		account = fallbackAccount
	}
	s, err := serverless.Read(o.path, serverless.Options{
		Stage: opts.Stage, Region: opts.Region, DefaultRegion: region, Account: account, Overrides: opts.overrides(), Env: os.LookupEnv,
	})
	if err != nil {
		return fmt.Errorf("template: %w", err)
	}
	o.service = s
	for i, f := range s.Files {
		name := o.name
		if i > 0 {
			if name = f.Path; filepath.IsLocal(relative(o.home, f.Path)) {
				name = filepath.Join(filepath.Dir(o.name), relative(o.home, f.Path))
			}
		}
		o.shown = append(o.shown, source{name: name, before: f.Before})
		o.files = append(o.files, f.Path)
	}
	opts.Region = s.Region
	if opts.StackName == "" {
		if opts.StackName = s.StackName(); checkStackName(opts.StackName) != "" {
			opts.StackName = stackNameOf(opts.StackName)
		}
	}
	opts.Parameters, opts.Defaults = without(opts.Parameters, s.Used), without(opts.Defaults, s.Used)
	return nil
}

func relative(base, path string) string {
	rel, err := filepath.Rel(base, path)
	if err != nil {
		return path
	}
	return rel
}

// without returns the overrides that no variable took.
func without(overrides map[string]string, used map[string]bool) map[string]string {
	left := maps.Clone(overrides)
	maps.DeleteFunc(left, func(name, _ string) bool { return used[name] })
	return left
}

// root returns the template's tree; nil after a problem.
func (o *origin) root(data []byte, r *reporter) *value {
	if o.service == nil {
		return parse(data, r)
	}
	for _, m := range o.service.Problems {
		r.report(place{line: m.Line, column: m.Column}, m.Hint, "%s", m.Text)
	}
	for _, m := range o.service.Notes {
		at := place{line: m.Line, column: m.Column}
		if m.Lacking {
			r.lacking(at, "%s", m.Text)
		} else {
			r.notef(at, "%s", m.Text)
		}
	}
	if o.service.Template == nil {
		return nil
	}
	c := &converter{r: r, budget: maxValues}
	return c.convert(o.service.Template, 0)
}

// ErrChoice says that a cloud assembly has no stack of the name that was asked
// for, or several of which one must be named.
var ErrChoice = assembly.ErrChoice

// IsAssembly reports whether a folder is one that `cdk synth` wrote, which Load
// takes as a whole.
func IsAssembly(dir string) bool { return assembly.Is(dir) }

// sources are the files that a template was read from. Their lines are counted
// on through all of them, so that a line alone tells its file, as positions of
// go/token do: whatever passes places on needs to know of one file only.
type sources []source

type source struct {
	name   string
	before int // lines counted before its first
}

func oneSource(name string) sources { return sources{{name: name}} }

// position tells the file and its own line; line 0 is the first file as a whole.
func (s sources) position(line, column int) Position {
	var p Position
	for _, f := range s {
		if p.File == "" || line > f.before {
			p = Position{File: f.name, Line: line - f.before, Column: column}
		}
	}
	return p
}
