package functions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"

	"tidegate/internal/awshttp"
	"tidegate/internal/iampolicy"
	"tidegate/internal/pattern"
)

// A statement is one permission in a function's resource policy, in the shape
// that GetPolicy returns.
type statement struct {
	Sid       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Principal any                          `json:"Principal"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

type policyDocument struct {
	Version   string
	Id        string
	Statement []statement
}

var (
	sidPattern     = pattern.New(`^[a-zA-Z0-9-_]{1,100}$`)
	actionPattern  = regexp.MustCompile(`^(lambda:[*]|lambda:[a-zA-Z]+|[*])$`)
	accountPattern = pattern.New(`^\d{12}$`)
	servicePattern = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$`)
	arnPattern     = pattern.New(`^arn:[a-zA-Z0-9-]+:[a-zA-Z0-9-]+:[^:\s]*:(\d{12})?:\S+$|^arn:[a-zA-Z0-9-]+:s3:::\S+$`)
)

// maxPolicy is how long a function's resource policy may be, in bytes.
const maxPolicy = 20 << 10

func parsePolicy(statements []statement) (*iampolicy.Document, error) {
	b, err := json.Marshal(policyDocument{Version: "2012-10-17", Id: "default", Statement: statements})
	if err != nil {
		return nil, err
	}
	return iampolicy.Parse("default", b)
}

// statement checks the permission and gives it the policy's shape.
func (in *permissionInput) statement(arn string) (statement, error) {
	st := statement{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: arn}
	switch {
	case !sidPattern.MatchString(in.StatementId):
		return st, constraint(in.StatementId, "statementId", "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)")
	case !actionPattern.MatchString(in.Action):
		return st, constraint(in.Action, "action", "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])")
	case in.EventSourceToken != "" || in.FunctionUrlAuthType != "" || in.InvokedViaFunctionUrl != nil || in.PrincipalOrgID != "":
		return st, invalidParameter("EventSourceToken, FunctionUrlAuthType, InvokedViaFunctionUrl and PrincipalOrgID: Tidegate's permissions take SourceArn and SourceAccount only.")
	case in.SourceArn != "" && !arnPattern.MatchString(in.SourceArn):
		return st, constraint(in.SourceArn, "sourceArn", `Member must satisfy regular expression pattern: arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:([a-z]{2}(-gov)?-[a-z]+-\d{1})?:(\d{12})?:(.*)`)
	case in.SourceAccount != "" && !accountPattern.MatchString(in.SourceAccount):
		return st, constraint(in.SourceAccount, "sourceAccount", `Member must satisfy regular expression pattern: \d{12}`)
	}
	switch p := in.Principal; {
	case p == "*":
		st.Principal = "*"
	case accountPattern.MatchString(p):
		st.Principal = map[string]string{"AWS": "arn:aws:iam::" + p + ":root"}
	case servicePattern.MatchString(p):
		st.Principal = map[string]string{"Service": p}
	case arnPattern.MatchString(p):
		st.Principal = map[string]string{"AWS": p}
	default:
		return st, invalidParameter("The provided principal was invalid. Please check the principal and try again.")
	}
	if in.SourceArn != "" {
		st.Condition = map[string]map[string]string{"ArnLike": {"AWS:SourceArn": in.SourceArn}}
	}
	if in.SourceAccount != "" {
		if st.Condition == nil {
			st.Condition = map[string]map[string]string{}
		}
		st.Condition["StringEquals"] = map[string]string{"AWS:SourceAccount": in.SourceAccount}
	}
	return st, nil
}

func (s *Service) addPermission(c *awshttp.Call, fn *function, resource string) (any, error) {
	var in permissionInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	st, err := in.statement(resource)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	err = s.changePolicy(c, fn.Name, in.RevisionId, func(statements []statement) ([]statement, error) {
		for _, other := range statements {
			if other.Sid == st.Sid && other.Resource == resource {
				return nil, userError(http.StatusConflict, "ResourceConflictException", fmt.Sprintf("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.Sid))
			}
		}
		return append(statements[:len(statements):len(statements)], st), nil
	})
	if err != nil {
		return nil, err
	}
	return &awshttp.Response{Status: http.StatusCreated, Value: map[string]string{"Statement": string(b)}}, nil
}

func (s *Service) removePermission(c *awshttp.Call, fn *function, resource, sid string) (any, error) {
	err := s.changePolicy(c, fn.Name, c.Request.URL.Query().Get("RevisionId"), func(statements []statement) ([]statement, error) {
		var left []statement
		for _, st := range statements {
			if st.Sid != sid || st.Resource != resource {
				left = append(left, st)
			}
		}
		switch {
		case len(permissionsOf(statements, resource)) == 0:
			return nil, userError(http.StatusNotFound, "ResourceNotFoundException", "No policy is associated with the given resource.")
		case len(left) == len(statements):
			return nil, userError(http.StatusNotFound, "ResourceNotFoundException", fmt.Sprintf("Statement %s is not found in resource policy.", sid))
		}
		return left, nil
	})
	if err != nil {
		return nil, err
	}
	return &awshttp.Response{Status: http.StatusNoContent}, nil
}

func (s *Service) changePolicy(c *awshttp.Call, name, revision string, change func([]statement) ([]statement, error)) error {
	s.writes.Lock()
	defer s.writes.Unlock()
	fn, err := s.find(reference{name: name}, false)
	if err != nil {
		return err
	}
	if revision != "" && revision != fn.PolicyRevision {
		return preconditionFailed()
	}
	r := fn.record
	if r.Policy, err = change(r.Policy); err != nil {
		return err
	}
	if b, err := json.Marshal(r.Policy); err != nil || len(b) > maxPolicy {
		return userError(http.StatusBadRequest, "PolicyLengthExceededException", fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", len(b), maxPolicy))
	}
	r.PolicyRevision = awshttp.NewRequestID()
	_, err = s.save(c.Context(), r)
	return err
}

func (s *Service) getPolicy(fn *function, resource string) (any, error) {
	statements := permissionsOf(fn.Policy, resource)
	if len(statements) == 0 {
		return nil, userError(http.StatusNotFound, "ResourceNotFoundException", "The resource you requested does not exist.")
	}
	b, err := json.Marshal(policyDocument{Version: "2012-10-17", Id: "default", Statement: statements})
	if err != nil {
		return nil, err
	}
	return map[string]string{"Policy": string(b), "RevisionId": fn.PolicyRevision}, nil
}

// permissionsOf returns the statements about one ARN: the function, a version
// and an alias have policies of their own.
func permissionsOf(statements []statement, resource string) []statement {
	var out []statement
	for _, st := range statements {
		if st.Resource == resource {
			out = append(out, st)
		}
	}
	return out
}

// policyOf returns the permissions of the function and all its qualifiers; each
// statement names the ARN it is about.
func (s *Service) policyOf(name string) []*iampolicy.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fn := s.functions[name]; fn != nil {
		return fn.policy
	}
	return nil
}

func preconditionFailed() error {
	return userError(http.StatusPreconditionFailed, "PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
}
