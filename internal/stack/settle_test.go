package stack

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pendingFor makes functions look pending for their first looks, then active
// with a reason.
type pendingFor struct {
	next  http.RoundTripper
	looks int
}

func (p *pendingFor) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/configuration") {
		return p.next.RoundTrip(r)
	}
	body := `{"State":"Pending"}`
	if p.looks--; p.looks < 0 {
		body = `{"State":"Active","StateReason":"npm is missing"}`
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestApplyWaitsForFunctions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "template.yaml")
	template := `
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: nodejs22.x
      Handler: index.handler
      Role: arn:aws:iam::000000000000:role/r
      Code: { ZipFile: "exports.handler = async () => {}" }
`
	if err := os.WriteFile(file, []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Load(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, d := newFake(t)
	pending := &pendingFor{next: d.Client.Transport, looks: 3}
	d.Client = &http.Client{Transport: pending}
	result, err := d.Apply(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if pending.looks >= 0 {
		t.Errorf("Apply returned while the function was pending")
	}
	var told bool
	for _, n := range result.Notes {
		told = told || n.Resource == "F" && n.Message == "npm is missing"
	}
	if !told {
		t.Errorf("the reason is not among the notes %v", result.Notes)
	}
}
