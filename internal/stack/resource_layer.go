package stack

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"tidegate/internal/pattern"
)

// AWS::Lambda::LayerVersion, AWS::Serverless::LayerVersion, and what a function's
// Layers may name. Source: the CloudFormation reference, and SAM's specification.

var layerType = &resourceType{
	name:       "AWS::Lambda::LayerVersion",
	attributes: []string{"LayerVersionArn"},
	properties: map[string]property{
		"CompatibleArchitectures": replaces(property{form: texts}),
		"CompatibleRuntimes":      replaces(property{form: texts}),
		"Content":                 required(replaces(property{form: anyJSON})),
		"Description":             replaces(textProperty),
		"LayerName":               replaces(textProperty),
		"LicenseInfo":             replaces(textProperty),
	},
}

var samLayerProperties = map[string]property{
	"CompatibleArchitectures": {form: anyJSON}, "CompatibleRuntimes": {form: anyJSON}, "ContentUri": required(property{form: anyJSON}),
	"Description": {form: anyJSON}, "LayerName": {form: anyJSON}, "LicenseInfo": {form: anyJSON},
	"PublishLambdaVersion": {form: anyJSON}, // false is for what only CodeDeploy does
	"RetentionPolicy":      {form: anyJSON}, // a version that functions have serves them on, whatever it says
}

// layer expands AWS::Serverless::LayerVersion.
func (x *expander) layer(res *resource) {
	p, at := res.properties, res.properties
	name := p.get("LayerName")
	if name == nil {
		name = textAt(res.id, at)
	}
	content := p.get("ContentUri")
	if content == nil {
		x.r.errorf(res.place().in("Properties"), "AWS::Serverless::LayerVersion needs the property ContentUri")
		return
	}
	if content.kind == object && content.get("Bucket") != nil {
		content = objectAt(content, "S3Bucket", content.get("Bucket"), "S3Key", content.get("Key"))
	}
	lambda := *res
	lambda.typ, lambda.source = "AWS::Lambda::LayerVersion", res.id
	lambda.properties = objectAt(at, "Content", content, "LayerName", name, "Description", p.get("Description"), "LicenseInfo", p.get("LicenseInfo"),
		"CompatibleRuntimes", p.get("CompatibleRuntimes"), "CompatibleArchitectures", p.get("CompatibleArchitectures"))
	x.add(&lambda)
}

// readLayer finds a layer's files.
func (s *Stack) readLayer(res *resource, r *reporter) *codeSource {
	content := res.properties.get("Content")
	if content == nil || content.kind == unknown || content.kind == null {
		return nil
	}
	name := "Content"
	if res.source != "" {
		name = "ContentUri"
	}
	at := res.place().in("Properties").in(name).at(content)
	var source *codeSource
	switch content.kind {
	case text:
		source = s.localCode(res, content.text, at, r)
	case object:
		source = s.bucketCode(res, content, at, r)
	default:
		r.errorf(at, "must be the path of a folder or zip file, not %s", kindOf(content))
	}
	if source != nil && source.folder != "" {
		source.build = s.readLayerBuild(res, source.folder, r)
	}
	return source
}

// readLayerBuild returns how the layer's folder is built when it holds what goes
// into the layer; nil when it is laid out as /opt.
func (s *Stack) readLayerBuild(res *resource, folder string, r *reporter) *build {
	m := res.metadata
	if s.noBuild || m == nil || m.kind != object || m.get("BuildMethod") == nil {
		return nil
	}
	at := res.place().in("Metadata").in("BuildMethod")
	e := &evaluator{env: s.env, r: r}
	v := e.eval(m.get("BuildMethod"), at)
	at = at.at(v)
	method, ok := v.scalar()
	if !ok {
		r.errorf(at, "must be a text, not %s", kindOf(v))
		return nil
	}
	is := func(name string) bool { return isRegular(filepath.Join(folder, name)) }
	for _, language := range []struct{ prefix, manifest, inside string }{{"nodejs", "package.json", "nodejs"}, {"python3.", "requirements.txt", "python"}} {
		if !strings.HasPrefix(method, language.prefix) {
			continue
		}
		if info, err := os.Stat(filepath.Join(folder, language.inside)); err == nil && info.IsDir() && !is(language.manifest) {
			return nil
		}
		return &build{method: method}
	}
	switch {
	case method != buildMakefile:
		r.report(at, "run sam build, then: tidegate up .aws-sam/build", "the build method %s doesn't build layers here; makefile, nodejs* and python3.* do", clip(method))
	case !is("Makefile") && !is("makefile"):
		r.errorf(at, "there is no Makefile in %s", shown(s, folder))
	default:
		return &build{method: method}
	}
	return nil
}

// noteOpt says once what a layer can't do here.
func (s *Stack) noteOpt(r *reporter) {
	for _, res := range s.resources {
		if res.typ == "AWS::Lambda::LayerVersion" {
			r.notef(res.place(), "there is no sandbox, so layers don't lie in /opt: imports, PATH, libraries and variables that say /opt find them, a path /opt/… in code doesn't")
			return
		}
	}
}

var layerPattern = pattern.New(`^arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]+):\d+$`)

// foreignLayer returns the name of a layer that is of another account or region.
func (s *Stack) foreignLayer(arn string) (name string, foreign bool) {
	m := layerPattern.FindStringSubmatch(arn)
	if m == nil || m[1] == s.Region && m[2] == s.Account {
		return "", false
	}
	return m[3], true
}

// layerHints say what to do about public layers that many have.
var layerHints = []struct{ in, hint string }{
	{"PowertoolsPython", "in the function's folder: pip install -t . aws-lambda-powertools"},
	{"PowertoolsTypeScript", "in the function's folder: npm install the @aws-lambda-powertools packages it uses"},
	{"AWSSDKPandas", "in the function's folder: pip install -t . awswrangler"},
	{"AWSDataWrangler", "in the function's folder: pip install -t . awswrangler"},
	{"LambdaInsights", "it only measures, and the function runs without it"},
	{"otel", "it only traces, and the function runs without it"},
	{"OpenTelemetry", "it only traces, and the function runs without it"},
	{"Parameters-and-Secrets", "its endpoint localhost:2773 isn't there: ask the services themselves"},
}

// noteForeignLayers says which layers are left out.
func (s *Stack) noteForeignLayers(res *resource, r *reporter) {
	layers := res.properties.get("Layers")
	if layers == nil || layers.kind != list {
		return
	}
	for i, item := range layers.items {
		arn, ok := item.scalar()
		if !ok {
			continue
		}
		name, foreign := s.foreignLayer(arn)
		if !foreign {
			continue
		}
		hint := "put what it holds into the function's folder, or make it a layer of the template"
		for _, h := range layerHints {
			if strings.Contains(strings.ToLower(name), strings.ToLower(h.in)) {
				hint = h.hint
				break
			}
		}
		r.lacking(res.propertyPlace("Layers").index(i).at(item), "layer %s is of another account or region, from which nothing is fetched, and left out; %s", clip(name), hint)
	}
}

// ownLayers are the ARNs in Layers without the foreign ones.
func (s *Stack) ownLayers(v *value) []any {
	own := []any{}
	if v == nil {
		return own
	}
	for _, item := range v.items {
		arn, _ := item.scalar()
		if _, foreign := s.foreignLayer(arn); !foreign {
			own = append(own, arn)
		}
	}
	return own
}

type layerHandler struct{}

func layerPath(name string) string { return "/2018-10-31/layers/" + url.PathEscape(name) + "/versions" }

func (layerHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	name := c.get("LayerName")
	if name == "" {
		name = a.s.generatedName(c.res.id, 140)
	}
	body := map[string]any{"Content": c.code.payload(), "Description": c.get("Description"), "LicenseInfo": c.get("LicenseInfo")}
	for _, list := range []string{"CompatibleRuntimes", "CompatibleArchitectures"} {
		if v := c.properties.get(list); v != nil {
			body[list] = v.plain()
		}
	}
	var answer struct{ LayerVersionArn string }
	if err := a.rest(ctx, lambdaService, "PublishLayerVersion", http.MethodPost, layerPath(name), body, &answer); err != nil {
		return RecordedResource{}, err
	}
	out := c.recorded(answer.LayerVersionArn, answer.LayerVersionArn)
	out.Attributes["LayerVersionArn"] = answer.LayerVersionArn
	return out, nil
}

// update never happens: every property of a layer version replaces it.
func (h layerHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.create(ctx, a, c)
}

// versionPath is the path of one version, by its ARN.
func (layerHandler) versionPath(arn string) string {
	i := strings.LastIndexByte(arn, ':')
	if i < 0 {
		return layerPath(arn)
	}
	return layerPath(arn[:i]) + "/" + url.PathEscape(arn[i+1:])
}

func (h layerHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, lambdaService, "DeleteLayerVersion", http.MethodDelete, h.versionPath(old.PhysicalID), nil, nil)
}

func (h layerHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, lambdaService, "GetLayerVersion", http.MethodGet, h.versionPath(old.PhysicalID), nil, nil))
}
