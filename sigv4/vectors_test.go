package sigv4

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestVectors holds Parse, Verify and Sign against requests signed by others:
// those that must pass and those that were tampered with.
func TestVectors(t *testing.T) {
	dir := os.Getenv("TIDEGATE_VECTORS")
	if dir == "" {
		t.Skip("TIDEGATE_VECTORS doesn't name the folder with sigv4-vectors.json")
	}
	data, err := os.ReadFile(filepath.Join(dir, "sigv4-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Kind, Method, Target, Body, Region, Service, KeyID, Secret, Signature, Canonical string
		Token                                                                                  string
		Headers                                                                                [][2]string
		Timestamp                                                                              time.Time
		Normalize, Accept                                                                      bool
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			r := &http.Request{Method: v.Method, RequestURI: v.Target, URL: &url.URL{Path: "/rewritten"}, Header: http.Header{}}
			for _, h := range v.Headers {
				if h[0] == "Host" {
					r.Host = h[1]
				} else {
					r.Header.Add(h[0], h[1])
				}
			}
			a, err := Parse(r)
			if err == nil {
				err = a.Verify(r, []byte(v.Body), v.Secret, v.Timestamp)
			}
			if err == nil && (a.Region != v.Region || a.Service != v.Service) {
				// Which region and service it expects is the caller's to compare.
				err = fmt.Errorf("%w: signed for %s in %s", ErrMismatch, a.Service, a.Region)
			}
			if v.Accept {
				accepted++
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if a.AccessKeyID != v.KeyID || a.SessionToken != v.Token || !a.Time.Equal(v.Timestamp) || a.Presigned != (v.Kind == "query") {
					t.Errorf("parsed %+v", a)
				}
				return
			}
			refused++
			if !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrIncomplete) && !errors.Is(err, ErrExpired) {
				t.Fatalf("a tampered request gives %v", err)
			}
		})
	}
	if accepted == 0 || refused == 0 {
		t.Fatalf("%d requests that must pass and %d that must not: the file isn't what this test expects", accepted, refused)
	}
}
