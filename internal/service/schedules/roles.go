package schedules

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/sigv4"
)

const (
	// schedulerPrincipal is who assumes the roles of schedules.
	schedulerPrincipal = "scheduler.amazonaws.com"
	// sessionLife is the life that is asked for a role's keys.
	sessionLife = time.Hour
	// maxSessions bounds the keys that are held at one time.
	maxSessions = 1000
)

// roles asks STS for the keys of schedules' roles and reuses them for half
// their life.
type roles struct {
	service     *Service
	endpoint    string // STS's; empty: there is none, and Scheduler's own keys serve
	credentials sigv4.Credentials

	mu   sync.Mutex
	held map[string]heldKeys // by role and group
}

type heldKeys struct {
	sigv4.Credentials
	retire time.Time
}

func newRoles(s *Service, endpoint string, c sigv4.Credentials) *roles {
	return &roles{service: s, endpoint: strings.TrimSuffix(endpoint, "/"), credentials: c, held: make(map[string]heldKeys)}
}

// get returns keys of the role for a schedule of the group. Where policies
// aren't enforced, a role that can't be assumed is reported and Scheduler's own
// keys take its place.
func (rs *roles) get(ctx context.Context, role, group string) (sigv4.Credentials, error) {
	if rs.endpoint == "" {
		return rs.credentials, nil
	}
	key := role + " " + group
	rs.mu.Lock()
	held, ok := rs.held[key]
	rs.mu.Unlock()
	if ok && time.Now().Before(held.retire) {
		return held.Credentials, nil
	}
	fresh, err := rs.assume(ctx, role, group)
	if err != nil {
		var refused *refusal
		gate := rs.service.gate
		if !errors.As(err, &refused) || refused.temporary() || gate.Mode == awshttp.Enforce {
			return sigv4.Credentials{}, err
		}
		if gate.Mode == awshttp.Warn && gate.Events.Denied != nil {
			gate.Events.Denied(awshttp.Denial{Principal: schedulerPrincipal, Action: "sts:AssumeRole", Resource: role, Why: refused.message})
		}
		// Told once in a while, not with each firing.
		fresh = heldKeys{rs.credentials, time.Now().Add(sessionLife / 2)}
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.held) >= maxSessions {
		clear(rs.held)
	}
	rs.held[key] = fresh
	return fresh.Credentials, nil
}

// forget drops the keys that are held, after a change that may concern them.
func (rs *roles) forget(role, group string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.held, role+" "+group)
}

// assume is STS's AssumeRole, called as scheduler.amazonaws.com on behalf of the
// group: that is what a trust policy's aws:SourceArn is compared with.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
func (rs *roles) assume(ctx context.Context, role, group string) (heldKeys, error) {
	s := rs.service
	form := url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"EventBridgeScheduler"},
		"DurationSeconds": {fmt.Sprint(int(sessionLife.Seconds()))},
	}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rs.endpoint+"/", strings.NewReader(form))
	if err != nil {
		return heldKeys{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set(awshttp.HeaderSourceARN, s.groupARN(group))
	req.Header.Set(awshttp.HeaderSourceAccount, s.account)
	born := time.Now()
	sigv4.Sign(req, []byte(form), rs.credentials, "sts", s.region, born)
	resp, err := s.client.Do(req)
	if err != nil {
		return heldKeys{}, fmt.Errorf("STS at %s did not answer: %w", rs.endpoint, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return heldKeys{}, fmt.Errorf("STS's answer for the role %s could not be read: %w", role, err)
	}
	if resp.StatusCode != http.StatusOK {
		refused := &refusal{service: "STS", status: resp.StatusCode, remedy: "the trust policy of " + role + " must allow sts:AssumeRole to " + schedulerPrincipal}
		var e struct {
			Code    string `xml:"Error>Code"`
			Message string `xml:"Error>Message"`
		}
		if xml.Unmarshal(body, &e) == nil {
			refused.code, refused.message = e.Code, e.Message
		}
		return heldKeys{}, refused
	}
	var out struct {
		Credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
		} `xml:"AssumeRoleResult>Credentials"`
	}
	if err := xml.Unmarshal(body, &out); err != nil || out.Credentials.AccessKeyID == "" {
		return heldKeys{}, fmt.Errorf("STS's answer for the role %s holds no credentials", role)
	}
	c := out.Credentials
	return heldKeys{sigv4.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, born.Add(sessionLife / 2)}, nil
}
