package edge

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/stage"
	"tidegate/internal/transport"
	"tidegate/sigv4"
)

// TestManage holds which calls are answered without net/http, and that those and
// the others mean the same connection.
func TestManage(t *testing.T) {
	const id = "L0SM9cOFvHcCIhw="
	f := newFixture(t, &Guard{}, "aaa/one", "aaa/both", "bbb/both", "ccc/$default")
	off, err := stage.Compile(&apigw.Definition{APIID: "off", DisableExecuteAPIEndpoint: true, RouteSelectionExpression: "$request.body.action"}, &apigw.Stage{Name: "p"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.gateway.Publish(off)
	for _, tt := range []struct {
		target, host string
		field        transport.Field
		want         string // what stands before the id
		general      bool   // net/http's way
	}{
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D", want: "aaa/one"},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3d", want: "aaa/one"},
		{target: "/one/@connections/L0SM9cOFvHcCIhw=", want: "aaa/one"},
		{target: "/one/%40connections/L0SM9cOFvHcCIhw%3D", want: "aaa/one"},
		{target: "/$default/@connections/L0SM9cOFvHcCIhw%3D", want: "ccc/$default"},
		{target: "/bbb/both/@connections/L0SM9cOFvHcCIhw%3D", want: "bbb/both"},
		{target: "/both/@connections/L0SM9cOFvHcCIhw%3D", host: "bbb.execute-api.localhost:8420", want: "bbb/both"},
		{target: "/p/@connections/L0SM9cOFvHcCIhw%3D", want: "off/p"},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D", host: "127.0.0.1", want: "aaa/one"},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D", host: "[::1]:8420", want: "aaa/one"},

		{target: "/both/@connections/L0SM9cOFvHcCIhw%3D", want: "/both", general: true},
		{target: "/one/@connections/%4c0SM9cOFvHcCIhw%3D", want: "aaa/one", general: true},
		{target: "/%24default/@connections/L0SM9cOFvHcCIhw%3D", want: "ccc/$default", general: true},
		{target: "/one//@connections/L0SM9cOFvHcCIhw%3D", want: "aaa/one", general: true},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D?X-Amz-Date=1", want: "aaa/one", general: true},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D/", want: "aaa/one", general: true},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D", field: transport.Field{Name: "origin", Value: "http://localhost"}, want: "aaa/one", general: true},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D", field: transport.Field{Name: "SEC-FETCH-SITE", Value: "cross-site"}, general: true},
		{target: "/one/@connections/L0SM9cOFvHcCIhw%3D", host: "evil.example", general: true},
		{target: "/no/@connections/L0SM9cOFvHcCIhw%3D", general: true},
		{target: "/zzz/one/@connections/L0SM9cOFvHcCIhw%3D", general: true},
		{target: "/aaa/one/@connections/L0SM9cOFvHcCIhw%3D", host: "aaa.execute-api.localhost", general: true},
		{target: "/p/@connections/L0SM9cOFvHcCIhw%3D", host: "off.execute-api.localhost", general: true},
	} {
		r := handshake("localhost", tt.target, transport.Field{Name: "X-Thing", Value: "thing"}, tt.field)
		if tt.field.Name == "" {
			r.Header = r.Header[:len(r.Header)-1]
		}
		if tt.host != "" {
			r.Host = tt.host
		}
		r.Method, r.Body = "POST", []byte("data")
		reply := fakeReply{make(chan string, 1)}
		if !f.edge.OnRequest(r, reply) {
			t.Errorf("%s: not taken", tt.target)
			continue
		}
		got := <-reply.done
		want := "200 @connections POST " + tt.want + " " + id
		switch {
		case !tt.general:
			path, _, _ := strings.Cut(tt.target, "?")
			want = "200 directly POST " + tt.want + " " + id + " data false " + path + " thing"
		case tt.want == "":
			want, got = "refused", got[:1]
			if got == "4" {
				got = "refused"
			}
		}
		if got != want {
			t.Errorf("%s on %s: %s, want %s", tt.target, r.Host, got, want)
		}
	}
}

// TestManageFaces: a listener for something else refuses, and so does one
// for TLS alone.
func TestManageFaces(t *testing.T) {
	f := newFixture(t, nil, "aaa/one")
	for _, tt := range []struct {
		face    Face
		tlsOnly bool
		tls     bool
		want    string
	}{
		{Everything, false, false, "200 directly"},
		{Connections, false, false, "200 directly"},
		{Connections, true, true, "200 directly"},
		{Connections, true, false, "403 "},
		{Clients, false, false, "403 "},
		{Services | Own, false, false, "403 "},
	} {
		f.edge.face, f.edge.tlsOnly = tt.face, tt.tlsOnly
		r := handshake("localhost", "/one/@connections/L0SM9cOFvHcCIhw%3D")
		r.Method, r.TLS = "POST", tt.tls
		reply := fakeReply{make(chan string, 1)}
		if !f.edge.OnRequest(r, reply) {
			t.Fatal("not taken")
		}
		if got := <-reply.done; !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// waiting is a Management whose calls may have to wait.
type waiting struct{ fakeManagement }

func (waiting) MayBlock() bool { return true }

// TestManageElsewhere: during a hand-off no loop waits for the other process.
func TestManageElsewhere(t *testing.T) {
	f := newFixture(t, nil, "aaa/one")
	f.edge.management = waiting{}
	r := handshake("localhost", "/one/@connections/L0SM9cOFvHcCIhw%3D", transport.Field{Name: "X-Thing", Value: "thing"})
	r.Method, r.Body = "POST", []byte("data")
	reply := fakeReply{make(chan string)} // takes the answer only when it is waited for
	if !f.edge.OnRequest(r, reply) {
		t.Fatal("not taken")
	}
	clear(r.Header) // they are the loop's again
	clear(r.Body)
	if got := <-reply.done; !strings.HasPrefix(got, "200 directly POST aaa/one L0SM9cOFvHcCIhw= data ") || !strings.HasSuffix(got, " thing") {
		t.Error(got)
	}
}

// FuzzSplitCall: what is read in the short way means the same in the long one.
func FuzzSplitCall(f *testing.F) {
	for _, s := range []string{"/one/@connections/L0SM9cOFvHcCIhw%3D", "/a/b/%40connections/L0SM9cOFvHcCIhw=", "//@connections/L0SM9cOFvHcCIhw=",
		"/one/@connections//0SM9cOFvHcCIhw=", "/@connections/@connections/L0SM9cOFvHcCIhw=", "/./../@connections/L0SM9cOFvHcCIhw="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		p, ok := splitCall(target)
		if !ok {
			return
		}
		if _, err := url.ParseRequestURI(target); err != nil {
			t.Skip("net/http refuses it, as the engines' parser does")
		}
		path, query := splitTarget(target)
		m, managed := splitManaged(path)
		var want []string
		if p.apiID != "" {
			want = append(want, p.apiID)
		}
		want = append(want, string(p.stage))
		if !managed || query != "" || m.id != p.id || strings.Join(m.prefix, "/") != strings.Join(want, "/") {
			t.Errorf("%q: %+v, in full %+v, %v", target, p, m, managed)
		}
	})
}

// silent is a Management that does nothing.
type silent struct{ fakeManagement }

func (silent) Serve(context.Context, *sigv4.Request, bool, []byte, string, apigw.StageName, string) (int, string, string, []byte) {
	return 200, "request", "", nil
}

// BenchmarkManage is what the door adds to a push.
func BenchmarkManage(b *testing.B) {
	f := newFixture(b, &Guard{}, "aaa/prod")
	r := &transport.Request{
		Method: "POST", Target: "/prod/@connections/L0SM9cOFvHcCIhw%3D", Host: "127.0.0.1:8420", Body: []byte("{}"),
		Header: []transport.Field{
			{Name: "Host", Value: "127.0.0.1:8420"}, {Name: "User-Agent", Value: "aws-sdk-js/3"}, {Name: "Content-Length", Value: "2"},
			{Name: "Authorization", Value: "AWS4-HMAC-SHA256 Credential=k/d/r/execute-api/aws4_request"}, {Name: "Content-Type", Value: "application/octet-stream"},
			{Name: "X-Amz-Content-Sha256", Value: "x"}, {Name: "X-Amz-Date", Value: "20261122T000000Z"},
		},
		RemoteAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.1"), Port: 5},
	}
	f.edge.management = silent{}
	b.ReportAllocs()
	for b.Loop() {
		if !f.edge.OnRequest(r, noReply{}) {
			b.Fatal("not taken")
		}
	}
}
