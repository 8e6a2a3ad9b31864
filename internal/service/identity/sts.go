package identity

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/iampolicy"
)

// stsOperations are the operations of STS that Tidegate has, and those that
// SDKs may try and that it refuses by name.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html
func (s *Service) stsOperations(gate *awshttp.Gate) map[string]awshttp.HandlerFunc {
	ops := map[string]awshttp.HandlerFunc{
		"GetCallerIdentity": s.getCallerIdentity,
		"AssumeRole":        func(c *awshttp.Call) (any, error) { return s.assumeRole(gate, c) },
	}
	for _, name := range []string{"GetSessionToken", "GetFederationToken", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "AssumeRoot", "DecodeAuthorizationMessage", "GetAccessKeyInfo"} {
		ops[name] = func(*awshttp.Call) (any, error) {
			return nil, awshttp.Errorf(http.StatusBadRequest, "InvalidAction", "Tidegate has no %s; use the long-lived keys themselves, or AssumeRole", name)
		}
	}
	return ops
}

func (s *Service) getCallerIdentity(c *awshttp.Call) (any, error) {
	p := c.Principal
	id := p.Account
	switch p.Kind {
	case awshttp.Role:
		id = p.UserID
	case awshttp.Service:
		id = p.ARN
	}
	return struct {
		XMLName xml.Name `xml:"GetCallerIdentityResult"`
		Arn     string
		UserID  string `xml:"UserId"`
		Account string
	}{Arn: p.ARN, UserID: id, Account: p.Account}, nil
}

// assumeRole opens a session when the role's trust policy allows it, as the
// gate's mode says.
func (s *Service) assumeRole(gate *awshttp.Gate, c *awshttp.Call) (any, error) {
	arn, err := param(c, "RoleArn", 2048, nil)
	if err != nil {
		return nil, err
	}
	sessionName, err := param(c, "RoleSessionName", 64, namePattern)
	if err != nil {
		return nil, err
	}
	if len(sessionName) < 2 {
		return nil, invalid("roleSessionName", "Member must have length greater than or equal to 2")
	}
	if err := refuseSessionParams(c); err != nil {
		return nil, err
	}
	deny := func(why string) error {
		d := awshttp.Denial{Principal: c.Principal.ARN, Action: "sts:AssumeRole", Resource: arn, Why: why, Enforced: gate.Mode == awshttp.Enforce, RequestID: c.RequestID}
		if gate.Mode != awshttp.Off && gate.Events.Denied != nil {
			gate.Events.Denied(d)
		}
		return accessDenied(&d)
	}
	state, role, err := s.role(arn[strings.LastIndexByte(arn, '/')+1:])
	if err != nil || role.ARN != arn {
		// AWS doesn't tell whether a role exists; here its owner asks.
		return nil, awshttp.Errorf(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s because there is no such role", c.Principal.ARN, arn)
	}
	s.mu.RLock()
	trust := state.trust
	s.mu.RUnlock()
	if why := trusts(trust, c.Principal, s.trustRequest(c, arn, sessionName)); why != "" {
		if err := deny(why); gate.Mode == awshttp.Enforce {
			return nil, err
		}
	}
	d, err := sessionDuration(first(c, "DurationSeconds"), c.Principal, role)
	if err != nil {
		return nil, err
	}
	session, err := s.openSession(state, "arn:aws:sts::"+s.account+":assumed-role/"+role.Name+"/"+sessionName, role.ID+":"+sessionName, d)
	if err != nil {
		return nil, err
	}
	return assumeRoleResult{
		AccessKeyID: session.AccessKeyID, SecretAccessKey: session.SecretAccessKey, SessionToken: session.SessionToken,
		Expiration: session.Expiration.Format(time.RFC3339), Arn: session.ARN, AssumedRoleID: session.ID,
	}, nil
}

type assumeRoleResult struct {
	XMLName         xml.Name `xml:"AssumeRoleResult"`
	AccessKeyID     string   `xml:"Credentials>AccessKeyId"`
	SecretAccessKey string   `xml:"Credentials>SecretAccessKey"`
	SessionToken    string   `xml:"Credentials>SessionToken"`
	Expiration      string   `xml:"Credentials>Expiration"`
	AssumedRoleID   string   `xml:"AssumedRoleUser>AssumedRoleId"`
	Arn             string   `xml:"AssumedRoleUser>Arn"`
}

// refuseSessionParams names the parameters that would narrow or mark a session
// and that Tidegate doesn't honour: ignoring one would grant too much.
func refuseSessionParams(c *awshttp.Call) error {
	for key := range c.Form {
		name, _, _ := strings.Cut(key, ".")
		switch name {
		case "Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts":
			return awshttp.Errorf(http.StatusBadRequest, "ValidationError", "Tidegate's AssumeRole has no %s; leave it out", name)
		}
	}
	return nil
}

// trustRequest is the question to a role's trust policy.
func (s *Service) trustRequest(c *awshttp.Call, role, session string) *iampolicy.Request {
	r := &iampolicy.Request{
		Principal: c.Principal.ARN, Action: "sts:AssumeRole", Resource: role,
		Context: map[string][]string{
			"aws:principalarn":     {c.Principal.ARN},
			"aws:principalaccount": {c.Principal.Account},
			"aws:requestedregion":  {c.Region},
			"sts:rolesessionname":  {session},
			"aws:currenttime":      {s.clock.Now().UTC().Format(time.RFC3339)},
		},
	}
	if v := first(c, "ExternalId"); v != "" {
		r.Context["sts:externalid"] = []string{v}
	}
	if c.Principal.Kind == awshttp.Service {
		for key, header := range map[string]string{"aws:sourcearn": awshttp.HeaderSourceARN, "aws:sourceaccount": awshttp.HeaderSourceAccount} {
			if v := c.Request.Header.Get(header); v != "" {
				r.Context[key] = []string{v}
			}
		}
	}
	return r
}

// sessionDuration is DurationSeconds within its bounds: 15 minutes to what the
// role says, one hour when a role's session asks, and 12 hours for AWS's
// services, whose sessions last as long as they need.
func sessionDuration(text string, caller awshttp.Principal, role *Role) (time.Duration, error) {
	if text == "" {
		return defaultSession, nil
	}
	n, err := strconv.Atoi(text)
	d := time.Duration(n) * time.Second
	switch {
	case err != nil || n > int(maxSession/time.Second):
		return 0, invalid("durationSeconds", "Member must have value less than or equal to 43200")
	case d < minSession:
		return 0, invalid("durationSeconds", "Member must have value greater than or equal to 900")
	case caller.Kind == awshttp.Role && d > time.Hour:
		return 0, awshttp.Errorf(http.StatusBadRequest, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case caller.Kind == awshttp.Root && n > role.MaxSessionDuration:
		return 0, awshttp.Errorf(http.StatusBadRequest, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return d, nil
}
