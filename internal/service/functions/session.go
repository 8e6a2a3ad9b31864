package functions

import (
	"context"
	"encoding/xml"
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

// sessionLife is the life that is asked for a function's keys.
const sessionLife = time.Hour

// A session is the keys that a function's environments get.
type session struct {
	sigv4.Credentials
	born   time.Time
	retire time.Time // an environment that has them is replaced from then on
}

// sessions asks STS for functions' keys and reuses young ones, so that a cold
// start seldom waits for it.
type sessions struct {
	cfg *Config

	mu   sync.Mutex
	held map[string]session // by role and function
}

func newSessions(cfg *Config) *sessions {
	return &sessions{cfg: cfg, held: map[string]session{}}
}

// get returns keys of the function's role with at least three quarters of
// their life before them. Without an STS there are none.
func (ss *sessions) get(ctx context.Context, fn *function) (session, error) {
	if ss.cfg.Endpoint == "" {
		return session{}, nil
	}
	key := fn.Role + " " + fn.Name
	ss.mu.Lock()
	held, ok := ss.held[key]
	ss.mu.Unlock()
	if ok && time.Since(held.born) < held.retire.Sub(held.born)/2 {
		return held, nil
	}
	fresh, err := ss.assume(ctx, fn)
	if err != nil {
		return session{}, err
	}
	ss.mu.Lock()
	ss.held[key] = fresh
	ss.mu.Unlock()
	return fresh, nil
}

// assume is STS's AssumeRole, called as lambda.amazonaws.com. The session has
// the function's name, as on AWS.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (ss *sessions) assume(ctx context.Context, fn *function) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	name := fn.Name
	if len(name) < 2 { // STS wants two characters, Lambda one
		name += "-"
	}
	form := url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {fn.Role}, "RoleSessionName": {name},
		"DurationSeconds": {fmt.Sprint(int(sessionLife.Seconds()))},
	}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(ss.cfg.Endpoint, "/")+"/", strings.NewReader(form))
	if err != nil {
		return session{}, fmt.Errorf("functions: calling STS: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	born := time.Now()
	sigv4.Sign(req, []byte(form), ss.cfg.Credentials, "sts", ss.cfg.Region, born)
	resp, err := ss.cfg.Client.Do(req)
	if err != nil {
		return session{}, fmt.Errorf("functions: calling STS for the role of %s: %w", fn.Name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return session{}, fmt.Errorf("functions: reading STS's answer for the role of %s: %w", fn.Name, err)
	}
	if resp.StatusCode != http.StatusOK {
		return session{}, refusedRole(fn, resp.StatusCode, body)
	}
	var out struct {
		Result struct {
			Credentials struct {
				AccessKeyId, SecretAccessKey, SessionToken string
				Expiration                                 time.Time
			}
		} `xml:"AssumeRoleResult"`
	}
	if err := xml.Unmarshal(body, &out); err != nil || out.Result.Credentials.AccessKeyId == "" {
		return session{}, fmt.Errorf("functions: STS's answer for the role of %s holds no credentials", fn.Name)
	}
	c := out.Result.Credentials
	life := c.Expiration.Sub(born)
	if life <= 0 {
		life = sessionLife
	}
	return session{
		Credentials: sigv4.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken},
		born:        born, retire: born.Add(life / 2),
	}, nil
}

// refusedRole tells the caller why the function's role can't be assumed.
func refusedRole(fn *function, status int, body []byte) error {
	var e struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	if err := xml.Unmarshal(body, &e); err != nil || e.Code == "" {
		e.Code, e.Message = "status", fmt.Sprint(status)
	}
	if status >= 500 {
		return fmt.Errorf("functions: STS failed for the role %s of %s: %s: %s", fn.Role, fn.Name, e.Code, e.Message)
	}
	return &awshttp.Error{Code: "AccessDeniedException", Status: http.StatusForbidden, MessageKey: "Message", Fields: map[string]any{"Type": "User"},
		Message: fmt.Sprintf("The role defined for the function cannot be assumed by Lambda. (%s: %s: %s)", fn.Role, e.Code, e.Message)}
}
