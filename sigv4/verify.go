package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Verify is VerifyRequest for a request as net/http has it.
func (a *Authorization) Verify(r *http.Request, body []byte, secret string, now time.Time) error {
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	w.request.SetHTTP(r)
	return a.verify(w, &w.request, body, secret, now)
}

// VerifyRequest checks that a is the signature that secret yields over q at the
// time now. a is what was parsed of q, and body all of its body.
//
// The error is ErrExpired, ErrIncomplete (a header that can't be honoured) or
// ErrMismatch. Session tokens are not compared here: that is for whoever knows
// which one goes with the key.
//
// Signers differ in three things, and each is tried: a path with empty or dot
// segments may be signed normalized or as it is; a presigned request's token
// may be appended after signing; a presigned request's payload may be unsigned.
func (a *Authorization) VerifyRequest(q *Request, body []byte, secret string, now time.Time) error {
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	return a.verify(w, q, body, secret, now)
}

func (a *Authorization) verify(w *workspace, r *Request, body []byte, secret string, now time.Time) error {
	if err := a.checkTime(now); err != nil {
		return err
	}
	if err := a.checkHeaders(r); err != nil {
		return err
	}
	if len(r.Path) > maxPath {
		return incomplete("the path is longer than %d bytes", maxPath)
	}
	q := signed{Request: r, signedHeaders: a.SignedHeaders, service: a.Service}
	var err error
	if q.params, err = canonicalQuery(r.Query); err != nil {
		return incomplete("%v", err)
	}
	payloads, err := a.payloads(r, body, q.params)
	if err != nil {
		return err
	}
	paths := [2]string{r.Path, r.Path}
	if a.Service != "s3" {
		paths[0] = normalize(r.Path)
	}
	skips := [2]string{"", ""}
	if a.Presigned && a.SessionToken != "" {
		skips[1] = paramToken
	}
	w.given = append(w.given[:0], a.Signature...)
	for i, payload := range payloads {
		for j, skip := range skips {
			for k, path := range paths {
				if i > 0 && payload == "" || j > 0 && skip == skips[0] || k > 0 && path == paths[0] {
					continue
				}
				w.canonical, err = q.append(w.canonical[:0], path, skip, payload)
				if err != nil {
					return incomplete("the path has a %v", err)
				}
				w.sign(secret, a.Region, a.Service, a.Time)
				if subtle.ConstantTimeCompare(w.signature, w.given) == 1 {
					return nil
				}
			}
		}
	}
	return a.mismatch(&q, paths[0], payloads[0])
}

// mismatch tells which canonical request was expected: its hash is what SDKs
// print in their debug log, and nothing of the query or the headers' values is
// shown.
func (a *Authorization) mismatch(q *signed, path, payload string) error {
	b, _ := q.append(nil, path, "", payload)
	uri, _ := appendPath(nil, path, a.Service)
	return fmt.Errorf("%w: %s %s, signed headers %s, %d query parameters, payload %s give a canonical request whose SHA-256 is %x; when the signer's is the same, the secret differs",
		ErrMismatch, q.Method, cut(string(uri)), cut(strings.Join(a.SignedHeaders, ";")), len(q.params), payload, sha256.Sum256(b))
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
func (a *Authorization) checkHeaders(q *Request) error {
	size := 0
	for i := range q.Header {
		f := &q.Header[i]
		size += len(f.Value)
		if len(f.Name) == len(targetHeader) && strings.EqualFold(f.Name, targetHeader) && !slices.Contains(a.SignedHeaders, targetHeader) {
			return incomplete("the header X-Amz-Target must be signed")
		}
	}
	if size > maxHeaderBytes && a.signedBytes(q) > maxHeaderBytes {
		return incomplete("the signed headers are longer than %d bytes together", maxHeaderBytes)
	}
	return nil
}

const targetHeader = "x-amz-target"

// signedBytes is how long the signed headers' values are.
func (a *Authorization) signedBytes(q *Request) int {
	size := 0
	for i := range q.Header {
		if slices.Contains(a.SignedHeaders, strings.ToLower(q.Header[i].Name)) {
			size += len(q.Header[i].Value)
		}
	}
	return size
}

// payloads returns the values that the last line of the canonical request may
// have; the second is empty when there is just one.
func (a *Authorization) payloads(r *Request, body []byte, params []param) ([2]string, error) {
	given := ""
	if v, sent := r.lookup(paramPayload); sent {
		given = strings.TrimSpace(v)
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
	var want [sha256.Size]byte
	if !decodeHash(&want, given) {
		return [2]string{}, incomplete("X-Amz-Content-Sha256 is %s, which is neither a SHA-256 in hexadecimal nor UNSIGNED-PAYLOAD", quote(given))
	}
	if got := sha256.Sum256(body); subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return [2]string{}, fmt.Errorf("%w: X-Amz-Content-Sha256 is not the SHA-256 of the body", ErrMismatch)
	}
	return [2]string{given}, nil
}

// decodeHash decodes a SHA-256 in hexadecimal.
func decodeHash(hash *[sha256.Size]byte, s string) bool {
	var text [2 * sha256.Size]byte
	if len(s) != len(text) {
		return false
	}
	copy(text[:], s)
	_, err := hex.Decode(hash[:], text[:])
	return err == nil
}
