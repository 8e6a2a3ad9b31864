package serverless

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// A function is one entry of the section functions.
type function struct {
	key  string
	id   string // the beginning of its logical ids
	name string // Lambda's
	at   *yaml.Node
	n    *yaml.Node
}

// Logical ids that the framework gives.
const (
	apiID   = "WebsocketsApi"
	stageID = "WebsocketsDeploymentStage"
	roleID  = "IamRoleLambdaExecution"
)

// normalized is a function's name as logical ids have it.
func normalized(name string) string {
	name = strings.ReplaceAll(strings.ReplaceAll(name, "-", "Dash"), "_", "Underscore")
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func (f function) logicalID() string { return f.id + "LambdaFunction" }

func (c *compiler) readFunctions() {
	n := c.resolve(get(c.root, "functions"))
	if isNull(n) {
		return
	}
	groups := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		groups = n.Content
	}
	seen := map[string]bool{}
	for _, g := range groups {
		if isNull(g) {
			continue
		}
		if g.Kind != yaml.MappingNode {
			c.errorf(g, "", "functions must be a map of names to functions")
			continue
		}
		for _, m := range pairs(g) {
			key := m.key.Value
			switch {
			case isNull(m.value):
				continue
			case m.value.Kind != yaml.MappingNode:
				c.errorf(m.value, "", "the function %s must be a map with a handler", clip(key))
				continue
			case seen[key]:
				c.errorf(m.key, "", "the function %s is given twice", clip(key))
				continue
			}
			seen[key] = true
			name := scalar(get(m.value, "name"))
			if name == "" {
				name = c.Name + "-" + c.Stage + "-" + key
			}
			c.functions = append(c.functions, function{key: key, id: normalized(key), name: name, at: m.key, n: m.value})
		}
	}
}

// Members of a function that are read, and those that have no effect here with
// the reason.
var (
	functionMembers = []string{
		"handler", "name", "description", "runtime", "memorySize", "timeout", "environment", "events", "role", "layers", "tags", "package",
		"iamRoleStatements", "iamRoleStatementsInherit", "iamRoleStatementsName", "condition", "dependsOn", "architecture", "maximumRetryAttempts",
		"maximumEventAge", "destinations", "onError", "reservedConcurrency",
	}
	functionNoEffect = map[string]string{
		"url": "function URLs are not built yet", "vpc": ofThisMachine, "tracing": "there is no X-Ray",
		"ephemeralStorageSize": ofThisMachine, "provisionedConcurrency": "environments are started when they are needed", "snapStart": ofThisMachine,
		"kmsKeyArn": "environment variables are not encrypted with KMS", "fileSystemConfig": ofThisMachine,
		"awsKmsKeyArn":       "environment variables are not encrypted with KMS",
		"logRetentionInDays": "logs are kept as long as there is room", "disableLogs": "what functions write is told in the terminal",
		"logs": "what functions write is told in the terminal", "logDataProtectionPolicy": "logs are kept as they were written",
		"versionFunction": "functions run as they are, without versions", "runtimeManagement": "the machine's own runtime is used",
		"warmup": "plugins are not run", "concurrency": "plugins are not run", "alarms": "plugins are not run",
		"build": "TypeScript is bundled by esbuild with its own defaults",
	}
)

// setting is a function's own value or the provider's.
func (c *compiler) setting(f function, name string) *yaml.Node {
	if v := get(f.n, name); !isNull(v) {
		return v
	}
	if v := get(c.settings, name); !isNull(v) {
		return v
	}
	return nil
}

func (c *compiler) function(f function) {
	if image := get(f.n, "image"); image != nil {
		c.errorf(image, "", "function %s: container images are not built yet", clip(f.key))
		return
	}
	c.members(f.n, "functions."+f.key+".", functionMembers, functionNoEffect)
	c.members(get(f.n, "package"), "functions."+f.key+".package.", []string{"artifact"}, packageNoEffect)
	handler := get(f.n, "handler")
	if scalar(handler) == "" {
		c.errorf(f.at, "", "the function %s needs a handler", clip(f.key))
		return
	}
	runtime := c.setting(f, "runtime")
	if runtime == nil {
		runtime = text("nodejs20.x", f.at)
	}
	memory, timeout := c.setting(f, "memorySize"), c.setting(f, "timeout")
	if memory == nil {
		memory = plain("1024", "!!int", f.at)
	}
	if timeout == nil {
		timeout = plain("6", "!!int", f.at)
	}
	p := object(f.at, "Code", c.code(f), "Handler", handler, "Runtime", runtime, "FunctionName", f.name, "MemorySize", memory,
		"Timeout", timeout, "Role", c.roleOf(f), "Description", get(f.n, "description"), "Layers", c.layersOf(f))
	if env := c.environment(f); len(env.Content) > 0 {
		set(p, "Environment", object(f.at, "Variables", env))
	}
	if n := get(f.n, "reservedConcurrency"); !isNull(n) {
		set(p, "ReservedConcurrentExecutions", n)
	}
	if to := get(f.n, "onError"); !isNull(to) {
		set(p, "DeadLetterConfig", object(to, "TargetArn", to))
	}
	if tags := c.tags(f); len(tags.Content) > 0 {
		set(p, "Tags", tags)
	}
	res := object(f.at, "Type", "AWS::Lambda::Function", "Properties", p, "Condition", get(f.n, "condition"), "DependsOn", get(f.n, "dependsOn"))
	set(c.resources, f.logicalID(), res)
	c.invokeConfig(f)
}

// code is where a function's code lies: the service's folder, or the zip file
// that its package names.
func (c *compiler) code(f function) *yaml.Node {
	for _, p := range []*yaml.Node{get(f.n, "package"), c.resolve(get(c.root, "package"))} {
		if a := get(p, "artifact"); scalar(a) != "" {
			return a
		}
	}
	return text(".", f.at)
}

func (c *compiler) environment(f function) *yaml.Node {
	env := object(f.at)
	for _, n := range []*yaml.Node{get(c.settings, "environment"), get(f.n, "environment")} {
		if !isNull(n) && n.Kind != yaml.MappingNode {
			c.errorf(n, "", "environment must be a map of texts")
		}
		for _, m := range pairs(n) {
			set(env, m.key.Value, m.value)
		}
	}
	for i := 0; i+1 < len(env.Content); {
		if isNull(env.Content[i+1]) { // null takes the provider's away
			env.Content = append(env.Content[:i:i], env.Content[i+2:]...)
			continue
		}
		i += 2
	}
	return env
}

func (c *compiler) tags(f function) *yaml.Node {
	tags := object(f.at)
	for _, n := range []*yaml.Node{get(c.settings, "tags"), get(f.n, "tags")} {
		for _, m := range pairs(n) {
			set(tags, m.key.Value, m.value)
		}
	}
	out := list(f.at)
	for _, m := range pairs(tags) {
		out.Content = append(out.Content, object(m.key, "Key", m.key.Value, "Value", m.value))
	}
	return out
}

// invokeConfig is what becomes of asynchronous invocations.
func (c *compiler) invokeConfig(f function) {
	attempts, age, to := get(f.n, "maximumRetryAttempts"), get(f.n, "maximumEventAge"), get(f.n, "destinations")
	if attempts == nil && age == nil && isNull(to) {
		return
	}
	p := object(f.at, "FunctionName", ref(f.logicalID(), f.at), "Qualifier", "$LATEST", "MaximumRetryAttempts", attempts, "MaximumEventAgeInSeconds", age)
	destinations := object(f.at)
	for from, name := range map[string]string{"onSuccess": "OnSuccess", "onFailure": "OnFailure"} {
		n := get(to, from)
		switch {
		case isNull(n):
			continue
		case n.Kind == yaml.MappingNode && get(n, "arn") != nil:
			n = get(n, "arn")
		case n.Kind == yaml.ScalarNode && !strings.HasPrefix(n.Value, "arn:"):
			n = getAtt(normalized(n.Value)+"LambdaFunction", "Arn", n)
		}
		set(destinations, name, object(n, "Destination", n))
	}
	if len(destinations.Content) > 0 {
		set(p, "DestinationConfig", destinations)
	}
	set(c.resources, f.id+"LambdaEvConf", object(f.at, "Type", "AWS::Lambda::EventInvokeConfig", "Properties", p))
}

// layers makes those of the section layers.
func (c *compiler) layers() {
	for _, m := range pairs(c.resolve(get(c.root, "layers"))) {
		if isNull(m.value) {
			continue
		}
		path := get(m.value, "path")
		if artifact := get(get(m.value, "package"), "artifact"); artifact != nil {
			path = artifact
		}
		if scalar(path) == "" {
			c.errorf(m.key, "", "the layer %s needs a path", clip(m.key.Value))
			continue
		}
		name := get(m.value, "name")
		if name == nil {
			name = text(m.key.Value, m.key)
		}
		set(c.resources, normalized(m.key.Value)+"LambdaLayer", object(m.key, "Type", "AWS::Lambda::LayerVersion", "Properties",
			object(m.key, "Content", path, "LayerName", name, "Description", get(m.value, "description"), "CompatibleRuntimes", get(m.value, "compatibleRuntimes"))))
	}
}

func (c *compiler) layersOf(f function) *yaml.Node {
	n := c.setting(f, "layers")
	if n == nil || n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil
	}
	return n
}
