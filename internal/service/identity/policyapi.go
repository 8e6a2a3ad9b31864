package identity

import (
	"cmp"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/pattern"
)

// policyOperations are IAM's on managed policies.
func (s *Service) policyOperations() map[string]awshttp.HandlerFunc {
	all := map[string]awshttp.HandlerFunc{"CreatePolicy": s.createPolicy, "ListPolicies": s.listPolicies}
	for name, f := range map[string]func(*awshttp.Call, string) (any, error){
		"GetPolicy":             s.getPolicy,
		"GetPolicyVersion":      s.getPolicyVersion,
		"ListPolicyVersions":    s.listPolicyVersions,
		"ListEntitiesForPolicy": s.listEntitiesForPolicy,
		"ListPolicyTags":        s.listPolicyTags,
	} {
		all[name] = ofOne(name, policyParam, f)
	}
	for name, f := range map[string]func(*awshttp.Call, string) (any, error){
		"DeletePolicy":            s.deletePolicy,
		"CreatePolicyVersion":     s.createPolicyVersion,
		"SetDefaultPolicyVersion": s.setDefaultPolicyVersion,
		"DeletePolicyVersion":     s.deletePolicyVersion,
		"TagPolicy":               s.tagPolicy,
		"UntagPolicy":             s.untagPolicy,
	} {
		all[name] = ofOne(name, policyToChange, f)
	}
	return all
}

type policyXML struct {
	PolicyName                    string
	PolicyID                      string `xml:"PolicyId"`
	Arn                           string
	Path                          string
	DefaultVersionID              string `xml:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    string
	UpdateDate                    string
	Tags                          *tagsXML `xml:",omitempty"`
}

type versionXML struct {
	Document         string `xml:",omitempty"`
	VersionID        string `xml:"VersionId"`
	IsDefaultVersion bool
	CreateDate       string
}

func (p *Policy) xml(attached int) policyXML {
	return policyXML{
		PolicyName: p.Name, PolicyID: p.ID, Arn: p.ARN, Path: p.Path, DefaultVersionID: p.Default, AttachmentCount: attached, IsAttachable: true,
		CreateDate: p.Created.Format(time.RFC3339), UpdateDate: p.Updated.Format(time.RFC3339), Tags: tagsOf(p.Tags),
	}
}

// versionXML shows a version, its document only where IAM shows it.
func (p *Policy) versionXML(v PolicyVersion, document bool) versionXML {
	out := versionXML{VersionID: v.ID, IsDefaultVersion: v.ID == p.Default, CreateDate: v.Created.Format(time.RFC3339)}
	if document {
		out.Document = escapeDocument(v.Document)
	}
	return out
}

var (
	policyARNPattern = pattern.New(`^arn:aws:iam::(aws|\d{12}):policy/[!-~]+$`)
	versionPattern   = pattern.New(`^v[1-9][0-9]{0,8}$`)
)

// policyParam reads PolicyArn and asks whether the caller may do the action on
// that policy.
func policyParam(c *awshttp.Call, action string) (string, error) {
	arn, err := param(c, "PolicyArn", 2048, nil)
	if err != nil {
		return "", err
	}
	if !policyARNPattern.MatchString(arn) {
		return "", awshttp.Errorf(http.StatusBadRequest, "ValidationError", "ARN %s is not valid.", arn)
	}
	return arn, authorize(c, "iam:"+action, arn)
}

// policyToChange is policyParam for what AWS's own policies refuse.
func policyToChange(c *awshttp.Call, action string) (string, error) {
	arn, err := policyParam(c, action)
	if err == nil && strings.HasPrefix(arn, managedPrefix) {
		err = awshttp.Errorf(http.StatusForbidden, "AccessDenied", "Policy %s is AWS's own and can't be changed.", arn)
	}
	return arn, err
}

func versionParam(c *awshttp.Call) (string, error) {
	v, err := param(c, "VersionId", 10, nil)
	if err == nil && !versionPattern.MatchString(v) {
		err = invalid("versionId", `Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
	}
	return v, err
}

// documentParam reads a policy's text, which is no longer than IAM takes.
func documentParam(c *awshttp.Call) (string, error) {
	text, err := param(c, "PolicyDocument", maxDocumentSize, nil)
	if err != nil {
		return "", err
	}
	return text, checkSize("the policy", text, maxPolicySize, "Cannot exceed quota for PolicySize: 6144")
}

// anyPolicy returns the policy of an ARN, AWS's too: of those the text is as
// Tidegate evaluates it, and dates and version are none of AWS's.
func (s *Service) anyPolicy(arn string) (*Policy, error) {
	rest, ours := strings.CutPrefix(arn, managedPrefix)
	if !ours {
		return s.policy(arn)
	}
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	known, ok := managedPolicies[name]
	if !ok || known.path+name != rest {
		return nil, noSuchPolicy(arn)
	}
	return known.policy(name), nil
}

func (p managedPolicy) policy(name string) *Policy {
	made := time.Unix(1423247986, 0).UTC() // when AWS began to have managed policies
	return &Policy{
		Name: name, ID: "ANPA" + strings.ToUpper(name), Path: p.path, ARN: managedPrefix + p.path + name, Created: made, Updated: made, Default: "v1",
		Versions: []PolicyVersion{{ID: "v1", Document: p.document(), Created: made}},
	}
}

func (s *Service) createPolicy(c *awshttp.Call) (any, error) {
	name, err := param(c, "PolicyName", 128, policyPattern)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now().UTC().Truncate(time.Second)
	p := &Policy{Name: name, ID: "ANPA" + randomID(17), Description: first(c, "Description"), Created: now}
	if p.Path, err = pathParam(c); err != nil {
		return nil, err
	}
	p.ARN = "arn:aws:iam::" + s.account + ":policy" + p.Path + name
	if err := authorize(c, "iam:CreatePolicy", p.ARN); err != nil {
		return nil, err
	}
	if len(p.Description) > 1000 {
		return nil, invalid("description", "Member must have length less than or equal to 1000")
	}
	text, err := documentParam(c)
	if err != nil {
		return nil, err
	}
	p.add(text, now, true)
	if p.Tags, err = tags(c); err != nil {
		return nil, err
	}
	if err := s.addPolicy(c.Context(), p); err != nil {
		return nil, err
	}
	return struct {
		XMLName xml.Name `xml:"CreatePolicyResult"`
		Policy  policyXML
	}{Policy: p.xml(0)}, nil
}

func (s *Service) getPolicy(c *awshttp.Call, arn string) (any, error) {
	p, err := s.anyPolicy(arn)
	if err != nil {
		return nil, err
	}
	out := p.xml(s.attachments()[arn])
	out.Description = p.Description
	return struct {
		XMLName xml.Name `xml:"GetPolicyResult"`
		Policy  policyXML
	}{Policy: out}, nil
}

func (s *Service) listPolicies(c *awshttp.Call) (any, error) {
	if err := authorize(c, "iam:ListPolicies", "*"); err != nil {
		return nil, err
	}
	var all []*Policy
	scope := cmp.Or(first(c, "Scope"), "All")
	switch scope {
	case "All", "AWS", "Local":
	default:
		return nil, invalid("scope", "Member must satisfy enum value set: [AWS, Local, All]")
	}
	if scope != "AWS" {
		all = s.listOwnPolicies()
	}
	if scope != "Local" {
		for name, p := range managedPolicies {
			all = append(all, p.policy(name))
		}
	}
	counts, prefix := s.attachments(), first(c, "PathPrefix")
	all = slices.DeleteFunc(all, func(p *Policy) bool {
		return !strings.HasPrefix(p.Path, prefix) || first(c, "OnlyAttached") == "true" && counts[p.ARN] == 0 || first(c, "PolicyUsageFilter") == "PermissionsBoundary"
	})
	slices.SortFunc(all, func(a, b *Policy) int { return strings.Compare(a.ARN, b.ARN) })
	some, page, err := paginate(c, all, func(p *Policy) string { return p.ARN })
	if err != nil {
		return nil, err
	}
	out := make([]policyXML, len(some))
	for i, p := range some {
		out[i] = p.xml(counts[p.ARN])
		out[i].Tags = nil // IAM leaves them out here
	}
	return struct {
		XMLName  xml.Name    `xml:"ListPoliciesResult"`
		Policies []policyXML `xml:"Policies>member"`
		pageXML
	}{Policies: out, pageXML: page}, nil
}

func (s *Service) deletePolicy(c *awshttp.Call, arn string) (any, error) {
	return nil, s.removePolicy(c.Context(), arn)
}

func (s *Service) createPolicyVersion(c *awshttp.Call, arn string) (any, error) {
	text, err := documentParam(c)
	if err != nil {
		return nil, err
	}
	if _, err := parseIdentityPolicy(arn[strings.LastIndexByte(arn, '/')+1:], text); err != nil {
		return nil, err
	}
	var made versionXML
	err = s.updatePolicy(c.Context(), arn, func(p *Policy) error {
		if len(p.Versions) >= maxPolicyVersions {
			return awshttp.Errorf(http.StatusConflict, "LimitExceeded", "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxPolicyVersions)
		}
		made = p.versionXML(p.add(text, s.clock.Now().UTC().Truncate(time.Second), first(c, "SetAsDefault") == "true"), false)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return struct {
		XMLName       xml.Name `xml:"CreatePolicyVersionResult"`
		PolicyVersion versionXML
	}{PolicyVersion: made}, nil
}

func (s *Service) getPolicyVersion(c *awshttp.Call, arn string) (any, error) {
	id, err := versionParam(c)
	if err != nil {
		return nil, err
	}
	p, err := s.anyPolicy(arn)
	if err != nil {
		return nil, err
	}
	v := p.version(id)
	if v == nil {
		return nil, noSuchVersion(arn, id)
	}
	return struct {
		XMLName       xml.Name `xml:"GetPolicyVersionResult"`
		PolicyVersion versionXML
	}{PolicyVersion: p.versionXML(*v, true)}, nil
}

func (s *Service) listPolicyVersions(c *awshttp.Call, arn string) (any, error) {
	p, err := s.anyPolicy(arn)
	if err != nil {
		return nil, err
	}
	var out []versionXML
	for _, v := range slices.Backward(p.Versions) { // the newest first, as IAM lists them
		out = append(out, p.versionXML(v, false))
	}
	return struct {
		XMLName  xml.Name     `xml:"ListPolicyVersionsResult"`
		Versions []versionXML `xml:"Versions>member"`
		pageXML
	}{Versions: out}, nil
}

func (s *Service) setDefaultPolicyVersion(c *awshttp.Call, arn string) (any, error) {
	id, err := versionParam(c)
	if err != nil {
		return nil, err
	}
	return nil, s.updatePolicy(c.Context(), arn, func(p *Policy) error {
		p.Default, p.Updated = id, s.clock.Now().UTC().Truncate(time.Second)
		return nil
	})
}

func (s *Service) deletePolicyVersion(c *awshttp.Call, arn string) (any, error) {
	id, err := versionParam(c)
	if err != nil {
		return nil, err
	}
	return nil, s.updatePolicy(c.Context(), arn, func(p *Policy) error {
		switch {
		case p.version(id) == nil:
			return noSuchVersion(arn, id)
		case p.Default == id:
			return awshttp.Errorf(http.StatusConflict, "DeleteConflict", "Cannot delete the default version of a policy.")
		}
		p.Versions = slices.DeleteFunc(p.Versions, func(v PolicyVersion) bool { return v.ID == id })
		p.Updated = s.clock.Now().UTC().Truncate(time.Second)
		return nil
	})
}

type entityXML struct {
	RoleName string
	RoleID   string `xml:"RoleId"`
}

func (s *Service) listEntitiesForPolicy(c *awshttp.Call, arn string) (any, error) {
	if _, err := s.anyPolicy(arn); err != nil {
		return nil, err
	}
	s.mu.RLock()
	roles := s.attachedLocked(arn)
	s.mu.RUnlock()
	if filter := first(c, "EntityFilter"); filter == "User" || filter == "Group" {
		roles = nil // there are none
	}
	some, page, err := paginate(c, roles, func(r *Role) string { return r.Name })
	if err != nil {
		return nil, err
	}
	var out []entityXML
	for _, r := range some {
		out = append(out, entityXML{r.Name, r.ID})
	}
	return struct {
		XMLName      xml.Name    `xml:"ListEntitiesForPolicyResult"`
		PolicyGroups struct{}    `xml:"PolicyGroups"`
		PolicyUsers  struct{}    `xml:"PolicyUsers"`
		PolicyRoles  []entityXML `xml:"PolicyRoles>member"`
		pageXML
	}{PolicyRoles: out, pageXML: page}, nil
}

func (s *Service) tagPolicy(c *awshttp.Call, arn string) (any, error) {
	more, err := tags(c)
	if err != nil {
		return nil, err
	}
	return nil, s.updatePolicy(c.Context(), arn, func(p *Policy) error { return addTags(&p.Tags, more) })
}

func (s *Service) untagPolicy(c *awshttp.Call, arn string) (any, error) {
	return nil, s.updatePolicy(c.Context(), arn, func(p *Policy) error {
		maps.DeleteFunc(p.Tags, func(key, _ string) bool { return slices.Contains(tagKeys(c), key) })
		return nil
	})
}

func (s *Service) listPolicyTags(c *awshttp.Call, arn string) (any, error) {
	p, err := s.anyPolicy(arn)
	if err != nil {
		return nil, err
	}
	return struct {
		XMLName xml.Name `xml:"ListPolicyTagsResult"`
		Tags    *tagsXML
		pageXML
	}{Tags: cmp.Or(tagsOf(p.Tags), &tagsXML{})}, nil
}
