package main

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tidegate/internal/client"
	"tidegate/sigv4"
)

// TestAuthorizers runs a function that decides who may connect, and a route that
// wants signatures, under enforced policies.
func TestAuthorizers(t *testing.T) {
	t.Parallel()
	s := start(t, example(t, "authorizer"), "--iam", "enforce")
	base := strings.TrimSuffix(s.client.Run.Endpoint, "/")
	guarded, signed := "ws"+strings.TrimPrefix(base, "http")+"/guarded", base+"/signed"
	refused := func(url, status, why string) {
		t.Helper()
		ws, err := client.Dial(t.Context(), url, client.DialOptions{})
		if err == nil {
			ws.Close()
			t.Errorf("%s was let in, want %s", url, status)
			return
		}
		if !strings.Contains(err.Error(), status) {
			t.Errorf("%s: %v, want %s", url, err, status)
		}
		s.await(why+" in the log", func() bool { return strings.Contains(s.log.String(), why) })
	}
	refused(guarded, "401", "route.request.querystring.token")
	refused(guarded+"?token=nobody", "401", "the authorizer answered Unauthorized")
	refused(guarded+"?token=bob-token", "403", "statement 0 of the authorizer's policy denies")
	ana := s.dialURL(guarded+"?token=ana-token", client.DialOptions{})
	ana.say("who am I?")
	ana.want("you are Ana, level 3")

	socket := func(url string) string { return "ws" + strings.TrimPrefix(url, "http") }
	refused(socket(signed), "403", "the handshake is not signed")
	r, err := http.NewRequest(http.MethodGet, signed, nil)
	if err != nil {
		t.Fatal(err)
	}
	sigv4.Presign(r, sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}, "execute-api", "us-east-1", time.Minute, time.Now())
	refused(socket(r.URL.String())+"&room=1", "403", "the handshake's signature is refused")
	root := s.dialURL(socket(r.URL.String()), client.DialOptions{})
	root.say("who am I?")
	root.want("you are arn:aws:iam::000000000000:root")

	if exec.Command("python3", "-c", "import botocore").Run() != nil {
		t.Log("botocore isn't installed: its presigned URL is not tried")
		return
	}
	out, err := exec.CommandContext(t.Context(), "python3", "-c", botocoreSigns, signed).Output()
	if err != nil {
		t.Fatal(err)
	}
	sdk := s.dialURL(socket(strings.TrimSpace(string(out))), client.DialOptions{})
	sdk.say("who am I?")
	sdk.want("you are arn:aws:iam::000000000000:root")
}

// botocoreSigns prints a presigned URL.
const botocoreSigns = `
import sys
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
r = AWSRequest("GET", sys.argv[1])
SigV4QueryAuth(Credentials("tidegate", "tidegate"), "execute-api", "us-east-1", expires=60).add_auth(r)
print(r.url)
`
