package event

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
)

// NewRequestID returns a new request or message id: 11 random bytes as URL-safe
// base64, so 15 characters and one '=' (AWS's look, which users' patterns
// expect: WS-01-053). 88 random bits don't collide in practice. The ids come from the
// runtime's ChaCha8 generator; they identify and authorize nothing.
func NewRequestID() string {
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
	var text [16]byte
	base64.URLEncoding.Encode(text[:], raw[:11])
	return string(text[:])
}
