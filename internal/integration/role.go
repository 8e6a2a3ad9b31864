package integration

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tidegate/sigv4"
)

// A RolesConfig says whom to ask for the keys of roles, and as whom.
type RolesConfig struct {
	Endpoint    string       // STS's base URL
	Client      *http.Client // its transport may dial an in-memory listener
	Region      string
	Account     string
	Credentials sigv4.Credentials // of the principal apigateway.amazonaws.com
	Now         func() time.Time  // nil means time.Now
	// Unassumable hears of a role that STS doesn't give, and why. When it returns
	// true the gateway's own keys take the role's place. nil means false.
	Unassumable func(role, why string) bool
}

const (
	// sessionLife is the life that is asked for a role's keys, sessionMargin how
	// long before their end they are renewed.
	sessionLife   = time.Hour
	sessionMargin = 5 * time.Minute
	// maxSessions bounds the keys that are held at one time.
	maxSessions = 1000
	maxSTSReply = 64 << 10 // bytes
)

// Roles are the keys of integrations' roles, fetched from STS as
// apigateway.amazonaws.com and kept until shortly before they expire. It is safe
// for concurrent use.
type Roles struct {
	config RolesConfig

	mu   sync.Mutex
	held map[string]*heldRole // by role and source
}

// A heldRole is one role's keys for one route.
type heldRole struct {
	turn   chan struct{} // holds a token while someone reads or fetches
	keys   sigv4.Credentials
	retire time.Time
}

// NewRoles returns an empty store of keys.
func NewRoles(c RolesConfig) *Roles {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Endpoint = strings.TrimSuffix(c.Endpoint, "/")
	return &Roles{config: c, held: map[string]*heldRole{}}
}

// Keys returns keys of the role, assumed on behalf of the route that sourceARN
// names; a trust policy may compare that with aws:SourceArn. The error is an
// *Error.
func (rs *Roles) Keys(ctx context.Context, role, sourceARN string) (sigv4.Credentials, error) {
	h := rs.find(role + " " + sourceARN)
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return sigv4.Credentials{}, &Error{Kind: ErrTimeout, Detail: "no keys of " + role + " in time"}
	}
	defer func() { <-h.turn }()
	if rs.config.Now().Before(h.retire) {
		return h.keys, nil
	}
	keys, retire, err := rs.assume(ctx, role, sourceARN)
	if err != nil {
		return sigv4.Credentials{}, err
	}
	h.keys, h.retire = keys, retire
	return keys, nil
}

func (rs *Roles) find(key string) *heldRole {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	h := rs.held[key]
	if h == nil {
		if len(rs.held) >= maxSessions {
			clear(rs.held)
		}
		h = &heldRole{turn: make(chan struct{}, 1)}
		rs.held[key] = h
	}
	return h
}

// assume is STS's AssumeRole.
func (rs *Roles) assume(ctx context.Context, role, sourceARN string) (keys sigv4.Credentials, retire time.Time, err error) {
	c := &rs.config
	form := url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"BackplaneAssumeRoleSession"},
		"DurationSeconds": {fmt.Sprint(int(sessionLife.Seconds()))},
	}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/", strings.NewReader(form))
	if err != nil {
		return keys, retire, &Error{Kind: ErrUnreachable, Detail: "the STS endpoint is no URL", Err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Amz-Source-Arn", sourceARN)
	req.Header.Set("X-Amz-Source-Account", c.Account)
	born := c.Now()
	sigv4.Sign(req, []byte(form), c.Credentials, "sts", c.Region, born)
	resp, err := c.Client.Do(req)
	if err != nil {
		return keys, retire, transportError(ctx, "STS", sessionLife, err)
	}
	defer resp.Body.Close()
	body, err := readBody(resp, maxSTSReply)
	if err != nil {
		return keys, retire, transportError(ctx, "STS", sessionLife, err)
	}
	retire = born.Add(sessionLife - sessionMargin)
	if resp.StatusCode != http.StatusOK {
		why := errorText(resp, body)
		if resp.StatusCode == http.StatusForbidden && c.Unassumable != nil && c.Unassumable(role, why) {
			return c.Credentials, retire, nil
		}
		return keys, retire, &Error{Kind: ErrRefused, Detail: clip(fmt.Sprintf(
			"the role %s of credentialsArn can't be assumed: STS answered %s (its trust policy must allow sts:AssumeRole to apigateway.amazonaws.com)", role, why))}
	}
	var out struct {
		Credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
		} `xml:"AssumeRoleResult>Credentials"`
	}
	if err := xml.Unmarshal(body, &out); err != nil || out.Credentials.AccessKeyID == "" {
		return keys, retire, &Error{Kind: ErrMalformed, Detail: "STS's answer for the role " + role + " holds no credentials"}
	}
	k := out.Credentials
	return sigv4.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken}, retire, nil
}
