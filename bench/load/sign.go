package load

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"time"
)

// A Signer signs POSTs with AWS Signature Version 4. It keeps the day's signing
// key, so that one signature costs three short hashes.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
type Signer struct {
	AccessKeyID, SecretAccessKey string
	Region, Service              string

	second    int64
	stamp     []byte // 20060102T150405Z
	scope     []byte
	key       hash.Hash
	canonical []byte
	sum       []byte
}

// AppendFields appends the header lines that sign a POST of body: X-Amz-Date and
// Authorization. The path is as sent, its special characters percent-encoded once
// where they are; canonical is the same path encoded once more.
func (s *Signer) AppendFields(b []byte, host, canonical string, body []byte) []byte {
	s.refresh(time.Now())
	const signed = "host;x-amz-date"
	c := append(s.canonical[:0], "POST\n"...)
	c = append(c, canonical...)
	c = append(c, "\n\nhost:"...)
	c = append(c, host...)
	c = append(c, "\nx-amz-date:"...)
	c = append(c, s.stamp...)
	c = append(c, "\n\n"+signed+"\n"...)
	digest := sha256.Sum256(body)
	c = hex.AppendEncode(c, digest[:])
	digest = sha256.Sum256(c)

	c = append(c[:0], "AWS4-HMAC-SHA256\n"...)
	c = append(c, s.stamp...)
	c = append(c, '\n')
	c = append(c, s.scope...)
	c = append(c, '\n')
	c = hex.AppendEncode(c, digest[:])
	s.canonical = c
	s.key.Reset()
	s.key.Write(c)
	s.sum = s.key.Sum(s.sum[:0])

	b = append(b, "X-Amz-Date: "...)
	b = append(b, s.stamp...)
	b = append(b, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential="...)
	b = append(b, s.AccessKeyID...)
	b = append(b, '/')
	b = append(b, s.scope...)
	b = append(b, ", SignedHeaders="+signed+", Signature="...)
	b = hex.AppendEncode(b, s.sum)
	return append(b, "\r\n"...)
}

// refresh renews what holds for a second, and for a day.
func (s *Signer) refresh(now time.Time) {
	if now.Unix() == s.second {
		return
	}
	s.second = now.Unix()
	s.stamp = now.UTC().AppendFormat(s.stamp[:0], "20060102T150405Z")
	day := string(s.stamp[:8])
	scope := day + "/" + s.Region + "/" + s.Service + "/aws4_request"
	if scope == string(s.scope) {
		return
	}
	s.scope = []byte(scope)
	key := []byte("AWS4" + s.SecretAccessKey)
	for _, part := range []string{day, s.Region, s.Service, "aws4_request"} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	s.key = hmac.New(sha256.New, key)
}
