package serverless

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// What a service may say beyond what is read is told once, at its place: as
// without effect, with the reason, or as unknown, which is a warning of the
// framework's too.
//
// Source: the framework's reference of serverless.yml, versions 1 to 4.

const (
	nothingDeployed = "nothing is deployed"
	ofThisMachine   = "functions run as processes of this machine"
	asTheyLie       = "functions run from the service's folder, with whatever lies there"
)

// sections are serverless.yml's that are read, or that steer the framework alone.
var sections = []string{
	"service", "frameworkVersion", "deprecationNotificationMode", "disabledDeprecations", "variablesResolutionMode",
	"provider", "functions", "resources", "custom", "plugins", "package", "layers", "params", "stages", "useDotenv", "app", "org", "tenant",
	"licenseKey", "unresolvedVariablesNotificationMode", "enableLocalInstallationFallback", "description",
}

var sectionsNoEffect = map[string]string{
	"outputs": "there is no dashboard to send outputs to", "console": "there is no dashboard", "dashboard": "there is no dashboard",
	"configValidationMode": "what isn't known is told, and is no error", "configValidation": "what isn't known is told, and is no error",
	"build": "TypeScript is bundled by esbuild with its own defaults", "projectDir": nothingDeployed,
	"extends": "another service isn't laid below this one", "services": "of several services, each is started by itself",
	"environment": "environment belongs below provider or a function", "environmentVariables": "environment belongs below provider or a function",
}

// providerMembers are those of the section provider that are read, or that steer
// the framework alone.
var providerMembers = []string{
	"name", "stage", "region", "runtime", "memorySize", "timeout", "environment", "tags", "layers", "stackName", "iam", "iamRoleStatements",
	"iamManagedPolicies", "role", "websocketsApiName", "websocketsApiRouteSelectionExpression", "websocketsDescription", "websocketApiName",
	"websocketApiRouteSelectionExpression", "profile", "lambdaHashingVersion", "variableSyntax", "credentials",
}

var providerNoEffect = map[string]string{
	"vpc": ofThisMachine, "architecture": ofThisMachine, "snapStart": ofThisMachine, "ephemeralStorageSize": ofThisMachine,
	"tracing": "there is no X-Ray", "logs": "what functions write, and each event, is told in the terminal", "logRetentionInDays": "logs are kept as long as there is room",
	"logDataProtectionPolicy": "logs are kept as they were written", "disableLogs": "what functions write is told in the terminal",
	"versionFunctions": "functions run as they are, without versions", "kmsKeyArn": "environment variables are not encrypted with KMS",
	"runtimeManagement": "the machine's own runtime is used", "cfnRole": nothingDeployed, "deploymentBucket": nothingDeployed, "deploymentPrefix": nothingDeployed,
	"deploymentMethod": nothingDeployed, "notificationArns": nothingDeployed, "rollbackConfiguration": nothingDeployed, "disableRollback": nothingDeployed,
	"stackPolicy": nothingDeployed, "stackParameters": "give values with --parameter-overrides", "stackTags": "tags of stacks are not kept", "resourcePolicy": "REST APIs are not run here",
	"apiGateway": "REST APIs are not run here", "apiKeys": "REST APIs are not run here", "usagePlan": "REST APIs are not run here", "endpointType": "REST APIs are not run here",
	"apiName": "REST APIs are not run here", "httpApi": "HTTP APIs are not run here", "alb": "there are no load balancers here", "cloudFront": "there is no CloudFront here",
	"ecr": "container images don't run here", "s3": "there are no buckets here", "eventBridge": "rules go to the default bus", "rolePermissionsBoundary": "permissions boundaries are not looked at",
	"tenancyConfig": ofThisMachine, "capacityProviders": ofThisMachine, "resolver": "values come from --parameter-overrides", "build": "TypeScript is bundled by esbuild with its own defaults",
}

var packageNoEffect = map[string]string{
	"patterns": asTheyLie, "exclude": asTheyLie, "include": asTheyLie, "individually": asTheyLie, "excludeDevDependencies": asTheyLie,
	"path": nothingDeployed,
}

var roleNoEffect = map[string]string{
	"path": "the role's path is /", "permissionsBoundary": "permissions boundaries are not looked at", "permissionBoundary": "permissions boundaries are not looked at",
}

var layerNoEffect = map[string]string{
	"allowedAccounts": "there is one account", "retain": "a version that functions have serves them on", "compatibleArchitectures": ofThisMachine,
	"licenseInfo": "it is a description",
}

// members tells what of a map isn't read. where names the map.
func (c *compiler) members(n *yaml.Node, where string, read []string, noEffect map[string]string) {
	for _, m := range pairs(n) {
		name := m.key.Value
		why, known := noEffect[name]
		switch {
		case slices.Contains(read, name) || strings.HasPrefix(name, "x-") || isNull(m.value) || scalar(m.value) == "false":
		case known:
			c.notef(m.key, false, "%s has no effect here: %s", clip(where+name), why)
		default:
			c.notef(m.key, false, "%s isn't known here and has no effect", clip(where+name))
		}
	}
}

// unread tells what of the service as a whole isn't read; functions and events
// tell of theirs.
func (c *compiler) unread() {
	c.members(c.root, "", sections, sectionsNoEffect)
	c.members(c.settings, "provider.", providerMembers, providerNoEffect)
	iam := get(c.settings, "iam")
	c.members(iam, "provider.iam.", []string{"role"}, map[string]string{"deploymentRole": nothingDeployed})
	if settings, _ := c.iamRole(); settings != nil && settings.Kind == yaml.MappingNode {
		c.members(settings, "provider.iam.role.", []string{"name", "statements", "managedPolicies", "tags"}, roleNoEffect)
	}
	c.members(c.resolve(get(c.root, "package")), "package.", []string{"artifact"}, packageNoEffect)
	for _, m := range pairs(c.resolve(get(c.root, "layers"))) {
		where := "layers." + m.key.Value + "."
		c.members(m.value, where, []string{"path", "name", "description", "compatibleRuntimes", "package"}, layerNoEffect)
		c.members(get(m.value, "package"), where+"package.", []string{"artifact"}, packageNoEffect)
	}
}
