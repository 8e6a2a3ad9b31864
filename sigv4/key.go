package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
	"sync/atomic"
	"time"
)

// A keyScope is what a signing key is derived from.
type keyScope struct{ secret, day, region, service string }

// maxKeys bounds the cache of signing keys: a key for each function's role and
// each service it calls fits many times over.
const maxKeys = 512

// keys holds derived signing keys: a derivation costs four HMACs, and the same
// key is asked for with every push for a day.
var keys keyCache

// A keyCache maps scopes to signing keys. The zero value is ready.
type keyCache struct {
	last atomic.Pointer[signingKey] // most often it is wanted again
	mu   sync.RWMutex
	m    map[keyScope]*signingKey
}

// A signingKey is a derived key with HMACs that have taken it in already.
type signingKey struct {
	scope keyScope
	key   [sha256.Size]byte
	idles sync.Pool // of *hmacState
}

// An hmacState is one HMAC, with room for what it yields.
type hmacState struct {
	hash.Hash
	sum [sha256.Size]byte
}

// appendSum appends the HMAC of text under the key, in hexadecimal.
func (k *signingKey) appendSum(dst, text []byte) []byte {
	h, ok := k.idles.Get().(*hmacState)
	if !ok {
		h = &hmacState{Hash: hmac.New(sha256.New, k.key[:])}
	}
	h.Write(text)
	h.Sum(h.sum[:0])
	h.Reset()
	dst = hex.AppendEncode(dst, h.sum[:])
	k.idles.Put(h)
	return dst
}

// get returns the scope's key, derived when it isn't there; day is the scope's. A
// full cache drops the keys of other days, and when there are none, an arbitrary
// one.
func (c *keyCache) get(secret string, day []byte, region, service string) *signingKey {
	if k := c.last.Load(); k != nil && k.scope.day == string(day) && k.scope.region == region && k.scope.service == service && k.scope.secret == secret {
		return k
	}
	s := keyScope{secret, string(day), region, service}
	c.mu.RLock()
	key, ok := c.m[s]
	c.mu.RUnlock()
	if !ok {
		key = c.add(s)
	}
	c.last.Store(key)
	return key
}

func (c *keyCache) add(s keyScope) *signingKey {
	key := &signingKey{scope: s, key: derive(s)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[keyScope]*signingKey)
	}
	if len(c.m) >= maxKeys {
		for old := range c.m {
			if old.day != s.day {
				delete(c.m, old)
			}
		}
		for old := range c.m {
			if len(c.m) < maxKeys {
				break
			}
			delete(c.m, old)
		}
	}
	c.m[s] = key
	return key
}

// derive makes a signing key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key
func derive(s keyScope) [sha256.Size]byte {
	day := mac([]byte("AWS4"+s.secret), s.day)
	region := mac(day[:], s.region)
	service := mac(region[:], s.service)
	return mac(service[:], scopeEnd)
}

func mac(key []byte, text string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	h.Sum(sum[:0])
	return sum
}

// A workspace is the space that making a signature takes.
type workspace struct {
	canonical []byte // a canonical request
	toSign    []byte
	signature []byte // in hexadecimal
	given     []byte // the client's
	request   Request
}

var workspaces = sync.Pool{New: func() any {
	return &workspace{canonical: make([]byte, 0, 1024), toSign: make([]byte, 0, 256)}
}}

// sign makes the signature of the canonical request.
func (w *workspace) sign(secret, region, service string, t time.Time) {
	const dateAt = len(algorithm) + 1
	b := append(w.toSign[:0], algorithm+"\n"...)
	b = appendBasic(b, t)
	day := b[dateAt : dateAt+len(dayFormat)]
	b = append(b, '\n')
	b = appendScope(b, day, region, service)
	b = append(b, '\n')
	hash := sha256.Sum256(w.canonical)
	b = hex.AppendEncode(b, hash[:])
	w.signature = keys.get(secret, day, region, service).appendSum(w.signature[:0], b)
	w.toSign = b
}

// appendScope appends the credential scope: day/region/service/aws4_request.
func appendScope(b, day []byte, region, service string) []byte {
	b = append(b, day...)
	b = append(b, '/')
	b = append(b, region...)
	b = append(b, '/')
	b = append(b, service...)
	return append(b, "/"+scopeEnd...)
}

// appendBasic is t.AppendFormat(b, basicFormat), and appendDay that of dayFormat,
// for a part of theirs: a verification needs four.
func appendBasic(b []byte, t time.Time) []byte {
	b = append(appendDay(b, t), 'T')
	hour, minute, second := t.Clock()
	b = appendTwo(b, hour)
	b = appendTwo(b, minute)
	b = appendTwo(b, second)
	return append(b, 'Z')
}

func appendDay(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, dayFormat)
	}
	b = appendTwo(b, year/100)
	b = appendTwo(b, year%100)
	b = appendTwo(b, int(month))
	return appendTwo(b, day)
}

// appendTwo appends two digits.
func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
