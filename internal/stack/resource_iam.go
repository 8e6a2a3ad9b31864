package stack

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The types of IAM. Source: the CloudFormation reference of AWS::IAM.

var iamTypes = map[string]*resourceType{
	"AWS::IAM::Role": {
		name:         "AWS::IAM::Role",
		attributes:   []string{"Arn", "RoleId"},
		nameProperty: "RoleName",
		nameLimit:    64,
		properties: map[string]property{
			"AssumeRolePolicyDocument": required(property{form: aDocument}),
			"Description":              textProperty,
			"ManagedPolicyArns":        {form: texts},
			"MaxSessionDuration":       noEffect(anInteger, "a function's keys don't expire"),
			"Path":                     replaces(textProperty),
			"PermissionsBoundary":      noEffect(aText, "boundaries are not applied: the role may do here what its boundary would forbid"),
			"Policies": fields(objects, map[string]property{
				"PolicyDocument": required(property{form: aDocument}),
				"PolicyName":     required(textProperty),
			}),
			"RoleName": replaces(textProperty),
			"Tags":     {form: tagList},
		},
	},
	"AWS::IAM::Policy": {
		name: "AWS::IAM::Policy",
		properties: map[string]property{
			"Groups":         noEffect(texts, "there are roles, no groups"),
			"PolicyDocument": required(property{form: aDocument}),
			"PolicyName":     required(replaces(textProperty)),
			"Roles":          {form: texts},
			"Users":          noEffect(texts, "there are roles, no users"),
		},
	},
}

type roleHandler struct{}

// call calls an operation of IAM with form values in turn: name, value, ….
func (a *applier) iam(ctx context.Context, action string, namesAndValues ...string) ([]byte, error) {
	form := url.Values{}
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		form.Set(namesAndValues[i], namesAndValues[i+1])
	}
	return a.query(ctx, "iam", "2010-05-08", action, form)
}

// document is a policy document as JSON text.
func document(v *value) string {
	if v.kind == text {
		return v.text
	}
	return v.json()
}

func (h roleHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	form := []string{"RoleName", c.name, "AssumeRolePolicyDocument", document(c.properties.get("AssumeRolePolicyDocument"))}
	for _, name := range []string{"Path", "Description"} {
		if s := c.get(name); s != "" {
			form = append(form, name, s)
		}
	}
	form = append(form, tagForm(tagMap(c.properties.get("Tags")))...)
	answer, err := a.iam(ctx, "CreateRole", form...)
	if isConflict(err) {
		// Made by a run that didn't come to record it.
		if answer, err = a.iam(ctx, "GetRole", "RoleName", c.name); err == nil {
			err = h.trust(ctx, a, c)
		}
	}
	if err != nil {
		return RecordedResource{}, err
	}
	out := h.recorded(a, c, answer)
	return out, h.policies(ctx, a, c)
}

// tagForm writes tags as IAM's forms want them.
func tagForm(tags map[string]any) []string {
	var form []string
	for i, k := range keys(tags) {
		n := "Tags.member." + strconv.Itoa(i+1)
		form = append(form, n+".Key", k, n+".Value", tags[k].(string))
	}
	return form
}

// retag makes the role's tags what the template says.
func (roleHandler) retag(ctx context.Context, a *applier, c *change) error {
	wanted := tagMap(c.properties.get("Tags"))
	if len(wanted) > 0 {
		if _, err := a.iam(ctx, "TagRole", append([]string{"RoleName", c.name}, tagForm(wanted)...)...); err != nil {
			return err
		}
	}
	form := []string{"RoleName", c.name}
	for _, k := range lines(c.old.Details[roleTags]) {
		if _, ok := wanted[k]; !ok {
			form = append(form, "TagKeys.member."+strconv.Itoa(len(form)/2), k)
		}
	}
	if len(form) == 2 {
		return nil
	}
	_, err := a.iam(ctx, "UntagRole", form...)
	return err
}

// The details of a role list its policies and tags, one a line, so that those
// that left the template can be deleted.
const (
	inlinePolicies  = "PolicyNames"
	managedPolicies = "ManagedPolicyArns"
	roleTags        = "TagKeys"
)

func (roleHandler) recorded(a *applier, c *change, answer []byte) RecordedResource {
	arn, id := xmlText(answer, "Arn"), xmlText(answer, "RoleId")
	if c.old != nil {
		arn, id = c.old.ARN, c.old.Attributes["RoleId"]
	}
	if arn == "" {
		arn = a.s.roleARN(c)
	}
	out := c.recorded(c.name, arn)
	out.Attributes["Arn"], out.Attributes["RoleId"] = arn, id
	inline, managed := roleWants(c)
	out.Details[inlinePolicies] = strings.Join(keys(inline), "\n")
	out.Details[managedPolicies] = strings.Join(managed, "\n")
	out.Details[roleTags] = strings.Join(keys(tagMap(c.properties.get("Tags"))), "\n")
	return out
}

// roleWants returns the inline policies by name and the managed ARNs that the
// template gives a role.
func roleWants(c *change) (inline map[string]string, managed []string) {
	inline = map[string]string{}
	if ps := c.properties.get("Policies"); ps != nil {
		for _, p := range ps.items {
			name, _ := p.get("PolicyName").scalar()
			inline[name] = document(p.get("PolicyDocument"))
		}
	}
	if ps := c.properties.get("ManagedPolicyArns"); ps != nil {
		for _, p := range ps.items {
			arn, _ := p.scalar()
			if !slices.Contains(managed, arn) {
				managed = append(managed, arn)
			}
		}
	}
	return inline, managed
}

// policies makes the role's policies what the template says.
func (h roleHandler) policies(ctx context.Context, a *applier, c *change) error {
	inline, managed := roleWants(c)
	for _, name := range keys(inline) {
		if _, err := a.iam(ctx, "PutRolePolicy", "RoleName", c.name, "PolicyName", name, "PolicyDocument", inline[name]); err != nil {
			return err
		}
	}
	for _, arn := range managed {
		_, err := a.iam(ctx, "AttachRolePolicy", "RoleName", c.name, "PolicyArn", arn)
		if isNotFound(err) {
			a.r.notef(c.res.propertyPlace("ManagedPolicyArns"), "the managed policy %s isn't known here: the role gets nothing from it", strings.TrimPrefix(arn, awsPolicies))
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if c.old == nil {
		return nil
	}
	for _, name := range lines(c.old.Details[inlinePolicies]) {
		if _, ok := inline[name]; ok {
			continue
		}
		if _, err := a.iam(ctx, "DeleteRolePolicy", "RoleName", c.name, "PolicyName", name); err != nil && !isNotFound(err) {
			return err
		}
	}
	for _, arn := range lines(c.old.Details[managedPolicies]) {
		if slices.Contains(managed, arn) {
			continue
		}
		if _, err := a.iam(ctx, "DetachRolePolicy", "RoleName", c.name, "PolicyArn", arn); err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// trust sets who may assume the role.
func (roleHandler) trust(ctx context.Context, a *applier, c *change) error {
	_, err := a.iam(ctx, "UpdateAssumeRolePolicy", "RoleName", c.name, "PolicyDocument", document(c.properties.get("AssumeRolePolicyDocument")))
	return a.optional(c, "AssumeRolePolicyDocument", err)
}

func (h roleHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	if c.has("AssumeRolePolicyDocument") {
		if err := h.trust(ctx, a, c); err != nil {
			return RecordedResource{}, err
		}
	}
	if c.has("Description") {
		_, err := a.iam(ctx, "UpdateRole", "RoleName", c.name, "Description", c.get("Description"))
		if err := a.optional(c, "Description", err); err != nil {
			return RecordedResource{}, err
		}
	}
	if c.has("Tags") {
		if err := a.optional(c, "Tags", h.retag(ctx, a, c)); err != nil {
			return RecordedResource{}, err
		}
	}
	out := h.recorded(a, c, nil)
	if !c.has("Policies", "ManagedPolicyArns") {
		return out, nil
	}
	return out, h.policies(ctx, a, c)
}

func (roleHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	for _, name := range lines(old.Details[inlinePolicies]) {
		if _, err := a.iam(ctx, "DeleteRolePolicy", "RoleName", old.PhysicalID, "PolicyName", name); err != nil && !isNotFound(err) {
			return err
		}
	}
	for _, arn := range lines(old.Details[managedPolicies]) {
		if _, err := a.iam(ctx, "DetachRolePolicy", "RoleName", old.PhysicalID, "PolicyArn", arn); err != nil && !isNotFound(err) {
			return err
		}
	}
	_, err := a.iam(ctx, "DeleteRole", "RoleName", old.PhysicalID)
	return err
}

func (roleHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	_, err := a.iam(ctx, "GetRole", "RoleName", old.PhysicalID)
	return there(err)
}

// policyHandler handles AWS::IAM::Policy: an inline policy of every role that
// it names.
type policyHandler struct{}

const policyRoles = "Roles"

func (h policyHandler) put(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	out := c.recorded(a.s.generatedName(c.res.id, 64), "")
	name := c.get("PolicyName")
	var roles []string
	for _, r := range itemsOf(c.properties.get("Roles")) {
		role, _ := r.scalar()
		roles = append(roles, role)
		if _, err := a.iam(ctx, "PutRolePolicy", "RoleName", role, "PolicyName", name, "PolicyDocument", document(c.properties.get("PolicyDocument"))); err != nil {
			return out, err
		}
	}
	out.Details[policyRoles], out.Details["PolicyName"] = strings.Join(roles, "\n"), name
	return out, nil
}

func (h policyHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.put(ctx, a, c)
}

func (h policyHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	out, err := h.put(ctx, a, c)
	if err != nil {
		return out, err
	}
	left := RecordedResource{Details: map[string]string{"PolicyName": c.old.Details["PolicyName"]}}
	var gone []string
	for _, role := range lines(c.old.Details[policyRoles]) {
		if !slices.Contains(lines(out.Details[policyRoles]), role) {
			gone = append(gone, role)
		}
	}
	left.Details[policyRoles] = strings.Join(gone, "\n")
	return out, h.remove(ctx, a, left)
}

func (policyHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	for _, role := range lines(old.Details[policyRoles]) {
		if a.hasPolicy(role, old.Details["PolicyName"]) {
			continue // another logical id has it now
		}
		_, err := a.iam(ctx, "DeleteRolePolicy", "RoleName", role, "PolicyName", old.Details["PolicyName"])
		if err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}

// hasPolicy reports whether a resource applied in this run is that policy of
// that role.
func (a *applier) hasPolicy(role, name string) bool {
	for _, now := range a.values.known {
		if now.Type == "AWS::IAM::Policy" && now.Details["PolicyName"] == name && slices.Contains(lines(now.Details[policyRoles]), role) {
			return true
		}
	}
	return false
}
