package tables

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
)

// childEnv, when set, makes the test binary a server of the tables in that
// folder, which prints its address and serves until it is killed.
const childEnv = "TIDEGATE_TABLES_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func serveChild(dir string) error {
	s, err := New(context.Background(), Config{Dir: dir, Gate: newGate(awshttp.Warn)})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", os.Getenv(childEnv+"_LISTEN"))
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, s)
}

// fakeIdentities knows one key, of the given principal.
type fakeIdentities struct{ principal awshttp.Principal }

func (f fakeIdentities) Lookup(key string) (awshttp.Identity, bool) {
	return awshttp.Identity{Secret: "secret", Principal: f.principal}, key == "AKIDTEST"
}

const testAccount = "000000000000"

func newGate(mode awshttp.Mode) *awshttp.Gate {
	root := awshttp.Principal{Kind: awshttp.Root, ARN: "arn:aws:iam::" + testAccount + ":root", Account: testAccount}
	return &awshttp.Gate{Identities: fakeIdentities{root}, Mode: mode, Account: testAccount, Region: "us-east-1"}
}

// newService serves a fresh folder, with the gate if one is given.
func newService(t testing.TB, clk clock.Clock, gate *awshttp.Gate) (*Service, *dynamodb.Client) {
	t.Helper()
	if gate == nil {
		gate = newGate(awshttp.Warn)
	}
	s, err := New(context.Background(), Config{Dir: t.TempDir(), Gate: gate, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, newClient(srv.URL)
}

func newClient(url string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint:     aws.String(url),
		Region:           "us-east-1",
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", ""),
		RetryMaxAttempts: 1,
		HTTPClient:       &http.Client{Transport: plainBodies{&http.Transport{}}},
	})
}

// plainBodies sends requests whose bodies only offer Read. The SDK's own offer
// WriteTo too, and close when the answer's header has come, after which WriteTo
// says io.EOF. net/http, which looks for more body than announced after it sent
// all of it, takes that for a failed write and cuts off an answer that is still
// being read: any quick server's, if it is long.
type plainBodies struct{ next http.RoundTripper }

func (p plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return p.next.RoundTrip(r)
}
