package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sign signs a client's request in its header. It sets X-Amz-Date,
// X-Amz-Content-Sha256, Authorization and, when the credentials have a token,
// X-Amz-Security-Token. Signed are the host, Content-Type and every X-Amz-*
// header that the request has by then, so headers are set before. body is what
// r.Body will send; a request whose X-Amz-Content-Sha256 is already
// UNSIGNED-PAYLOAD keeps it, and body is not looked at.
func Sign(r *http.Request, body []byte, c Credentials, service, region string, now time.Time) {
	now = now.UTC()
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	payload := r.Header.Get(paramPayload)
	if payload != unsignedPayload {
		payload = payloadHash(body)
	}
	r.Header.Set(paramPayload, payload)
	r.Header.Set(paramDate, now.Format(basicFormat))
	r.Header.Del(paramToken)
	if c.SessionToken != "" {
		r.Header.Set(paramToken, c.SessionToken)
	}
	r.Header.Del("Authorization")

	names := headersToSign(r.Header)
	sig := signRequest(r, names, payload, c.SecretAccessKey, service, region, now)
	var b strings.Builder
	b.WriteString(algorithm + " Credential=" + c.AccessKeyID + "/")
	b.Write(appendScope(nil, appendDay(nil, now), region, service))
	b.WriteString(", SignedHeaders=" + strings.Join(names, ";") + ", Signature=" + sig)
	r.Header.Set("Authorization", b.String())
}

// Presign signs a client's request in its query string, to be used as a URL
// for the given time (whole seconds, at most MaxExpires). Signed are the host
// and every X-Amz-* header that the request has. The payload's hash is that of
// an empty body, as AWS expects of a WebSocket handshake to execute-api; for s3
// the payload is unsigned. The session token is part of what is signed. A wss
// URL signs as an https one does: the scheme is not part of the signature.
func Presign(r *http.Request, c Credentials, service, region string, expires time.Duration, now time.Time) {
	now = now.UTC()
	payload := emptyPayload
	if service == "s3" {
		payload = unsignedPayload
	}
	if v := r.Header.Get(paramPayload); v != "" {
		payload = v
	}
	names := headersToSign(r.Header)

	r.URL.RawQuery = dropPresigned(r.URL.RawQuery)
	b := []byte(r.URL.RawQuery)
	add := func(key, value string) {
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = append(append(b, key...), '=')
		b = appendEscaped(b, value, false)
	}
	add(paramAlgorithm, algorithm)
	add(paramCredential, string(appendScope([]byte(c.AccessKeyID+"/"), appendDay(nil, now), region, service)))
	add(paramDate, now.Format(basicFormat))
	add(paramExpires, strconv.FormatInt(int64(expires/time.Second), 10))
	if c.SessionToken != "" {
		add(paramToken, c.SessionToken)
	}
	add(paramSignedHeaders, strings.Join(names, ";"))
	r.URL.RawQuery = string(b)
	add(paramSignature, signRequest(r, names, payload, c.SecretAccessKey, service, region, now))
	r.URL.RawQuery = string(b)
}

// dropPresigned removes the parameters of an earlier signature from a query.
func dropPresigned(query string) string {
	if !strings.Contains(query, "X-Amz-") {
		return query
	}
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		switch key, _, _ := strings.Cut(part, "="); key {
		case paramAlgorithm, paramCredential, paramDate, paramExpires, paramToken, paramSignedHeaders, paramSignature:
		default:
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "&")
}

// signRequest returns the signature of a client's request. What can't be put
// in canonical form (a malformed escape in the query) can't be verified either,
// and signs as if the query were empty.
func signRequest(r *http.Request, names []string, payload, secret, service, region string, now time.Time) string {
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	w.request.SetHTTP(r)
	q := signed{Request: &w.request, signedHeaders: names, service: service}
	q.params, _ = canonicalQuery(q.Query)
	path := q.Path
	if service != "s3" {
		path = normalize(path)
	}
	var err error
	if w.canonical, err = q.append(w.canonical[:0], path, "", payload); err != nil {
		w.canonical = w.canonical[:0]
	}
	w.sign(secret, region, service, now)
	return string(w.signature)
}

// headersToSign returns the names of the headers that Sign and Presign cover,
// in lower case and sorted.
func headersToSign(h http.Header) []string {
	names := []string{"host"}
	for k, v := range h {
		name := strings.ToLower(k)
		if len(v) > 0 && (name == "content-type" || strings.HasPrefix(name, "x-amz-")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func payloadHash(body []byte) string {
	if len(body) == 0 {
		return emptyPayload
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
