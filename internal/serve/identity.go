package serve

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"tidegate/internal/awshttp"
	"tidegate/internal/config"
	"tidegate/internal/iampolicy"
)

// identities are whom the configuration lets in. They can be replaced while they
// are asked.
type identities struct {
	// Tokens are looked up by a digest with a secret, so that no time tells of them.
	digests sync.Pool // of *digest
	now     atomic.Pointer[roster]
}

// A digest makes digests, one after the other.
type digest struct {
	hash.Hash
	sum [32]byte
}

// A roster is whom identities let in at a time, by what they show.
type roster struct {
	keys   map[string]awshttp.Identity
	tokens map[[32]byte]awshttp.Principal
}

var (
	_ awshttp.Identities = (*identities)(nil)
	_ awshttp.Tokens     = (*identities)(nil)
)

func newIdentities() *identities {
	i := &identities{}
	var secret [32]byte
	rand.Read(secret[:])
	i.digests.New = func() any { return &digest{Hash: hmac.New(sha256.New, secret[:])} }
	i.now.Store(&roster{})
	return i
}

// set replaces whom it lets in.
func (i *identities) set(account string, all []config.Identity) error {
	r := &roster{keys: map[string]awshttp.Identity{}, tokens: map[[32]byte]awshttp.Principal{}}
	for n := range all {
		id := &all[n]
		p, err := principal(account, id)
		if err != nil {
			return fmt.Errorf("%s: %w", id.Place, err)
		}
		if id.AccessKeyID != "" {
			r.keys[id.AccessKeyID] = awshttp.Identity{Secret: id.SecretAccessKey, Principal: p}
		}
		if id.BearerToken != "" {
			r.tokens[i.digest(id.BearerToken)] = p
		}
	}
	i.now.Store(r)
	return nil
}

// Lookup implements awshttp.Identities.
func (i *identities) Lookup(accessKeyID string) (awshttp.Identity, bool) {
	id, ok := i.now.Load().keys[accessKeyID]
	return id, ok
}

// LookupToken implements awshttp.Tokens.
func (i *identities) LookupToken(token string) (awshttp.Principal, bool) {
	p, ok := i.now.Load().tokens[i.digest(token)]
	return p, ok
}

func (i *identities) digest(token string) [32]byte {
	d := i.digests.Get().(*digest)
	defer i.digests.Put(d)
	d.Reset()
	io.WriteString(d, token) // never fails
	d.Sum(d.sum[:0])
	return d.sum
}

// principal is who an identity is to policies.
func principal(account string, id *config.Identity) (awshttp.Principal, error) {
	if id.Admin {
		return awshttp.Principal{Kind: awshttp.Root, ARN: "arn:aws:iam::" + account + ":root", Account: account}, nil
	}
	p := awshttp.Principal{Kind: awshttp.User, ARN: "arn:aws:iam::" + account + ":user/" + id.Name, Account: account, UserID: id.Name}
	document, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Action": orDefault(id.Actions, "execute-api:ManageConnections"), "Resource": resources(id),
	}}})
	if err != nil {
		return p, err
	}
	policy, err := iampolicy.Parse(id.Name, document)
	if err != nil {
		return p, err
	}
	p.Policies = []*iampolicy.Document{policy}
	return p, nil
}

// resources are the ARNs of what an identity may call, of whatever region and
// account.
func resources(id *config.Identity) []string {
	var all []string
	for _, api := range orDefault(id.APIs, "*") {
		for _, stage := range orDefault(id.Stages, "*") {
			all = append(all, "arn:aws:execute-api:*:*:"+api+"/"+stage+"/*")
		}
	}
	return all
}

func orDefault(given []string, otherwise string) []string {
	if len(given) == 0 {
		return []string{otherwise}
	}
	return given
}
