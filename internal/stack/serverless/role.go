package serverless

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// iamRole is provider.iam.role, and its forms of versions 1 and 2.
func (c *compiler) iamRole() (settings, existing *yaml.Node) {
	n := get(get(c.settings, "iam"), "role")
	if old := get(c.settings, "role"); isNull(n) && !isNull(old) {
		n = old
	}
	switch {
	case isNull(n):
		return nil, nil
	case n.Kind == yaml.ScalarNode:
		return nil, n
	}
	for _, m := range pairs(n) {
		if strings.HasPrefix(m.key.Value, "Fn::") || m.key.Value == "Ref" {
			return nil, n
		}
	}
	return n, nil
}

// roleARN is the role that a name, ARN or intrinsic function means.
func roleARN(n *yaml.Node) *yaml.Node {
	if isText(n) && !strings.Contains(n.Value, ":") {
		return getAtt(n.Value, "Arn", n)
	}
	return n
}

// roleOf is a function's role: its own, the provider's or the one that is made.
func (c *compiler) roleOf(f function) *yaml.Node {
	if n := get(f.n, "role"); !isNull(n) {
		return roleARN(n)
	}
	if !isNull(get(f.n, "iamRoleStatements")) {
		return getAtt(f.id+roleID, "Arn", f.at)
	}
	if _, existing := c.iamRole(); existing != nil {
		return roleARN(existing)
	}
	return getAtt(roleID, "Arn", f.at)
}

// madeRole is the logical id of a function's role, when it is made here.
func (c *compiler) madeRole(f function) string {
	_, existing := c.iamRole()
	switch {
	case !isNull(get(f.n, "role")):
		return ""
	case !isNull(get(f.n, "iamRoleStatements")):
		return f.id + roleID
	case existing != nil:
		return ""
	}
	return roleID
}

// role makes the role of the functions that have none of their own, and those
// that the plugin serverless-iam-roles-per-function makes.
func (c *compiler) role(websocket bool) {
	settings, existing := c.iamRole()
	shared := false
	var common []*yaml.Node
	for _, n := range []*yaml.Node{get(settings, "statements"), get(c.settings, "iamRoleStatements")} {
		if n == nil {
			continue
		}
		if n.Kind != yaml.SequenceNode {
			c.errorf(n, "", "role statements must be a list")
			continue
		}
		for _, s := range n.Content {
			if !isNull(s) {
				common = append(common, s)
			}
		}
		break // the newer form wins
	}
	managed := get(settings, "managedPolicies")
	if managed == nil {
		managed = get(c.settings, "iamManagedPolicies")
	}
	for _, f := range c.functions {
		own := get(f.n, "iamRoleStatements")
		switch {
		case !isNull(get(f.n, "role")):
		case !isNull(own):
			statements := own.Content
			if scalar(get(f.n, "iamRoleStatementsInherit")) == "true" {
				statements = append(append([]*yaml.Node(nil), common...), statements...)
			}
			c.makeRole(f.id+roleID, c.Name+"-"+c.Stage+"-"+f.key+"-"+c.Region+"-lambdaRole", statements, managed, nil, websocket, f.at)
		default:
			shared = existing == nil
		}
	}
	if shared {
		name := c.Name + "-" + c.Stage + "-" + c.Region + "-lambdaRole"
		if n := get(settings, "name"); scalar(n) != "" {
			name = scalar(n)
		}
		c.makeRole(roleID, name, common, managed, settings, websocket, orRoot(settings, c.settings))
	}
}

func (c *compiler) makeRole(id, name string, statements []*yaml.Node, managed, settings *yaml.Node, websocket bool, at *yaml.Node) {
	if len(name) > 64 { // IAM's limit; the framework would be refused
		name = name[:64]
	}
	logs := "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/"
	all := []*yaml.Node{
		object(at, "Effect", "Allow", "Action", list(at, text("logs:CreateLogStream", at), text("logs:CreateLogGroup", at), text("logs:TagResource", at)),
			"Resource", list(at, sub(logs+c.Name+"-"+c.Stage+"*:*", at))),
		object(at, "Effect", "Allow", "Action", list(at, text("logs:PutLogEvents", at)), "Resource", list(at, sub(logs+c.Name+"-"+c.Stage+"*:*:*", at))),
	}
	if websocket {
		all = append(all, object(at, "Effect", "Allow", "Action", list(at, text("execute-api:ManageConnections", at)),
			"Resource", list(at, sub("arn:${AWS::Partition}:execute-api:*:*:*/@connections/*", at))))
	}
	all = append(all, statements...)
	trusted := list(at, text("lambda.amazonaws.com", at))
	for i, f := range c.scheduled[id] {
		if i == 0 {
			trusted.Content = append(trusted.Content, text("scheduler.amazonaws.com", at))
		}
		// By name: the function itself needs the role first.
		all = append(all, object(at, "Effect", "Allow", "Action", list(at, text("lambda:InvokeFunction", at)),
			"Resource", list(at, sub("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"+f.name, at))))
	}
	trust := object(at, "Version", "2012-10-17", "Statement", list(at, object(at, "Effect", "Allow",
		"Principal", object(at, "Service", trusted), "Action", list(at, text("sts:AssumeRole", at)))))
	p := object(at, "AssumeRolePolicyDocument", trust, "Path", "/", "RoleName", name, "Policies", list(at, object(at,
		"PolicyName", c.Stage+"-"+c.Name+"-lambda", "PolicyDocument", object(at, "Version", "2012-10-17", "Statement", list(at, all...)))))
	if !isNull(managed) {
		set(p, "ManagedPolicyArns", managed)
	}
	tags := list(at)
	for _, m := range pairs(get(settings, "tags")) {
		tags.Content = append(tags.Content, object(m.key, "Key", m.key.Value, "Value", m.value))
	}
	if len(tags.Content) > 0 {
		set(p, "Tags", tags)
	}
	set(c.resources, id, object(at, "Type", "AWS::IAM::Role", "Properties", p))
}
