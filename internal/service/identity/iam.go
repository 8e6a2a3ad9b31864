package identity

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/awshttp"
)

// The wire structs keep IAM's spelling.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html

type roleXML struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	Tags                     *tagsXML `xml:",omitempty"`
}

type tagsXML struct {
	Member []tagXML `xml:"member"`
}

type tagXML struct{ Key, Value string }

type pageXML struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (r *Role) xml() roleXML {
	return roleXML{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, Arn: r.ARN,
		CreateDate:               r.Created.Format(time.RFC3339),
		AssumeRolePolicyDocument: escapeDocument(r.AssumeRolePolicyDocument),
		Description:              r.Description,
		MaxSessionDuration:       r.MaxSessionDuration,
		Tags:                     tagsOf(r.Tags),
	}
}

// tagsOf shows tags by key, nil when there are none.
func tagsOf(tags map[string]string) *tagsXML {
	if len(tags) == 0 {
		return nil
	}
	t := &tagsXML{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		t.Member = append(t.Member, tagXML{k, tags[k]})
	}
	return t
}

// escapeDocument percent-encodes a policy, as IAM returns it (RFC 3986).
func escapeDocument(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// iamOperations are the operations of IAM that Tidegate has.
func (s *Service) iamOperations() map[string]awshttp.HandlerFunc {
	all := s.policyOperations()
	all["CreateRole"], all["ListRoles"] = s.createRole, s.listRoles
	for name, f := range map[string]func(*awshttp.Call, string) (any, error){
		"GetRole":                     s.getRole,
		"DeleteRole":                  s.deleteRole,
		"UpdateAssumeRolePolicy":      s.updateAssumeRolePolicy,
		"PutRolePolicy":               s.putRolePolicy,
		"GetRolePolicy":               s.getRolePolicy,
		"DeleteRolePolicy":            s.deleteRolePolicy,
		"ListRolePolicies":            s.listRolePolicies,
		"AttachRolePolicy":            s.attachRolePolicy,
		"DetachRolePolicy":            s.detachRolePolicy,
		"ListAttachedRolePolicies":    s.listAttachedRolePolicies,
		"TagRole":                     s.tagRole,
		"UntagRole":                   s.untagRole,
		"ListRoleTags":                s.listRoleTags,
		"ListInstanceProfilesForRole": s.listInstanceProfilesForRole,
	} {
		all[name] = ofOne(name, s.roleParam, f)
	}
	return all
}

// ofOne is an operation on one role or policy, which param reads, and on which the
// caller must be allowed the operation.
func ofOne(name string, param func(c *awshttp.Call, action string) (string, error), f func(c *awshttp.Call, of string) (any, error)) awshttp.HandlerFunc {
	return func(c *awshttp.Call) (any, error) {
		of, err := param(c, name)
		if err != nil {
			return nil, err
		}
		return f(c, of)
	}
}

var (
	namePattern   = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathPattern   = regexp.MustCompile(`^(/[!-~]*)?/$`)
	policyPattern = namePattern
)

// param returns a required parameter that has the given form.
func param(c *awshttp.Call, name string, maxLen int, pattern *regexp.Regexp) (string, error) {
	v := first(c, name)
	member := strings.ToLower(name[:1]) + name[1:]
	switch {
	case v == "":
		return "", invalid(member, "Member must not be null")
	case len(v) > maxLen:
		return "", invalid(member, fmt.Sprintf("Member must have length less than or equal to %d", maxLen))
	case pattern != nil && !pattern.MatchString(v):
		return "", awshttp.Errorf(http.StatusBadRequest, "ValidationError", "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", member)
	}
	return v, nil
}

func invalid(member, constraint string) error {
	return awshttp.Errorf(http.StatusBadRequest, "ValidationError", "1 validation error detected: Value at '%s' failed to satisfy constraint: %s", member, constraint)
}

func first(c *awshttp.Call, name string) string {
	if v := c.Form[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// roleParam reads RoleName and asks whether the caller may do the action on
// that role. The role's path, part of its ARN, is known only when it exists.
func (s *Service) roleParam(c *awshttp.Call, action string) (string, error) {
	name, err := param(c, "RoleName", 64, namePattern)
	if err != nil {
		return "", err
	}
	arn := s.roleARN("/", name)
	if _, r, err := s.role(name); err == nil {
		arn = r.ARN
	}
	return name, authorize(c, "iam:"+action, arn)
}

// authorize is Call.Authorize with IAM's error code.
func authorize(c *awshttp.Call, action, resource string) error {
	if d := c.Denied(action, resource); d != nil {
		return accessDenied(d)
	}
	return nil
}

func accessDenied(d *awshttp.Denial) error {
	return awshttp.Errorf(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s because %s", d.Principal, d.Action, d.Resource, d.Why)
}

func (s *Service) roleARN(path, name string) string {
	return "arn:aws:iam::" + s.account + ":role" + path + name
}

// pathParam reads Path, which is / when none is given.
func pathParam(c *awshttp.Call) (string, error) {
	path := cmp.Or(first(c, "Path"), "/")
	if len(path) > 512 || !pathPattern.MatchString(path) {
		return "", awshttp.Errorf(http.StatusBadRequest, "ValidationError", "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return path, nil
}

func (s *Service) createRole(c *awshttp.Call) (any, error) {
	name, err := param(c, "RoleName", 64, namePattern)
	if err != nil {
		return nil, err
	}
	r := &Role{Name: name, ID: "AROA" + randomID(17), Description: first(c, "Description"), MaxSessionDuration: 3600, Created: s.clock.Now().UTC().Truncate(time.Second)}
	if r.Path, err = pathParam(c); err != nil {
		return nil, err
	}
	r.ARN = s.roleARN(r.Path, name)
	if err := authorize(c, "iam:CreateRole", r.ARN); err != nil {
		return nil, err
	}
	if len(r.Description) > 1000 {
		return nil, invalid("description", "Member must have length less than or equal to 1000")
	}
	if first(c, "PermissionsBoundary") != "" {
		return nil, awshttp.Errorf(http.StatusBadRequest, "ValidationError", "Tidegate has no permissions boundaries; leave PermissionsBoundary out of role %s", name)
	}
	if v := first(c, "MaxSessionDuration"); v != "" {
		if r.MaxSessionDuration, err = strconv.Atoi(v); err != nil || r.MaxSessionDuration < 3600 || r.MaxSessionDuration > 43200 {
			return nil, invalid("maxSessionDuration", "Member must have value between 3600 and 43200")
		}
	}
	if r.AssumeRolePolicyDocument, err = param(c, "AssumeRolePolicyDocument", maxDocumentSize, nil); err != nil {
		return nil, err
	}
	if r.Tags, err = tags(c); err != nil {
		return nil, err
	}
	if err := s.create(c.Context(), r); err != nil {
		return nil, err
	}
	return struct {
		XMLName xml.Name `xml:"CreateRoleResult"`
		Role    roleXML
	}{Role: r.xml()}, nil
}

func (s *Service) getRole(c *awshttp.Call, name string) (any, error) {
	_, r, err := s.role(name)
	if err != nil {
		return nil, err
	}
	return struct {
		XMLName xml.Name `xml:"GetRoleResult"`
		Role    roleXML
	}{Role: r.xml()}, nil
}

func (s *Service) deleteRole(c *awshttp.Call, name string) (any, error) {
	return nil, s.remove(c.Context(), name)
}

func (s *Service) listRoles(c *awshttp.Call) (any, error) {
	if err := authorize(c, "iam:ListRoles", s.roleARN("/", "")); err != nil {
		return nil, err
	}
	roles, page, err := paginate(c, s.list(first(c, "PathPrefix")), func(r *Role) string { return r.Name })
	if err != nil {
		return nil, err
	}
	out := make([]roleXML, len(roles))
	for i, r := range roles {
		out[i] = r.xml()
		out[i].Tags = nil // IAM leaves them out here
	}
	return struct {
		XMLName xml.Name  `xml:"ListRolesResult"`
		Roles   []roleXML `xml:"Roles>member"`
		pageXML
	}{Roles: out, pageXML: page}, nil
}

// paginate cuts a sorted list as Marker and MaxItems (100 unless given) say.
// The marker is the name of the last item that was returned.
func paginate[T any](c *awshttp.Call, items []T, name func(T) string) ([]T, pageXML, error) {
	limit := 100
	if v := first(c, "MaxItems"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 1000 {
			return nil, pageXML{}, invalid("maxItems", "Member must have value between 1 and 1000")
		}
		limit = n
	}
	if marker := first(c, "Marker"); marker != "" {
		i := slices.IndexFunc(items, func(t T) bool { return name(t) > marker })
		if i < 0 {
			i = len(items)
		}
		items = items[i:]
	}
	if len(items) <= limit {
		return items, pageXML{}, nil
	}
	return items[:limit], pageXML{IsTruncated: true, Marker: name(items[limit-1])}, nil
}

func (s *Service) updateAssumeRolePolicy(c *awshttp.Call, name string) (any, error) {
	text, err := param(c, "PolicyDocument", maxDocumentSize, nil)
	if err != nil {
		return nil, err
	}
	return nil, s.update(c.Context(), name, func(r *Role) error {
		r.AssumeRolePolicyDocument = text
		return checkSize("the trust policy", text, maxTrustSize, "Cannot exceed quota for ACLSizePerRole: 2048")
	})
}

func (s *Service) putRolePolicy(c *awshttp.Call, name string) (any, error) {
	policy, err := param(c, "PolicyName", 128, policyPattern)
	if err != nil {
		return nil, err
	}
	text, err := param(c, "PolicyDocument", maxDocumentSize, nil)
	if err != nil {
		return nil, err
	}
	return nil, s.update(c.Context(), name, func(r *Role) error {
		if r.Inline == nil {
			r.Inline = make(map[string]string)
		}
		r.Inline[policy] = text
		size := 0
		for _, t := range r.Inline {
			size += sizeWithoutSpace(t)
		}
		if size > maxInlineSize {
			return awshttp.Errorf(http.StatusConflict, "LimitExceeded", "Maximum policy size of %d bytes exceeded for role %s", maxInlineSize, name)
		}
		return nil
	})
}

func (s *Service) getRolePolicy(c *awshttp.Call, name string) (any, error) {
	policy, err := param(c, "PolicyName", 128, policyPattern)
	if err != nil {
		return nil, err
	}
	_, r, err := s.role(name)
	if err != nil {
		return nil, err
	}
	text, ok := r.Inline[policy]
	if !ok {
		return nil, noSuchRolePolicy(policy)
	}
	return struct {
		XMLName        xml.Name `xml:"GetRolePolicyResult"`
		RoleName       string
		PolicyName     string
		PolicyDocument string
	}{RoleName: name, PolicyName: policy, PolicyDocument: escapeDocument(text)}, nil
}

func noSuchRolePolicy(name string) error {
	return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "The role policy with name %s cannot be found.", name)
}

func (s *Service) deleteRolePolicy(c *awshttp.Call, name string) (any, error) {
	policy, err := param(c, "PolicyName", 128, policyPattern)
	if err != nil {
		return nil, err
	}
	return nil, s.update(c.Context(), name, func(r *Role) error {
		if _, ok := r.Inline[policy]; !ok {
			return noSuchRolePolicy(policy)
		}
		delete(r.Inline, policy)
		return nil
	})
}

func (s *Service) listRolePolicies(c *awshttp.Call, name string) (any, error) {
	_, r, err := s.role(name)
	if err != nil {
		return nil, err
	}
	names, page, err := paginate(c, slices.Sorted(maps.Keys(r.Inline)), func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	return struct {
		XMLName     xml.Name `xml:"ListRolePoliciesResult"`
		PolicyNames []string `xml:"PolicyNames>member"`
		pageXML
	}{PolicyNames: names, pageXML: page}, nil
}

// listInstanceProfilesForRole finds none: there are no instances. Terraform asks
// before it deletes a role.
func (s *Service) listInstanceProfilesForRole(c *awshttp.Call, name string) (any, error) {
	if _, _, err := s.role(name); err != nil {
		return nil, err
	}
	return struct {
		XMLName          xml.Name `xml:"ListInstanceProfilesForRoleResult"`
		InstanceProfiles struct{}
		pageXML
	}{}, nil
}

func (s *Service) attachRolePolicy(c *awshttp.Call, name string) (any, error) {
	arn, err := param(c, "PolicyArn", 2048, nil)
	if err != nil {
		return nil, err
	}
	return nil, s.update(c.Context(), name, func(r *Role) error {
		if slices.Contains(r.Attached, arn) {
			return nil
		}
		if len(r.Attached) >= maxAttached {
			return awshttp.Errorf(http.StatusConflict, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
		}
		r.Attached = append(r.Attached, arn) // whether there is such a policy shows when it is parsed
		return nil
	})
}

func (s *Service) detachRolePolicy(c *awshttp.Call, name string) (any, error) {
	arn, err := param(c, "PolicyArn", 2048, nil)
	if err != nil {
		return nil, err
	}
	return nil, s.update(c.Context(), name, func(r *Role) error {
		i := slices.Index(r.Attached, arn)
		if i < 0 {
			return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s was not found.", arn)
		}
		r.Attached = slices.Delete(r.Attached, i, i+1)
		return nil
	})
}

type attachedXML struct {
	PolicyName string
	PolicyArn  string
}

func (s *Service) listAttachedRolePolicies(c *awshttp.Call, name string) (any, error) {
	_, r, err := s.role(name)
	if err != nil {
		return nil, err
	}
	prefix := first(c, "PathPrefix")
	var all []attachedXML
	for _, arn := range slices.Sorted(slices.Values(r.Attached)) {
		if _, path, _ := strings.Cut(arn, ":policy"); strings.HasPrefix(path, prefix) {
			all = append(all, attachedXML{arn[strings.LastIndexByte(arn, '/')+1:], arn})
		}
	}
	some, page, err := paginate(c, all, func(a attachedXML) string { return a.PolicyArn })
	if err != nil {
		return nil, err
	}
	return struct {
		XMLName          xml.Name      `xml:"ListAttachedRolePoliciesResult"`
		AttachedPolicies []attachedXML `xml:"AttachedPolicies>member"`
		pageXML
	}{AttachedPolicies: some, pageXML: page}, nil
}

// tags reads Tags.member.N.Key and .Value.
func tags(c *awshttp.Call) (map[string]string, error) {
	var out map[string]string
	for i := 1; ; i++ {
		at := fmt.Sprintf("Tags.member.%d.", i)
		key := first(c, at+"Key")
		if key == "" {
			return out, nil
		}
		value := first(c, at+"Value")
		if i > maxTags || len(key) > 4*128 || len(value) > 4*256 {
			return nil, invalid("tags", fmt.Sprintf("Member must have at most %d tags, keys of at most 128 and values of at most 256 characters", maxTags))
		}
		if out == nil {
			out = make(map[string]string)
		}
		out[key] = value
	}
}

func (s *Service) tagRole(c *awshttp.Call, name string) (any, error) {
	more, err := tags(c)
	if err != nil {
		return nil, err
	}
	return nil, s.update(c.Context(), name, func(r *Role) error {
		return addTags(&r.Tags, more)
	})
}

// addTags sets further tags, within IAM's bound.
func addTags(to *map[string]string, more map[string]string) error {
	if *to == nil {
		*to = make(map[string]string)
	}
	maps.Copy(*to, more)
	if len(*to) > maxTags {
		return awshttp.Errorf(http.StatusConflict, "LimitExceeded", "The number of tags has reached the maximum limit.")
	}
	return nil
}

// tagKeys reads TagKeys.member.N.
func tagKeys(c *awshttp.Call) []string {
	var keys []string
	for i := 1; i <= maxTags; i++ {
		keys = append(keys, first(c, fmt.Sprintf("TagKeys.member.%d", i)))
	}
	return keys
}

func (s *Service) untagRole(c *awshttp.Call, name string) (any, error) {
	return nil, s.update(c.Context(), name, func(r *Role) error {
		maps.DeleteFunc(r.Tags, func(key, _ string) bool { return slices.Contains(tagKeys(c), key) })
		return nil
	})
}

func (s *Service) listRoleTags(c *awshttp.Call, name string) (any, error) {
	_, r, err := s.role(name)
	if err != nil {
		return nil, err
	}
	return struct {
		XMLName xml.Name `xml:"ListRoleTagsResult"`
		Tags    *tagsXML
		pageXML
	}{Tags: cmp.Or(tagsOf(r.Tags), &tagsXML{})}, nil
}
