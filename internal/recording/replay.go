package recording

import (
	"context"
	"net/http"
	"sync"
	"time"

	"tidegate/internal/cluster"
	"tidegate/internal/gateway"
)

// A Replay is a recorded exchange and what becomes of it now.
type Replay struct {
	Record Entry `json:"record"`
	// Now is what became of it this time, and Pushes what its function sent.
	Now    Result `json:"now"`
	Pushes []Push `json:"pushes"`
	// ConnectionOpen says that the client is still there; pushes to one that has
	// left get 410, as on AWS.
	ConnectionOpen bool         `json:"connectionOpen"`
	Dry            bool         `json:"dry"`
	Differences    []Difference `json:"differences"`
}

// Gateway has exchanges happen again; gateway.Gateway is one.
type Gateway interface {
	Replay(context.Context, gateway.Exchange) gateway.Exchange
}

// Router reaches connections by id, as mgmtapi needs it; cluster.Router is one.
type Router interface {
	Push(ctx context.Context, to cluster.Target, payload []byte, binary bool) error
	Get(ctx context.Context, of cluster.Target) (cluster.Status, error)
	Delete(ctx context.Context, target cluster.Target) error
	PushAll(ctx context.Context, to cluster.Audience, payload []byte, binary bool) (cluster.Delivery, error)
	MayBlock() bool
}

// A Replayer has recorded exchanges happen again, one at a time for each request.
// It is also the Router that the Management API calls: so it knows what a request
// sends, and keeps to itself what a dry replay would send.
type Replayer struct {
	recorder *Recorder
	gateway  Gateway
	router   Router
	open     func(connectionID string) bool

	mu     sync.Mutex
	active map[string]*active // by request id
}

// An active replay is under way, or ended a moment ago: what its function sends
// later is still its own.
type active struct {
	dry    bool
	begun  time.Time
	turn   sync.Mutex // one at a time
	pushes []Push     // guarded by Replayer.mu
	count  int        // who uses it; guarded by Replayer.mu
}

// lateTime is how long after a replay its function's late calls belong to it.
const lateTime = time.Minute

// maxPushes is how many pushes of a replay are listed.
const maxPushes = 1000

// NewReplayer returns a replayer. open says whether a client holds a connection.
func NewReplayer(recorder *Recorder, g Gateway, router Router, open func(connectionID string) bool) *Replayer {
	return &Replayer{recorder: recorder, gateway: g, router: router, open: open, active: map[string]*active{}}
}

// Latest returns the last n exchanges, and how many could not be kept.
func (r *Replayer) Latest(n int) ([]Entry, int64, error) { return r.recorder.Latest(n) }

// Replay has the exchange of that request happen again, and compares. With dry,
// what its function sends to clients is answered, but not sent: as far as its SDK
// says by a trace header whose call it is, which AWS's do. The error is ErrUnknown
// when the request isn't recorded.
func (r *Replayer) Replay(ctx context.Context, id string, dry bool) (*Replay, error) {
	entry, err := r.recorder.Find(id)
	if err != nil {
		return nil, err
	}
	a := r.begin(entry.RequestID)
	a.turn.Lock()
	r.mu.Lock()
	a.dry, a.pushes = dry, nil
	r.mu.Unlock()
	defer r.end(entry.RequestID, a)
	now := r.gateway.Replay(ctx, entry.exchange())
	result, err := resultOf(&now)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	pushes := append([]Push{}, a.pushes...)
	r.mu.Unlock()
	out := &Replay{Record: *entry, Now: result, Pushes: pushes, ConnectionOpen: r.open(entry.ConnectionID), Dry: dry}
	out.Differences = differences(&entry.Result, &result, entry.Pushes, pushes)
	return out, nil
}

// begin finds the request's place, or makes one.
func (r *Replayer) begin(id string) *active {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.active[id]
	if a == nil {
		a = &active{}
		r.active[id] = a
	}
	a.count++
	return a
}

// end lets the next one begin, and forgets the request when nothing of it can
// come any more.
func (r *Replayer) end(id string, a *active) {
	a.turn.Unlock()
	time.AfterFunc(lateTime, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if a.count--; a.count == 0 {
			delete(r.active, id)
		}
	})
}

// Push implements Router.
func (r *Replayer) Push(ctx context.Context, to cluster.Target, payload []byte, binary bool) error {
	var err error
	dry := r.dry(to.Origin)
	if dry {
		_, err = r.router.Get(ctx, to)
	} else {
		err = r.router.Push(ctx, to, payload, binary)
	}
	r.called(http.MethodPost, to, len(payload), dry, err)
	return err
}

// MayBlock implements Router.
func (r *Replayer) MayBlock() bool { return r.router.MayBlock() }

// PushAll implements Router.
func (r *Replayer) PushAll(ctx context.Context, to cluster.Audience, payload []byte, binary bool) (d cluster.Delivery, err error) {
	dry := r.dry(to.Origin)
	if !dry {
		d, err = r.router.PushAll(ctx, to, payload, binary)
	}
	r.called(http.MethodPost, cluster.Target{Text: "@all", APIID: to.APIID, Stage: to.Stage, Caller: to.Caller, RequestID: to.RequestID, Origin: to.Origin}, len(payload), dry, err)
	return d, err
}

// Delete implements Router.
func (r *Replayer) Delete(ctx context.Context, target cluster.Target) error {
	var err error
	dry := r.dry(target.Origin)
	if dry {
		_, err = r.router.Get(ctx, target)
	} else {
		err = r.router.Delete(ctx, target)
	}
	r.called(http.MethodDelete, target, 0, dry, err)
	return err
}

// Get implements Router.
func (r *Replayer) Get(ctx context.Context, of cluster.Target) (cluster.Status, error) {
	return r.router.Get(ctx, of)
}

// dry says that what the request sends stays here.
func (r *Replayer) dry(requestID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.active[requestID]
	return a != nil && a.dry
}

// called notes a call: of a replay, or else of the exchange that is being
// recorded.
func (r *Replayer) called(method string, to cluster.Target, size int, dry bool, err error) {
	if to.Origin == "" {
		return
	}
	p := Push{ConnectionID: to.Text, Bytes: size, Outcome: string(cluster.OutcomeOf(err)), Method: method}
	if dry && err == nil {
		p.Outcome = "withheld"
	}
	r.mu.Lock()
	a := r.active[to.Origin]
	if a != nil && len(a.pushes) < maxPushes {
		a.pushes = append(a.pushes, p)
	}
	r.mu.Unlock()
	if a == nil {
		r.recorder.Pushed(to.Origin, p)
	}
}

var _ Router = (*Replayer)(nil)
