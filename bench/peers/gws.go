package peers

import (
	"bufio"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/lxzan/gws"
	"github.com/valyala/fasthttp"
)

// maxServed bounds how many requests fasthttp serves at once.
const maxServed = 1 << 16

// slowTime is how long the backend takes below /slow.
const slowTime = 100 * time.Millisecond

// ServeBackend is the HTTP backend of every peer: it echoes what it gets.
func ServeBackend(address string) error {
	s := &fasthttp.Server{NoDefaultServerHeader: true, NoDefaultDate: true, Concurrency: maxServed, Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/slow" {
			time.Sleep(slowTime)
		}
		ctx.SetContentType("application/json")
		ctx.SetBody(ctx.PostBody())
	}}
	return s.ListenAndServe(address)
}

// A gwsServer is lxzan/gws with as little around it as possible.
type gwsServer struct {
	gws.BuiltinEventHandler
	mu      sync.RWMutex
	clients map[string]*gws.Conn // by the id that their handshake gives
	backend *fasthttp.HostClient // nil: messages are echoed
}

func (h *gwsServer) OnOpen(*gws.Conn) {}

func (h *gwsServer) OnClose(c *gws.Conn, _ error) {
	if id, ok := c.Session().Load("id"); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.clients, id.(string))
	}
}

func (h *gwsServer) OnPing(c *gws.Conn, payload []byte) { c.WritePong(payload) }

func (h *gwsServer) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if h.backend == nil {
		c.WriteMessage(m.Opcode, m.Bytes())
		return
	}
	q, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(q)
	defer fasthttp.ReleaseResponse(resp)
	q.SetRequestURI("http://backend/echo")
	q.Header.SetMethod("POST")
	q.Header.SetContentType("application/json")
	q.SetBodyRaw(m.Bytes())
	if h.backend.Do(q, resp) == nil {
		c.WriteMessage(gws.OpcodeText, resp.Body())
	}
}

// ServeGWS serves WebSockets on clients and POST /push/ID, /all and
// /free, which collects garbage, on publish. Messages go to the HTTP backend, or are echoed when there is none.
func ServeGWS(clients, publish, backend string) error {
	h := &gwsServer{clients: map[string]*gws.Conn{}}
	if backend != "" {
		h.backend = &fasthttp.HostClient{Addr: backend, MaxConns: 4096}
	}
	server := gws.NewServer(h, &gws.ServerOption{})
	upgrader := gws.NewUpgrader(h, &gws.ServerOption{})
	server.OnRequest = func(nc net.Conn, br *bufio.Reader, r *http.Request) {
		c, err := upgrader.UpgradeFromConn(nc, br, r)
		if err != nil {
			nc.Close()
			return
		}
		if id := r.URL.Query().Get("id"); id != "" {
			c.Session().Store("id", id)
			h.mu.Lock()
			h.clients[id] = c
			h.mu.Unlock()
		}
		c.ReadLoop()
	}
	ended := make(chan error, 2)
	go func() {
		s := &fasthttp.Server{Handler: h.publish, NoDefaultServerHeader: true, Concurrency: maxServed}
		ended <- s.ListenAndServe(publish)
	}()
	go func() { ended <- server.Run(clients) }()
	return <-ended
}

func (h *gwsServer) publish(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) == "/free" {
		runtime.GC() // pools let go at the second collection
		debug.FreeOSMemory()
		return
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	id, one := strings.CutPrefix(string(ctx.Path()), "/push/")
	if one {
		if c := h.clients[id]; c == nil || c.WriteMessage(gws.OpcodeText, ctx.PostBody()) != nil {
			ctx.SetStatusCode(http.StatusGone)
		}
		return
	}
	b := gws.NewBroadcaster(gws.OpcodeText, append([]byte(nil), ctx.PostBody()...))
	defer b.Close()
	for _, c := range h.clients {
		b.Broadcast(c)
	}
}
