package edge

import (
	"net/http/httptest"
	"testing"
)

// A call that neither signature nor form tells of is told by AWS's host.
func TestServiceByHost(t *testing.T) {
	for host, want := range map[string]string{
		"bedrock-runtime.us-east-1.amazonaws.com":     "bedrock-runtime",
		"bedrock-runtime.us-east-1.amazonaws.com:443": "bedrock-runtime",
		"Bucket.S3.eu-central-1.amazonaws.com":        "s3",
		"bucket.s3.amazonaws.com":                     "s3",
		"iam.amazonaws.com":                           "iam",
		"amazonaws.com":                               "",
		"localhost:8420":                              "",
		"us-east-1.example.com":                       "",
	} {
		r := httptest.NewRequest("POST", "/model/x/converse", nil)
		r.Host = host
		if got := serviceOf(r); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
