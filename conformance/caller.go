package conformance

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidegate/sigv4"
)

// A signer is with what, for what and when somebody signs.
type signer struct {
	key             sigv4.Credentials
	service, region string
	at              time.Time
}

// signer returns how the caller signs, in the words of a step: rightly, or with
// what makes the signature wrong.
func (r *run) signer(how string) (*signer, error) {
	s := &signer{r.target.credentials, "execute-api", r.target.region, time.Now()}
	if r.role != nil {
		s.key = r.role.credentials
	}
	words := strings.Fields(how)
	switch {
	case how == "":
	case how == "with a wrong secret":
		s.key.SecretAccessKey += "x"
	case how == "an hour ago":
		s.at = s.at.Add(-time.Hour)
	case strings.HasPrefix(how, "for the service "):
		s.service = words[len(words)-1]
	case strings.HasPrefix(how, "for the region "):
		s.region = words[len(words)-1]
	case how == "by an unknown key":
		s.key = sigv4.Credentials{AccessKeyID: "AKIAUNKNOWNTOANYBODY", SecretAccessKey: s.key.SecretAccessKey}
	case how == "without its session token":
		s.key.SessionToken = ""
	default:
		return nil, fmt.Errorf("%q is no way to sign", how)
	}
	return s, nil
}

// signing returns what signs a request as the words say; nil of unsigned.
func (r *run) signing(how string) (func(*http.Request, []byte), error) {
	if how == "unsigned" {
		return nil, nil
	}
	s, err := r.signer(strings.TrimPrefix(how, "signed "))
	if err != nil {
		return nil, err
	}
	return func(req *http.Request, body []byte) { sigv4.Sign(req, body, s.key, s.service, s.region, s.at) }, nil
}

// sign signs a handshake in its header or its URL.
func (r *run) sign(h *handshake, words string) error {
	how, inURL := strings.CutPrefix(words, "with a signed URL")
	how, altered := strings.CutSuffix(strings.TrimPrefix(how, "signed"), " and another query")
	s, err := r.signer(strings.TrimSpace(how))
	if err != nil {
		return err
	}
	u, err := url.Parse("https://" + h.host + h.target)
	if err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodGet, URL: u, Host: h.host, Header: http.Header{}}
	if inURL {
		sigv4.Presign(req, s.key, s.service, s.region, 5*time.Minute, s.at)
	} else {
		sigv4.Sign(req, nil, s.key, s.service, s.region, s.at)
		for _, name := range slices.Sorted(maps.Keys(req.Header)) {
			h.header = append(h.header, headerLine{name, req.Header[name][0]})
		}
	}
	if altered {
		req.URL.RawQuery += "&another=1"
	}
	h.target = u.EscapedPath()
	if query := strings.TrimPrefix(req.URL.RawQuery, "&"); query != "" {
		h.target += "?" + query
	}
	return nil
}

// A role is what the caller is after `caller has the policy`.
type role struct {
	name        string
	credentials sigv4.Credentials
}

// takeRole lets the caller be a role with the statements below the step as its
// only policy.
func (r *run) takeRole(s *step) error {
	if r.role != nil {
		return errors.New("the caller has a policy already")
	}
	statement, err := parseValue(strings.Join(s.block, "\n"))
	if err != nil {
		return err
	}
	name := "conformance-" + r.apiID
	trust := map[string]any{"Version": "2012-10-17", "Statement": map[string]any{
		"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"AWS": "arn:aws:iam::" + r.target.account + ":root"},
	}}
	if _, err := r.target.query(r.ctx, "iam", "CreateRole", map[string]string{"RoleName": name, "AssumeRolePolicyDocument": asJSON(trust)}); err != nil {
		return err
	}
	r.role = &role{name: name}
	if len(s.block) > 0 {
		policy := map[string]any{"Version": "2012-10-17", "Statement": fillAll(r.values, statement)}
		if _, err := r.target.query(r.ctx, "iam", "PutRolePolicy", map[string]string{"RoleName": name, "PolicyName": "script", "PolicyDocument": asJSON(policy)}); err != nil {
			return err
		}
	}
	r.settle()
	text, err := r.target.query(r.ctx, "sts", "AssumeRole", map[string]string{"RoleArn": "arn:aws:iam::" + r.target.account + ":role/" + name, "RoleSessionName": "caller"})
	if err != nil {
		return err
	}
	var out struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string } `xml:"AssumeRoleResult>Credentials"`
	}
	if err := xml.Unmarshal([]byte(text), &out); err != nil {
		return err
	}
	c := out.Credentials
	r.role.credentials = sigv4.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	return nil
}

// dropRole deletes what takeRole made.
func (r *run) dropRole(ctx context.Context) error {
	if r.role == nil {
		return nil
	}
	_, policy := r.target.query(ctx, "iam", "DeleteRolePolicy", map[string]string{"RoleName": r.role.name, "PolicyName": "script"})
	if policy != nil && strings.Contains(policy.Error(), "NoSuchEntity") {
		policy = nil // it had none
	}
	_, err := r.target.query(ctx, "iam", "DeleteRole", map[string]string{"RoleName": r.role.name})
	return errors.Join(policy, err)
}

// query calls a service with the query protocol and returns what it answers.
func (t *target) query(ctx context.Context, service, action string, parameters map[string]string) (string, error) {
	form := url.Values{"Action": {action}, "Version": {map[string]string{"iam": "2010-05-08", "sts": "2011-06-15"}[service]}}
	for k, v := range parameters {
		form.Set(k, v)
	}
	base, region := t.endpoint, t.region
	if t.isAWS() {
		base = "https://" + service + "." + region + ".amazonaws.com"
	}
	if service == "iam" { // a global service
		region = "us-east-1"
		if t.isAWS() {
			base = "https://iam.amazonaws.com"
		}
	}
	body := []byte(form.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sigv4.Sign(req, body, t.credentials, service, region, time.Now())
	resp, err := send(req)
	if err == nil && resp.status != http.StatusOK {
		err = fmt.Errorf("%s of %s: %d %s", action, service, resp.status, resp.body)
	}
	if err != nil {
		return "", err
	}
	return resp.body, nil
}

// postBinary pushes bytes.
func (r *run) postBinary(s *step) error {
	b, err := hex.DecodeString(s.args[0])
	if err != nil {
		return err
	}
	return r.push(s.args[1], string(b))
}

// postSize pushes so many bytes: once, or until a status is answered.
func (r *run) postSize(s *step) error {
	size, err := strconv.Atoi(s.args[0])
	if err != nil || size > 8<<20 {
		return errors.New("a message has 8 MiB at most")
	}
	body := strings.Repeat("x", size)
	if s.args[2] == "" {
		return r.push(s.args[1], body)
	}
	const most = 6000 // more than the account's burst
	for range most {
		if err := r.push(s.args[1], body); err != nil {
			return err
		}
		switch strconv.Itoa(r.caller.status) {
		case s.args[2]:
			return nil
		case "200":
			continue
		}
		return &failure{mismatches: []mismatch{{"status", "200, and then " + s.args[2], fmt.Sprintf("%d %s", r.caller.status, r.caller.body)}}}
	}
	return &failure{mismatches: []mismatch{{"status", s.args[2], fmt.Sprintf("200, %d times", most)}}}
}
