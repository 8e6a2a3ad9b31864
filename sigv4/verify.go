package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Verify checks that a is the signature that secret yields over r at the time
// now. a is what Parse returned for r, and body all of r's body. The request
// target is r.RequestURI when set, else r.URL: what the client sent, whatever
// a handler has since made of r.URL.
//
// The error is ErrExpired, ErrIncomplete (a header that can't be honoured) or
// ErrMismatch. Session tokens are not compared here: that is for whoever knows
// which one goes with the key.
//
// Signers differ in three things, and each is tried: a path with empty or dot
// segments may be signed normalized or as it is; a presigned request's token
// may be appended after signing; a presigned request's payload may be unsigned.
func (a *Authorization) Verify(r *http.Request, body []byte, secret string, now time.Time) error {
	if err := a.checkTime(now); err != nil {
		return err
	}
	if err := a.checkHeaders(r); err != nil {
		return err
	}
	path, query := target(r)
	if len(path) > maxPath {
		return incomplete("the path is longer than %d bytes", maxPath)
	}
	q := request{r: r, signedHeaders: a.SignedHeaders, service: a.Service}
	var err error
	if q.params, err = canonicalQuery(query); err != nil {
		return incomplete("%v", err)
	}
	payloads, err := a.payloads(r, body, q.params)
	if err != nil {
		return err
	}
	paths := [2]string{path, path}
	if a.Service != "s3" {
		paths[0] = normalize(path)
	}
	skips := [2]string{"", ""}
	if a.Presigned && a.SessionToken != "" {
		skips[1] = paramToken
	}

	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for i, payload := range payloads {
		for j, skip := range skips {
			for k, path := range paths {
				if i > 0 && payload == "" || j > 0 && skip == skips[0] || k > 0 && path == paths[0] {
					continue
				}
				*buf, err = q.append((*buf)[:0], path, skip, payload)
				if err != nil {
					return incomplete("the path has a %v", err)
				}
				sig := signature(*buf, secret, a.Region, a.Service, a.Time)
				if subtle.ConstantTimeCompare(sig[:], []byte(a.Signature)) == 1 {
					return nil
				}
			}
		}
	}
	return a.mismatch(&q, paths[0], payloads[0], (*buf)[:0])
}

// buffers holds space for canonical requests.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// mismatch tells which canonical request was expected: its hash is what SDKs
// print in their debug log, and nothing of the query or the headers' values is
// shown.
func (a *Authorization) mismatch(q *request, path, payload string, buf []byte) error {
	b, _ := q.append(buf, path, "", payload)
	uri, _ := appendPath(nil, path, a.Service)
	return fmt.Errorf("%w: %s %s, signed headers %s, %d query parameters, payload %s give a canonical request whose SHA-256 is %x; when the signer's is the same, the secret differs",
		ErrMismatch, q.r.Method, cut(string(uri)), cut(strings.Join(a.SignedHeaders, ";")), len(q.params), payload, sha256.Sum256(b))
}

func cut(s string) string {
	if len(s) > 256 {
		return s[:256] + "…"
	}
	return s
}

// checkTime words the refusals as AWS does.
func (a *Authorization) checkTime(now time.Time) error {
	now = now.UTC()
	if early := now.Add(MaxSkew); a.Time.After(early) {
		return fmt.Errorf("%w: Signature not yet current: %s is still later than %s (%s + 5 min.)", ErrExpired,
			a.Time.Format(basicFormat), early.Format(basicFormat), now.Format(basicFormat))
	}
	if a.Expires > 0 {
		if end := a.Time.Add(a.Expires); now.After(end) {
			return fmt.Errorf("%w: the presigned request was good until %s, now it is %s", ErrExpired, end.Format(basicFormat), now.Format(basicFormat))
		}
		return nil
	}
	if late := now.Add(-MaxSkew); a.Time.Before(late) {
		return fmt.Errorf("%w: Signature expired: %s is now earlier than %s (%s - 5 min.)", ErrExpired,
			a.Time.Format(basicFormat), late.Format(basicFormat), now.Format(basicFormat))
	}
	return nil
}

// checkHeaders bounds the signed headers' size, and insists that X-Amz-Target
// is signed: unsigned, whoever sees a GetItem on the wire could make it a
// DeleteItem.
func (a *Authorization) checkHeaders(r *http.Request) error {
	size, targetSigned := 0, false
	for _, name := range a.SignedHeaders {
		for _, v := range headerValues(r.Header, name) {
			size += len(v)
		}
		if name == "x-amz-target" {
			targetSigned = true
		}
	}
	if size > maxHeaderBytes {
		return incomplete("the signed headers are longer than %d bytes together", maxHeaderBytes)
	}
	if _, sent := r.Header["X-Amz-Target"]; sent && !targetSigned {
		return incomplete("the header X-Amz-Target must be signed")
	}
	return nil
}

// payloads returns the values that the last line of the canonical request may
// have; the second is empty when there is just one.
func (a *Authorization) payloads(r *http.Request, body []byte, params []param) ([2]string, error) {
	given := ""
	if vs := r.Header[paramPayload]; len(vs) > 0 {
		given = strings.TrimSpace(vs[0])
	} else if a.Presigned {
		for _, p := range params {
			if p.key == paramPayload {
				given = p.value
			}
		}
	}
	switch {
	case given == unsignedPayload:
		return [2]string{unsignedPayload}, nil
	case strings.HasPrefix(given, "STREAMING-"):
		return [2]string{}, incomplete("X-Amz-Content-Sha256 is %s: payloads signed chunk by chunk are not supported; sign the whole payload, or send UNSIGNED-PAYLOAD", quote(given))
	case given == "":
		hash := payloadHash(body)
		if a.Presigned {
			return [2]string{hash, unsignedPayload}, nil
		}
		return [2]string{hash}, nil
	}
	want, err := hex.DecodeString(given)
	if err != nil || len(want) != sha256.Size {
		return [2]string{}, incomplete("X-Amz-Content-Sha256 is %s, which is neither a SHA-256 in hexadecimal nor UNSIGNED-PAYLOAD", quote(given))
	}
	if got := sha256.Sum256(body); subtle.ConstantTimeCompare(got[:], want) != 1 {
		return [2]string{}, fmt.Errorf("%w: X-Amz-Content-Sha256 is not the SHA-256 of the body", ErrMismatch)
	}
	return [2]string{given}, nil
}
