package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var (
	testTime  = time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)
	testCreds = Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "wJalr/+XUtn=secret"}
	withToken = Credentials{AccessKeyID: "ASIATEST", SecretAccessKey: "other secret", SessionToken: "IQoJ+/token=="}
)

// received is r as a server gets it, through the wire's bytes.
func received(t testing.TB, r *http.Request, body []byte) *http.Request {
	t.Helper()
	r = r.Clone(context.Background())
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func check(r *http.Request, body []byte, secret string, now time.Time) error {
	a, err := Parse(r)
	if err != nil {
		return err
	}
	return a.Verify(r, body, secret, now)
}

// rawURL is a URL whose path goes over the wire exactly as written.
func rawURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// targets are request targets that signers are known to disagree about.
var targets = []string{
	"/",
	"/production/@connections/e_d2EewNLPECIGw%3D",
	"/production/%40connections/e_d2EewNLPECIGw%3D",
	"/production/@connections/e_d2EewNLPECIGw=",
	"/$default/@connections/abc%3D",
	"/%24default/@connections/abc%3D",
	"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations",
	"/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations?Qualifier=%24LATEST",
	"/a%20b/%E1%88%B4/c+d",
	"/?b=2&a=1&a=0&c&d=&e=%2B+x%20y&%7E=~",
	"/x?a=%2F&a=/&z=%3d",
	"/a//b/./c/../d",
}

func TestRoundTrip(t *testing.T) {
	for _, target := range targets {
		for _, c := range []Credentials{testCreds, withToken} {
			for _, service := range []string{"execute-api", "s3"} {
				name := fmt.Sprintf("%s %s token=%t", target, service, c.SessionToken != "")
				body := []byte("Hello from Lambda")
				r, _ := http.NewRequest("POST", "http://localhost:8420/", nil)
				r.URL = rawURL(t, "http://localhost:8420"+target)
				r.Header.Set("Content-Type", "application/octet-stream")
				Sign(r, body, c, service, "eu-west-1", testTime)
				got := received(t, r, body)
				if err := check(got, body, c.SecretAccessKey, testTime.Add(time.Minute)); err != nil {
					t.Errorf("Sign %s: %v", name, err)
				}
				if err := check(got, []byte("other"), c.SecretAccessKey, testTime); !errors.Is(err, ErrMismatch) {
					t.Errorf("Sign %s with another body: %v", name, err)
				}
				if err := check(got, body, c.SecretAccessKey+"x", testTime); !errors.Is(err, ErrMismatch) {
					t.Errorf("Sign %s with another secret: %v", name, err)
				}

				r, _ = http.NewRequest("GET", "http://localhost:8420/", nil)
				r.URL = rawURL(t, "http://localhost:8420"+target)
				Presign(r, c, service, "eu-west-1", time.Hour, testTime)
				got = received(t, r, nil)
				if err := check(got, nil, c.SecretAccessKey, testTime.Add(59*time.Minute)); err != nil {
					t.Errorf("Presign %s: %v", name, err)
				}
				if err := check(got, nil, c.SecretAccessKey, testTime.Add(61*time.Minute)); !errors.Is(err, ErrExpired) {
					t.Errorf("Presign %s after its end: %v", name, err)
				}
			}
		}
	}
}

// TestSDKSigns verifies what the AWS SDK's signer produces.
func TestSDKSigns(t *testing.T) {
	signer := sdk.NewSigner()
	for _, target := range targets {
		for _, c := range []Credentials{testCreds, withToken} {
			cred := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
			body := []byte(`{"a":1}`)
			r, _ := http.NewRequest("POST", "http://localhost:8420/", bytes.NewReader(body))
			r.URL = rawURL(t, "http://localhost:8420"+target)
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
			r.Header["X-Twice"] = []string{"a", "  b   c "}
			if err := signer.SignHTTP(t.Context(), cred, r, payloadHash(body), "dynamodb", "us-east-1", testTime); err != nil {
				t.Fatal(err)
			}
			got := received(t, r, body)
			if err := check(got, body, c.SecretAccessKey, testTime); err != nil {
				t.Errorf("SignHTTP %s: %v", target, err)
			}
			got.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteItem")
			if err := check(got, body, c.SecretAccessKey, testTime); !errors.Is(err, ErrMismatch) {
				t.Errorf("SignHTTP %s, another operation: %v", target, err)
			}

			r, _ = http.NewRequest("GET", "http://localhost:8420/", nil)
			r.URL = rawURL(t, "http://localhost:8420"+target)
			q := r.URL.Query()
			q.Set("X-Amz-Expires", "300")
			r.URL.RawQuery = q.Encode()
			u, headers, err := signer.PresignHTTP(t.Context(), cred, r, emptyPayload, "execute-api", "us-east-1", testTime)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = rawURL(t, u)
			for k, v := range headers {
				if k != "Host" {
					r.Header[k] = v
				}
			}
			if err := check(received(t, r, nil), nil, c.SecretAccessKey, testTime.Add(4*time.Minute)); err != nil {
				t.Errorf("PresignHTTP %s: %v", target, err)
			}
		}
	}
}

// TestSDKAgrees compares signatures: the SDK's signer, given the same headers,
// gets what Sign gets.
func TestSDKAgrees(t *testing.T) {
	for _, target := range targets {
		if strings.Contains(target, "/./") {
			continue // the SDK for Go signs such a path as it is, the others normalize it
		}
		body := []byte("x")
		r, _ := http.NewRequest("POST", "https://example.com/", nil)
		r.URL = rawURL(t, "https://example.com"+target)
		Sign(r, body, withToken, "execute-api", "us-east-1", testTime)
		ours := r.Header.Get("Authorization")
		r.Header.Del("Authorization")
		cred := aws.Credentials{AccessKeyID: withToken.AccessKeyID, SecretAccessKey: withToken.SecretAccessKey, SessionToken: withToken.SessionToken}
		if err := sdk.NewSigner().SignHTTP(t.Context(), cred, r, payloadHash(body), "execute-api", "us-east-1", testTime); err != nil {
			t.Fatal(err)
		}
		if theirs := r.Header.Get("Authorization"); ours != theirs {
			t.Errorf("%s:\n ours   %s\n theirs %s", target, ours, theirs)
		}
	}
}

// TestCanonicalURI pins the double encoding of @connections.
func TestCanonicalURI(t *testing.T) {
	for _, c := range []struct{ sent, service, want string }{
		{"/production/@connections/e_d2EewNLPECIGw%3D", "execute-api", "/production/%40connections/e_d2EewNLPECIGw%253D"},
		{"/production/@connections/e_d2EewNLPECIGw=", "execute-api", "/production/%40connections/e_d2EewNLPECIGw%3D"},
		{"/production/%40connections/x", "execute-api", "/production/%2540connections/x"},
		{"/a%20b%2Fc", "s3", "/a%20b/c"},
		{"/key@1", "s3", "/key%401"},
		{"", "execute-api", "/"},
	} {
		got, err := appendPath(nil, c.sent, c.service)
		if err != nil || string(got) != c.want {
			t.Errorf("%s for %s = %s, %v; want %s", c.sent, c.service, got, err, c.want)
		}
	}
	for in, want := range map[string]string{
		"/": "/", "//": "/", "/./": "/", "/a/..": "/", "/../a": "/a", "/a//b/": "/a/b/", "/a/./b": "/a/b", "/a/b/../c": "/a/c", "/.a/b": "/.a/b",
	} {
		if got := normalize(in); got != want {
			t.Errorf("normalize(%s) = %s, want %s", in, got, want)
		}
	}
}

// TestTokenAfterSigning accepts a presigned request whose token was appended
// afterwards.
func TestTokenAfterSigning(t *testing.T) {
	r, _ := http.NewRequest("GET", "https://x.execute-api.us-east-1.amazonaws.com/prod", nil)
	Presign(r, testCreds, "execute-api", "us-east-1", time.Minute, testTime)
	r.URL.RawQuery += "&X-Amz-Security-Token=late%2Ftoken"
	got := received(t, r, nil)
	a, err := Parse(got)
	if err != nil || a.SessionToken != "late/token" {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := a.Verify(got, nil, testCreds.SecretAccessKey, testTime); err != nil {
		t.Error(err)
	}
	r.URL.RawQuery += "&more=1"
	if err := check(received(t, r, nil), nil, testCreds.SecretAccessKey, testTime); !errors.Is(err, ErrMismatch) {
		t.Errorf("a parameter appended after signing: %v", err)
	}
}

func TestPayload(t *testing.T) {
	body := []byte("payload")
	for _, c := range []struct {
		name, sha string
		body      string
		want      error
		text      string
	}{
		{"unsigned", unsignedPayload, "anything", nil, ""},
		{"its own", payloadHash(body), "payload", nil, ""},
		{"another's", payloadHash([]byte("other")), "payload", ErrMismatch, "not the SHA-256 of the body"},
		{"streaming", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "payload", ErrIncomplete, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
		{"junk", "junk", "payload", ErrIncomplete, `"junk"`},
	} {
		r, _ := http.NewRequest("POST", "http://h/", nil)
		r.Header.Set("X-Amz-Content-Sha256", c.sha)
		r.Header.Set("X-Amz-Date", testTime.Format(basicFormat))
		names := headersToSign(r.Header)
		sig := signRequest(r, names, c.sha, testCreds.SecretAccessKey, "s", "r", testTime)
		r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=K/%s/r/s/aws4_request, SignedHeaders=%s, Signature=%s", testTime.Format(dayFormat), strings.Join(names, ";"), sig))
		err := check(r, []byte(c.body), testCreds.SecretAccessKey, testTime)
		if !errors.Is(err, c.want) || c.want != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTime(t *testing.T) {
	r, _ := http.NewRequest("GET", "http://h/", nil)
	Sign(r, nil, testCreds, "s", "r", testTime)
	for _, c := range []struct {
		offset time.Duration
		want   error
	}{{0, nil}, {MaxSkew, nil}, {-MaxSkew, nil}, {MaxSkew + time.Second, ErrExpired}, {-MaxSkew - time.Second, ErrExpired}, {24 * time.Hour, ErrExpired}} {
		if err := check(r, nil, testCreds.SecretAccessKey, testTime.Add(c.offset)); !errors.Is(err, c.want) {
			t.Errorf("%v off: %v, want %v", c.offset, err, c.want)
		}
	}

	// The Date header serves when there is no X-Amz-Date.
	r, _ = http.NewRequest("GET", "http://h/", nil)
	r.Header.Set("Date", testTime.Format(http.TimeFormat))
	sig := signRequest(r, []string{"date", "host"}, emptyPayload, testCreds.SecretAccessKey, "s", "r", testTime)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=K/20240229/r/s/aws4_request,SignedHeaders=date;host,Signature="+sig)
	if err := check(r, nil, testCreds.SecretAccessKey, testTime); err != nil {
		t.Errorf("Date header: %v", err)
	}
}

const goodAuth = "AWS4-HMAC-SHA256 Credential=AK/20240229/us-east-1/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		name, auth, date, query string
		want                    error
		text                    string
	}{
		{"none", "", "", "", ErrUnsigned, ""},
		{"bearer", "Bearer abc", "", "", ErrUnsigned, ""},
		{"good", goodAuth, "20240229T000000Z", "", nil, ""},
		{"version 2", "AWS AKID:sig", "20240229T000000Z", "", ErrIncomplete, `"AWS"`},
		{"asymmetric", strings.Replace(goodAuth, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1), "20240229T000000Z", "", ErrIncomplete, "AWS4-ECDSA-P256-SHA256"},
		{"no date", goodAuth, "", "", ErrIncomplete, "X-Amz-Date"},
		{"bad date", goodAuth, "2024-02-29", "", ErrIncomplete, "2024-02-29"},
		{"other day", goodAuth, "20240301T000000Z", "", ErrIncomplete, "'20240229' != '20240301'"},
		{"no signature", strings.Split(goodAuth, ", Signature")[0], "20240229T000000Z", "", ErrIncomplete, "'Signature'"},
		{"upper-case signature", strings.Replace(goodAuth, "abcdef", "ABCDEF", 1), "20240229T000000Z", "", ErrIncomplete, "hexadecimal"},
		{"host not signed", strings.Replace(goodAuth, "host;", "", 1), "20240229T000000Z", "", ErrIncomplete, "'Host'"},
		{"unsorted", strings.Replace(goodAuth, "host;x-amz-date", "x-amz-date;host", 1), "20240229T000000Z", "", ErrIncomplete, "sorted"},
		{"twice", strings.Replace(goodAuth, "host;", "host;host;", 1), "20240229T000000Z", "", ErrIncomplete, "once"},
		{"upper-case header", strings.Replace(goodAuth, "host;", "Host;host;", 1), "20240229T000000Z", "", ErrIncomplete, `"Host"`},
		{"credential parts", strings.Replace(goodAuth, "/us-east-1", "", 1), "20240229T000000Z", "", ErrIncomplete, "five parts"},
		{"empty region", strings.Replace(goodAuth, "us-east-1", "", 1), "20240229T000000Z", "", ErrIncomplete, "part 3"},
		{"unknown part", goodAuth + ", Extra=1", "20240229T000000Z", "", ErrIncomplete, `"Extra"`},
		{"part twice", goodAuth + ", Signature=1", "20240229T000000Z", "", ErrIncomplete, "two parts Signature"},
		{"both forms", goodAuth, "20240229T000000Z", "X-Amz-Algorithm=AWS4-HMAC-SHA256", ErrIncomplete, "both"},
		{"too many headers", strings.Replace(goodAuth, "host;", strings.Repeat("a;", 200)+"host;", 1), "20240229T000000Z", "", ErrIncomplete, "more than 128"},
		{"too long", goodAuth + strings.Repeat(" ", maxAuthorization), "20240229T000000Z", "", ErrIncomplete, "longer than"},
		{"presigned, no expiry but too long", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20240229T000000Z&X-Amz-Expires=604801", ErrIncomplete, "604800"},
		{"presigned, negative expiry", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20240229T000000Z&X-Amz-Expires=-1", ErrIncomplete, `"-1"`},
		{"presigned, zero expiry", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20240229T000000Z&X-Amz-Expires=0", ErrIncomplete, `"0"`},
		{"presigned, twice", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=a&X-Amz-Signature=b", ErrIncomplete, "X-Amz-Signature twice"},
		{"presigned, bad escape", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&x=%zz", ErrIncomplete, "percent-encoding"},
		{"presigned, no credential", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20240229T000000Z", ErrIncomplete, "X-Amz-Credential"},
	} {
		r := &http.Request{Method: "GET", RequestURI: "/?" + c.query, Host: "h", Header: http.Header{}}
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		if c.date != "" {
			r.Header.Set("X-Amz-Date", c.date)
		}
		_, err := Parse(r)
		if !errors.Is(err, c.want) || c.text != "" && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v; want %v with %q", c.name, err, c.want, c.text)
		}
	}
}

// TestUnsignedTarget refuses a request whose X-Amz-Target the signature
// doesn't cover.
func TestUnsignedTarget(t *testing.T) {
	r, _ := http.NewRequest("POST", "http://h/", nil)
	Sign(r, nil, testCreds, "dynamodb", "r", testTime)
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteTable")
	if err := check(r, nil, testCreds.SecretAccessKey, testTime); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "X-Amz-Target") {
		t.Error(err)
	}
}

// TestErrorsHoldNoSecret looks for the secret and the token in what a failed
// verification says.
func TestErrorsHoldNoSecret(t *testing.T) {
	r, _ := http.NewRequest("GET", "http://h/?password=hunter2", nil)
	r.Header.Set("X-Amz-Meta-Key", "hunter2")
	Sign(r, nil, withToken, "s", "r", testTime)
	r.Host = "other"
	err := check(r, nil, withToken.SecretAccessKey, testTime)
	if !errors.Is(err, ErrMismatch) {
		t.Fatal(err)
	}
	for _, s := range []string{withToken.SecretAccessKey, withToken.SessionToken, "hunter2"} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("%q is in %v", s, err)
		}
	}
}

// TestAbsoluteTarget verifies a request that came in the form for proxies.
func TestAbsoluteTarget(t *testing.T) {
	r, _ := http.NewRequest("GET", "http://h/a?x=http://y/z", nil)
	Sign(r, nil, testCreds, "s", "r", testTime)
	for _, uri := range []string{"/a?x=http://y/z", "http://h/a?x=http://y/z"} {
		got := r.Clone(t.Context())
		got.RequestURI, got.URL = uri, &url.URL{Path: "/rewritten"}
		if err := check(got, nil, testCreds.SecretAccessKey, testTime); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// TestKeyCacheBound fills the cache past its bound.
func TestKeyCacheBound(t *testing.T) {
	var c keyCache
	for i := range maxKeys + 10 {
		s := keyScope{fmt.Sprint(i), "20240229", "r", "s"}
		get := func() *signingKey { return c.get(s.secret, []byte(s.day), s.region, s.service) }
		if get().key != derive(s) || get().key != derive(s) {
			t.Fatal("the cache returns another key")
		}
		if len(c.m) > maxKeys {
			t.Fatalf("%d keys", len(c.m))
		}
	}
	c.get("x", []byte("20240301"), "r", "s")
	if len(c.m) != 1 {
		t.Errorf("%d keys on the next day; the full cache should have dropped yesterday's", len(c.m))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(goodAuth, "20240229T000000Z", "/")
	f.Add("", "", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20240229%2Fr%2Fs%2Faws4_request&X-Amz-Date=20240229T000000Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600&X-Amz-Signature="+strings.Repeat("a", 64))
	f.Add(goodAuth, "20240229T000000Z", "http://h/%2e%2e//x?%zz&a=+")
	f.Fuzz(func(t *testing.T, auth, date, uri string) {
		r := &http.Request{Method: "GET", RequestURI: uri, URL: &url.URL{}, Host: "h", Header: http.Header{}}
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		r.Header.Set("X-Amz-Date", date)
		a, err := Parse(r)
		if err != nil {
			if !errors.Is(err, ErrUnsigned) && !errors.Is(err, ErrIncomplete) {
				t.Fatalf("an error of neither kind: %v", err)
			}
			return
		}
		if a.AccessKeyID == "" || a.Region == "" || a.Service == "" || len(a.Signature) != 64 || len(a.SignedHeaders) > maxSignedHeaders || a.Expires > MaxExpires {
			t.Fatalf("parsed %+v", a)
		}
		if err := a.Verify(r, nil, "secret", a.Time); err == nil {
			t.Fatal("a guessed signature verifies")
		}
	})
}

// TestParseDate wants what time.Parse says, of every part of a date.
func TestParseDate(t *testing.T) {
	for _, v := range []string{"20240229T235958Z", "20230229T235958Z", "20240431T000000Z", "20240430T000000Z", "20241301T000000Z", "20240001T000000Z",
		"20240100T000000Z", "20240101T240000Z", "20240101T006000Z", "20240101T000060Z", "2024010aT000000Z", "20240101 000000Z", "20240101T000000z",
		"20240101T000000Z0", "", "00000101T000000Z", "-2240101T000000Z", "20240101T0000+1Z"} {
		want, werr := time.Parse(basicFormat, v)
		got, gerr := parseDate(v)
		if (werr == nil) != (gerr == nil) || !got.Equal(want) && werr == nil {
			t.Errorf("%q: %v, %v, want %v, %v", v, got, gerr, want, werr)
		}
	}
}

// TestRequestOffTheWire: fields in any order and letter case, several of a name, and
// an Authorization that is used again.
func TestRequestOffTheWire(t *testing.T) {
	r, _ := http.NewRequest("POST", "http://localhost:8420/p/@connections/e_d2EewNLPECIGw%3D?b=2&a=1", nil)
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header["X-Amz-Two"] = []string{"a  b ", "c"}
	body := []byte("hello")
	Sign(r, body, withToken, "execute-api", "us-east-1", testTime)
	q := Request{Method: "POST", Host: "localhost:8420", Length: int64(len(body)), Header: []Field{{"host", "localhost:8420"}}}
	q.ReadTarget(r.URL.RequestURI())
	for name, values := range r.Header {
		for _, v := range values {
			q.Header = append(q.Header, Field{strings.ToLower(name), v})
		}
	}
	var a Authorization
	for range 2 {
		if err := a.Parse(&q); err != nil {
			t.Fatal(err)
		}
		if err := a.VerifyRequest(&q, body, withToken.SecretAccessKey, testTime); err != nil {
			t.Fatal(err)
		}
	}
	if a.SessionToken != withToken.SessionToken {
		t.Errorf("token %q", a.SessionToken)
	}
	for i := range q.Header { // each signed field counts
		changed := q
		changed.Header = slices.Clone(q.Header)
		changed.Header[i].Value += "x"
		if changed.Header[i].Name == "host" {
			changed.Host += "x"
		}
		var a Authorization
		if err := a.Parse(&changed); err == nil {
			err = a.VerifyRequest(&changed, body, withToken.SecretAccessKey, testTime)
			if err == nil {
				t.Errorf("%s may be changed", changed.Header[i].Name)
			}
		}
	}
}

func TestAppendBasic(t *testing.T) {
	for _, at := range []time.Time{
		{}, testTime, time.Date(2026, 12, 31, 23, 59, 59, 999, time.UTC), time.Date(9999, 1, 2, 3, 4, 5, 0, time.UTC),
		time.Date(10000, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(-1, 1, 2, 3, 4, 5, 0, time.UTC),
	} {
		if got, want := string(appendBasic(nil, at)), at.Format(basicFormat); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func BenchmarkVerifyPush(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 100)
	r, _ := http.NewRequest("POST", "http://localhost:8420/production/@connections/e_d2EewNLPECIGw%3D", nil)
	r.Header.Set("Content-Type", "application/octet-stream")
	Sign(r, body, withToken, "execute-api", "us-east-1", testTime)
	r = received(b, r, body)
	b.ReportAllocs()
	for b.Loop() {
		a, err := Parse(r)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Verify(r, body, withToken.SecretAccessKey, testTime); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyWire is BenchmarkVerifyPush without net/http.
func BenchmarkVerifyWire(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 100)
	r, _ := http.NewRequest("POST", "http://localhost:8420/production/@connections/e_d2EewNLPECIGw%3D", nil)
	r.Header.Set("Content-Type", "application/octet-stream")
	Sign(r, body, withToken, "execute-api", "us-east-1", testTime)
	var q Request
	q.SetHTTP(received(b, r, body))
	var a Authorization
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Parse(&q); err != nil {
			b.Fatal(err)
		}
		if err := a.VerifyRequest(&q, body, withToken.SecretAccessKey, testTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 100)
	r, _ := http.NewRequest("POST", "http://localhost:8420/production/@connections/e_d2EewNLPECIGw%3D", nil)
	b.ReportAllocs()
	for b.Loop() {
		Sign(r, body, withToken, "execute-api", "us-east-1", testTime)
	}
}
