package identity

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"time"

	"tidegate/internal/awshttp"
)

// maxSessions bounds the sessions that live at one time. A session takes about
// 700 bytes.
const maxSessions = 20_000

// A Session is what AssumeRole gives: credentials for a time.
type Session struct {
	AccessKeyID     string // ASIA…
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
	ARN             string // arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	ID              string // AROA…:SESSION
}

// String names the session without its secrets.
func (s Session) String() string {
	return fmt.Sprintf("session %s of %s until %s", s.AccessKeyID, s.ARN, s.Expiration.Format(time.RFC3339))
}

// GoString is String, so that %#v shows no secret either.
func (s Session) GoString() string { return s.String() }

// A session is one that lives.
type session struct {
	identity awshttp.Identity // without Policies
	expires  time.Time
	role     *roleState
}

// Lookup implements awshttp.Identities: static keys, then sessions that have
// not expired and whose role still exists. It takes no lock that a write to the
// store is made under.
func (s *Service) Lookup(accessKeyID string) (awshttp.Identity, bool) {
	if id, ok := s.keys[accessKeyID]; ok {
		return id, true
	}
	s.sessionsMu.RLock()
	live, ok := s.sessions[accessKeyID]
	s.sessionsMu.RUnlock()
	if !ok || live.role.deleted.Load() || !s.clock.Now().Before(live.expires) {
		return awshttp.Identity{}, false
	}
	id := live.identity
	id.Principal.Policies = *live.role.documents.Load()
	return id, true
}

// openSession makes credentials for a session of the role.
func (s *Service) openSession(role *roleState, arn, id string, d time.Duration) (Session, error) {
	now := s.clock.Now()
	out := Session{
		AccessKeyID:     "ASIA" + randomID(16),
		SecretAccessKey: randomText(30),
		SessionToken:    randomText(120),
		Expiration:      now.Add(d).UTC().Truncate(time.Second),
		ARN:             arn,
		ID:              id,
	}
	s.sessionsMu.Lock()
	defer s.sessionsMu.Unlock()
	if len(s.sessions) >= s.sweepAt {
		for key, live := range s.sessions {
			if live.role.deleted.Load() || !now.Before(live.expires) {
				delete(s.sessions, key)
			}
		}
		s.sweepAt = min(max(64, 2*len(s.sessions)), maxSessions)
	}
	if len(s.sessions) >= maxSessions {
		return Session{}, awshttp.Errorf(400, "LimitExceeded", "%d sessions are open, the most that Tidegate keeps; ask for shorter ones or keep credentials until they expire", len(s.sessions))
	}
	s.sessions[out.AccessKeyID] = &session{
		identity: awshttp.Identity{
			Secret:    out.SecretAccessKey,
			Token:     out.SessionToken,
			Principal: awshttp.Principal{Kind: awshttp.Role, ARN: arn, Account: s.account, UserID: id},
		},
		expires: out.Expiration,
		role:    role,
	}
	return out, nil
}

// randomID returns n characters of A–Z and 2–7, the look of AWS's ids.
func randomID(n int) string {
	b := make([]byte, (n*5+7)/8)
	rand.Read(b) // never fails: crypto/rand aborts the program instead
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)[:n]
}

// randomText returns n random bytes in base64.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}
