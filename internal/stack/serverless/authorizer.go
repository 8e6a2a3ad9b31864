package serverless

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// defaultIdentitySource is the framework's.
const defaultIdentitySource = "route.request.header.Auth"

// authorizer makes what the authorizer of a websocket event stands for, and
// returns the route's AuthorizationType and AuthorizerId. It is aws_iam, the name
// of a function of the service, a function's ARN, or a map with name, arn and
// identitySource.
func (c *compiler) authorizer(f function, v *yaml.Node) (typ string, id *yaml.Node) {
	if isNull(v) {
		return "NONE", nil
	}
	name, arn, sources := scalar(v), (*yaml.Node)(nil), (*yaml.Node)(nil)
	switch {
	case strings.EqualFold(name, "aws_iam"):
		return "AWS_IAM", nil
	case v.Kind == yaml.MappingNode && (get(v, "name") != nil || get(v, "arn") != nil || get(v, "identitySource") != nil):
		name, arn, sources = scalar(get(v, "name")), get(v, "arn"), get(v, "identitySource")
		for _, m := range pairs(v) {
			switch m.key.Value {
			case "name", "arn", "identitySource":
			default:
				c.notef(m.key, false, "function %s: %q of an authorizer isn't known here and has no effect", clip(f.key), clip(m.key.Value))
			}
		}
	case v.Kind == yaml.MappingNode: // an intrinsic function
		arn = v
	}
	if strings.HasPrefix(name, "arn:") {
		arn, name = v, ""
	}
	if isNull(arn) {
		i := slices.IndexFunc(c.functions, func(f function) bool { return f.key == name })
		if i < 0 {
			c.errorf(v, "name a function of this service, or give its arn", "function %s: the authorizer %q is no function of the service", clip(f.key), clip(name))
			return "NONE", nil
		}
		arn = getAtt(c.functions[i].logicalID(), "Arn", v)
	}
	if name == "" {
		text := scalar(arn)
		if name = text[strings.LastIndexByte(text, ':')+1:]; name == "" {
			c.errorf(v, "", "function %s: an authorizer whose arn isn't text needs a name", clip(f.key))
			return "NONE", nil
		}
	}
	if isText(sources) {
		sources = list(sources, sources)
	}
	if isNull(sources) {
		sources = list(v, text(defaultIdentitySource, v))
	}
	base := normalized(name)
	set(c.resources, base+"WebsocketsAuthorizer", object(v, "Type", "AWS::ApiGatewayV2::Authorizer", "Properties", object(v,
		"ApiId", ref(apiID, v), "Name", name, "AuthorizerType", "REQUEST", "IdentitySource", sources,
		"AuthorizerUri", object(v, "Fn::Join", list(v, text("", v), list(v,
			sub("arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/", v), arn, text("/invocations", v)))))))
	set(c.resources, base+"LambdaPermissionWebsockets", object(v, "Type", "AWS::Lambda::Permission",
		"Properties", object(v, "FunctionName", arn, "Action", "lambda:InvokeFunction", "Principal", "apigateway.amazonaws.com")))
	return "CUSTOM", ref(base+"WebsocketsAuthorizer", v)
}
