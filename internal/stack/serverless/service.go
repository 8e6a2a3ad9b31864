// Package serverless turns a serverless.yml into the CloudFormation template
// that the Serverless Framework makes of it: the same resources under the same
// logical ids, so that what refers to them goes on to. It runs and downloads
// nothing.
//
// Source: the framework's documentation, versions 1 to 4, and its naming of
// resources.
package serverless

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Options are what a service is read with.
type Options struct {
	// Stage and Region are the command line's; empty means that the service says.
	Stage, Region string
	// DefaultRegion is taken when neither says.
	DefaultRegion string
	Account       string
	// Overrides give values to ${param:…} by name, and to what other services
	// would be asked for by the variable's text, such as ssm:/path.
	Overrides map[string]string
	// Env looks an environment variable up.
	Env func(string) (string, bool)
}

// A Message is a problem or a note. Lines count on through all files.
type Message struct {
	Line, Column int
	Text, Hint   string
	// Lacking says that a service is missing which Tidegate lacks, so that a strict
	// reader makes a problem of it.
	Lacking bool
}

// A File is one that was read; Before is how many lines were counted before its
// first.
type File struct {
	Path   string
	Before int
	lines  int
}

// A Service is what was read. With Problems the template is incomplete.
type Service struct {
	Template      *yaml.Node // CloudFormation's, intrinsic functions in either form
	Name          string
	Stage, Region string
	Files         []File
	Used          map[string]bool // the overrides that a variable took
	Problems      []Message
	Notes         []Message
	stack         string // provider.stackName
}

// StackName is the framework's name for the service's stack.
func (s *Service) StackName() string {
	if s.stack != "" {
		return s.stack
	}
	return s.Name + "-" + s.Stage
}

// Is reports whether a file is a service's, by its name.
func Is(path string) bool {
	switch filepath.Base(path) {
	case "serverless.yml", "serverless.yaml", "serverless.json":
		return true
	}
	return false
}

// Read reads a service. What is wrong with it comes back as its problems; an
// error says that the file can't be read at all.
func Read(path string, o Options) (*Service, error) {
	if _, err := readFile(path); err != nil {
		return nil, err
	}
	s := &Service{Used: map[string]bool{}}
	r := &resolver{
		Service: s, o: o, dir: filepath.Dir(path), trees: map[string]*yaml.Node{}, noted: map[string]bool{},
		done: map[*yaml.Node]*yaml.Node{}, busy: map[*yaml.Node]bool{}, ready: map[*yaml.Node]bool{},
	}
	r.root = r.open(path, nil)
	if r.root == nil || len(s.Problems) > 0 {
		return s, nil
	}
	if r.root.Kind != yaml.MappingNode {
		r.errorf(r.root, "", "a service is a map with service, provider and functions")
		return s, nil
	}
	r.stageOf()
	if v := scalar(target(get(r.root, "useDotenv"))); v == "true" || strings.HasPrefix(strings.TrimLeft(scalar(target(get(r.root, "frameworkVersion"))), "^~>=v "), "4") {
		r.loadEnv()
		s.Stage, r.done = "", map[*yaml.Node]*yaml.Node{} // they may have asked for what .env says
		s.Problems, s.Notes = nil, nil
		r.stageOf()
	}
	r.regionOf()
	c := &compiler{resolver: r, resources: object(r.root), scheduled: map[string][]function{}}
	c.compile()
	return s, nil
}

// A compiler makes resources of functions and events.
type compiler struct {
	*resolver
	resources *yaml.Node
	settings  *yaml.Node // the section provider
	functions []function
	// user are the section resources' own.
	user *yaml.Node
	// scheduled are the functions that EventBridge Scheduler calls, by the role that
	// lets it, a logical id.
	scheduled map[string][]function
}

func (c *compiler) compile() {
	c.readService()
	c.settings = c.resolve(get(c.root, "provider"))
	switch {
	case c.settings == nil || c.settings.Kind == yaml.ScalarNode && scalar(c.settings) == "aws":
		c.settings = object(c.root, "name", "aws")
	case c.settings.Kind != yaml.MappingNode:
		c.errorf(c.settings, "", "provider must be a map with a name")
		c.settings = object(c.root, "name", "aws")
	}
	if name := scalar(get(c.settings, "name")); name != "aws" {
		c.errorf(orRoot(get(c.settings, "name"), c.settings), "", "provider.name must be aws, not %q", clip(name))
	}
	if v := get(get(c.settings, "apiGateway"), "websocketApiId"); v != nil {
		c.errorf(v, "leave it out: the service gets an API of its own", "provider.apiGateway.websocketApiId names an API of another stack")
	}
	c.stack = scalar(get(c.settings, "stackName"))
	c.unread()
	c.plugins()
	c.user = c.userResources()
	c.layers()
	c.readFunctions()
	websocket := false
	for _, f := range c.functions {
		c.function(f)
	}
	for _, f := range c.functions {
		websocket = c.events(f) || websocket
	}
	if websocket {
		c.api()
	}
	c.role(websocket)
	c.assemble(websocket)
}

func isRegular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func orRoot(n, root *yaml.Node) *yaml.Node {
	if n != nil {
		return n
	}
	return root
}

var serviceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

func (c *compiler) readService() {
	n := c.resolve(get(c.root, "service"))
	at := orRoot(n, c.root)
	if n != nil && n.Kind == yaml.MappingNode {
		n = get(n, "name")
	}
	if c.Name = scalar(n); !serviceName.MatchString(c.Name) {
		c.errorf(at, "", "service must be a name of letters, digits and hyphens that begins with a letter, not %q", clip(c.Name))
		c.Name = "service"
	}
	if !regexp.MustCompile(`^[A-Za-z0-9-]+$`).MatchString(c.Stage) {
		c.errorf(orRoot(get(c.provider(), "stage"), c.root), "", "a stage has letters, digits and hyphens, not %q", clip(c.Stage))
		c.Stage = "dev"
	}
}

// plugins says what becomes of each.
func (c *compiler) plugins() {
	n := c.resolve(get(c.root, "plugins"))
	if n != nil && n.Kind == yaml.MappingNode {
		n = get(n, "modules")
	}
	if n == nil {
		return
	}
	for _, p := range n.Content {
		switch name := scalar(p); name {
		case "serverless-offline", "serverless-offline-scheduler", "serverless-dynamodb-local", "serverless-dynamodb", "serverless-offline-ssm",
			"serverless-pseudo-parameters", "serverless-iam-roles-per-function", "serverless-dotenv-plugin", "serverless-prune-plugin",
			"serverless-plugin-common-excludes", "serverless-plugin-include-dependencies", "serverless-deployment-bucket", "serverless-stack-output", "serverless-websockets-plugin":
			// Tidegate is what they are for, does what they do, or has no use for it.
		case "serverless-esbuild", "serverless-bundle", "serverless-webpack", "serverless-plugin-typescript", "serverless-plugin-optimize", "serverless-typescript":
			// Handlers in TypeScript are bundled where they are run.
		case "serverless-python-requirements":
			if !isRegular(filepath.Join(c.dir, "requirements.txt")) {
				c.notef(p, false, "%s is not run: what requirements.txt beside serverless.yml lists is installed, and there is none; what other files list must be on this machine", name)
			}
		default:
			c.notef(p, false, "the plugin %s is not run", clip(name))
		}
	}
	if slices.ContainsFunc(n.Content, func(p *yaml.Node) bool { return scalar(p) == "serverless-dotenv-plugin" }) && c.env == nil {
		c.loadEnv()
	}
}

// userResources are the section resources, its list form merged.
func (c *compiler) userResources() *yaml.Node {
	n := c.resolve(get(c.root, "resources"))
	all := object(c.root)
	if isNull(n) {
		return all
	}
	parts := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		parts = n.Content
	}
	for _, p := range parts {
		switch {
		case isNull(p):
		case p.Kind != yaml.MappingNode:
			c.errorf(p, "", "resources must be maps with Resources, Outputs and the like")
		default:
			all = merged(all, p, 0)
		}
	}
	return all
}

// assemble lays the section resources over what was made.
func (c *compiler) assemble(websocket bool) {
	t := object(c.root, "AWSTemplateFormatVersion", "2010-09-09")
	outputs := object(c.root)
	if websocket {
		set(outputs, "ServiceEndpointWebsocket", object(c.root, "Description", "URL of the service endpoint", "Value", c.endpoint(c.root)))
	}
	user := *c.user
	var extensions *yaml.Node
	user.Content = nil
	for _, m := range pairs(c.user) {
		if m.key.Value == "extensions" {
			extensions = m.value
			continue
		}
		user.Content = append(user.Content, m.key, m.value)
	}
	set(t, "Resources", c.resources)
	if len(outputs.Content) > 0 {
		set(t, "Outputs", outputs)
	}
	t = merged(t, &user, 0)
	c.hidden(t)
	for _, m := range pairs(extensions) {
		made := get(get(t, "Resources"), m.key.Value)
		if made == nil {
			c.errorf(m.key, "", "resources.extensions extends %q, which the service doesn't make", clip(m.key.Value))
			continue
		}
		set(get(t, "Resources"), m.key.Value, merged(made, m.value, 0))
	}
	if websocket {
		c.deployment(get(t, "Resources"))
	}
	c.Template = c.pseudo(t, false, 0)
}

// hidden adds what the framework always makes and nobody sees, where the template
// names it: log groups and the bucket for deployments.
func (c *compiler) hidden(t *yaml.Node) {
	resources := get(t, "Resources")
	mentioned := mentions(t, map[string]bool{}, 0)
	extended := func(id string) bool { return get(get(c.user, "extensions"), id) != nil }
	add := func(id, typ string, properties *yaml.Node) {
		if get(resources, id) == nil && (mentioned[id] || extended(id)) {
			set(resources, id, object(c.root, "Type", typ, "Properties", properties))
		}
	}
	for _, f := range c.functions {
		add(f.id+"LogGroup", "AWS::Logs::LogGroup", object(c.root, "LogGroupName", "/aws/lambda/"+f.name))
	}
	add("ServerlessDeploymentBucket", "AWS::S3::Bucket", object(c.root))
}

// mentions collects the logical ids that Ref, GetAtt, Sub and DependsOn may name:
// any word of a text.
func mentions(n *yaml.Node, words map[string]bool, depth int) map[string]bool {
	if n == nil || depth > 200 || len(words) > maxNodes {
		return words
	}
	if n.Kind == yaml.ScalarNode && len(n.Value) < 1<<16 {
		for _, w := range strings.FieldsFunc(n.Value, func(c rune) bool {
			return (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z')
		}) {
			words[w] = true
		}
	}
	for _, x := range n.Content {
		mentions(x, words, depth+1)
	}
	return words
}

var pseudoParameter = regexp.MustCompile(`#\{([A-Za-z0-9:.]+)\}`)

// pseudo turns #{AWS::AccountId}, the plugin serverless-pseudo-parameters' form,
// into Fn::Sub.
func (c *compiler) pseudo(n *yaml.Node, inSub bool, depth int) *yaml.Node {
	if n == nil || depth > 200 || !c.spend(n) {
		return n
	}
	if n.Kind == yaml.ScalarNode {
		if !pseudoParameter.MatchString(n.Value) {
			return n
		}
		s := pseudoParameter.ReplaceAllString(n.Value, "$${$1}")
		if inSub || n.Tag == "!Sub" {
			m := *n
			m.Value = s
			return &m
		}
		return sub(s, n)
	}
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, x := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			out.Content[i] = x
			continue
		}
		isSub := n.Kind == yaml.MappingNode && n.Content[i-1].Value == "Fn::Sub" || n.Tag == "!Sub"
		out.Content[i] = c.pseudo(x, isSub || inSub && n.Kind == yaml.SequenceNode, depth+1)
	}
	return &out
}

// deployment adds the deployment of what the template makes of routes and
// integrations; its name is theirs, so that a change makes another one.
func (c *compiler) deployment(resources *yaml.Node) {
	h := sha256.New()
	var routes []*yaml.Node
	for _, m := range pairs(resources) {
		switch typ := scalar(get(m.value, "Type")); typ {
		case "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::RouteResponse", "AWS::ApiGatewayV2::IntegrationResponse":
			if typ == "AWS::ApiGatewayV2::Route" {
				routes = append(routes, text(m.key.Value, m.key))
			}
			fmt.Fprintf(h, "%q", m.key.Value)
			fingerprint(h.Write, m.value, 0)
		}
	}
	id := "WebsocketsDeployment" + hex.EncodeToString(h.Sum(nil))[:16]
	at := c.root
	set(resources, id, object(at, "Type", "AWS::ApiGatewayV2::Deployment", "DependsOn", list(at, routes...),
		"Properties", object(at, "ApiId", ref(apiID, at), "Description", c.description())))
	stage := object(at, "Type", "AWS::ApiGatewayV2::Stage", "Properties", object(at,
		"ApiId", ref(apiID, at), "DeploymentId", ref(id, at), "StageName", c.Stage, "Description", c.description()))
	set(resources, stageID, merged(stage, get(resources, stageID), 0))
}

func fingerprint(write func([]byte) (int, error), n *yaml.Node, depth int) {
	if n == nil || depth > 200 {
		return
	}
	write(fmt.Appendf(nil, "%d%q%q(", n.Kind, n.Tag, n.Value))
	for _, x := range n.Content {
		fingerprint(write, x, depth+1)
	}
	write([]byte(")"))
}
