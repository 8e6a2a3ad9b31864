package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
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
	mu sync.RWMutex
	m  map[keyScope]*signingKey
}

// A signingKey is a derived key with HMACs that have taken it in already.
type signingKey struct {
	key   [sha256.Size]byte
	idles sync.Pool // of hash.Hash
}

// sum returns the HMAC of text under the key.
func (k *signingKey) sum(text []byte) (sum [sha256.Size]byte) {
	h, ok := k.idles.Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, k.key[:])
	}
	h.Write(text)
	h.Sum(sum[:0])
	h.Reset()
	k.idles.Put(h)
	return sum
}

// get returns the scope's key, derived when it isn't there. A full cache drops
// the keys of other days, and when there are none, an arbitrary one.
func (c *keyCache) get(s keyScope) *signingKey {
	c.mu.RLock()
	key, ok := c.m[s]
	c.mu.RUnlock()
	if ok {
		return key
	}
	key = &signingKey{key: derive(s)}
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

// signature returns the hex signature of a canonical request.
func signature(canonical []byte, secret, region, service string, t time.Time) (sig [2 * sha256.Size]byte) {
	var buf [256]byte
	b := append(buf[:0], algorithm+"\n"...)
	b = appendBasic(b, t)
	b = append(b, '\n')
	b = appendScope(b, t, region, service)
	b = append(b, '\n')
	hash := sha256.Sum256(canonical)
	b = hex.AppendEncode(b, hash[:])

	var day [len(dayFormat)]byte
	key := keys.get(keyScope{secret, string(appendDay(day[:0], t)), region, service})
	sum := key.sum(b)
	hex.Encode(sig[:], sum[:])
	return sig
}

// appendScope appends the credential scope: day/region/service/aws4_request.
func appendScope(b []byte, t time.Time, region, service string) []byte {
	b = appendDay(b, t)
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
