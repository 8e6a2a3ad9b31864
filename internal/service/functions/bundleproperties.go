package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/evanw/esbuild/pkg/cli"
)

// bundleProperties are SAM's BuildProperties for esbuild, by the names that SAM
// turns into esbuild's flags. Lists of NAME=VALUE may be maps, too.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-build-typescript.html
type bundleProperties struct {
	EntryPoints    []string
	Minify         *bool
	Target         string
	Sourcemap      *bool
	SourcesContent *bool
	External       []string
	Format         string
	Loader         pairs
	Banner         pairs
	Footer         pairs
	Define         pairs
	Alias          pairs
	OutExtension   pairs
	MainFields     commas
	Conditions     commas
	KeepNames      *bool
	TreeShaking    *bool
	Packages       string
	Tsconfig       string
	Charset        string
	LegalComments  string
}

// pairs are NAME=VALUE, given as a list, a map or one text.
type pairs []string

// UnmarshalJSON takes any of the three.
func (p *pairs) UnmarshalJSON(b []byte) error {
	var m map[string]string
	if json.Unmarshal(b, &m) == nil {
		for name, v := range m {
			*p = append(*p, name+"="+v)
		}
		slices.Sort(*p)
		return nil
	}
	list, err := oneOrMore(b)
	for _, one := range list {
		if !strings.Contains(one, "=") {
			return fmt.Errorf("%q must be of the form NAME=VALUE", one)
		}
	}
	*p = list
	return err
}

// commas are a list of texts, given as such or as one text with commas.
type commas []string

// UnmarshalJSON takes both.
func (c *commas) UnmarshalJSON(b []byte) error {
	list, err := oneOrMore(b)
	*c = list
	return err
}

func oneOrMore(b []byte) ([]string, error) {
	var one string
	if json.Unmarshal(b, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	if json.Unmarshal(b, &list) != nil {
		return nil, errors.New("must be a text, a list of texts, or a map of texts")
	}
	return list, nil
}

// parseBundleProperties reads esbuild's properties and refuses what is unknown.
func parseBundleProperties(raw json.RawMessage) (*bundleProperties, error) {
	p := &bundleProperties{}
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(p); err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	_, err := p.options()
	return p, err
}

// options are esbuild's for these properties, parsed by esbuild itself.
func (p *bundleProperties) options() (api.BuildOptions, error) {
	// SAM's own, but for minifying, which changes nothing that runs and all that
	// a person reads.
	flags := []string{"--bundle", "--platform=node"}
	add := func(format, v string) {
		if v != "" {
			flags = append(flags, fmt.Sprintf(format, v))
		}
	}
	yes := func(name string, v *bool) {
		if v != nil {
			flags = append(flags, fmt.Sprintf("--%s=%t", name, *v))
		}
	}
	yes("minify", p.Minify)
	yes("sources-content", p.SourcesContent)
	yes("keep-names", p.KeepNames)
	yes("tree-shaking", p.TreeShaking)
	add("--target=%s", p.Target)
	add("--format=%s", p.Format)
	add("--packages=%s", p.Packages)
	add("--charset=%s", p.Charset)
	add("--legal-comments=%s", p.LegalComments)
	add("--tsconfig=%s", p.Tsconfig)
	add("--main-fields=%s", strings.Join(p.MainFields, ","))
	add("--conditions=%s", strings.Join(p.Conditions, ","))
	for _, name := range p.External {
		add("--external:%s", name)
	}
	for flag, list := range map[string]pairs{"loader": p.Loader, "banner": p.Banner, "footer": p.Footer, "define": p.Define, "alias": p.Alias, "out-extension": p.OutExtension} {
		for _, pair := range list {
			flags = append(flags, "--"+flag+":"+pair)
		}
	}
	return cli.ParseBuildOptions(flags)
}
