package connection

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"unique"
)

// ErrFull says that a registry holds as many connections as it may.
var ErrFull = errors.New("connection: no slot is free")

const chunkSize = 1024

// A chunk is a run of slots. Chunks are never moved or freed, so that a reader
// needs no lock.
type chunk struct {
	connections [chunkSize]atomic.Pointer[Connection]
	// generations counts the connections that a slot has had; guarded by the
	// registry's mu.
	generations [chunkSize]uint32
}

// A space is the slots of one incarnation.
type space struct {
	incarnation uint32
	chunks      atomic.Pointer[[]*chunk] // nil where a space of another process has none
}

// at returns what is in a slot, or nil.
func (s *space) at(slot uint32) *atomic.Pointer[Connection] {
	chunks := *s.chunks.Load()
	if int(slot/chunkSize) >= len(chunks) || chunks[slot/chunkSize] == nil {
		return nil
	}
	return &chunks[slot/chunkSize].connections[slot%chunkSize]
}

// A Registry is this process's table of connections: id → slot → connection.
// Clients that connect here get slots of its own space; those that another
// process handed off keep theirs, in spaces that nothing new gets into. It is
// safe for concurrent use; look-ups take no lock.
type Registry struct {
	// Static.
	codec *Codec
	bound uint32

	spaces atomic.Pointer[[]*space] // its own first
	count  atomic.Int64

	mu   sync.Mutex
	next uint32   // the first slot never used; guarded by mu
	free []uint32 // slots given back, the last one is used first; guarded by mu
}

// NewRegistry returns an empty registry for a slot space. The incarnation is
// its number, 1 to MaxIncarnation, and must never have been used with this
// codec's key before: whoever calls made it durable. bound is how many
// connections it takes; 0 means as many as there are slots.
func NewRegistry(codec *Codec, incarnation uint32, bound int) (*Registry, error) {
	if incarnation == 0 || incarnation > MaxIncarnation {
		return nil, fmt.Errorf("connection: incarnation %d is not within 1 and %d", incarnation, MaxIncarnation)
	}
	if bound < 0 || bound > math.MaxUint32 {
		return nil, fmt.Errorf("connection: %d connections are not within 0 and %d", bound, uint32(math.MaxUint32))
	}
	if bound == 0 {
		bound = math.MaxUint32
	}
	r := &Registry{codec: codec, bound: uint32(bound)}
	r.spaces.Store(&[]*space{newSpace(incarnation)})
	return r, nil
}

func newSpace(incarnation uint32) *space {
	s := &space{incarnation: incarnation}
	s.chunks.Store(new([]*chunk))
	return s
}

// own returns the space of which new clients get slots.
func (r *Registry) own() *space { return (*r.spaces.Load())[0] }

// spaceOf returns the space of that incarnation, or nil.
func (r *Registry) spaceOf(incarnation uint32) *space {
	for _, s := range *r.spaces.Load() {
		if s.incarnation == incarnation {
			return s
		}
	}
	return nil
}

// Incarnation returns the number of the registry's own slot space.
func (r *Registry) Incarnation() uint32 { return r.own().incarnation }

// Codec returns what reads and writes this registry's ids.
func (r *Registry) Codec() *Codec { return r.codec }

// Len returns how many slots are taken, by connections of any state.
func (r *Registry) Len() int { return int(r.count.Load()) }

// Reserve takes a slot for a client that asks to connect, and returns its
// connection in state Connecting, or ErrFull.
func (r *Registry) Reserve(info Info) (*Connection, error) {
	c := &Connection{
		origin:      unique.Make(origin{info.APIID, info.Stage, info.DomainName}),
		userAgent:   unique.Make(info.Identity.UserAgent),
		sourceIP:    info.Identity.SourceIP,
		connectedAt: info.ConnectedAt.UnixMilli(),
	}
	ch, slot, generation, err := r.take()
	if err != nil {
		return nil, err
	}
	c.id = ID{incarnation: r.Incarnation(), slot: slot, generation: generation}
	r.codec.AppendID(c.text[:0], c.id)
	for c.text[0] == '-' { // command lines take it for an option
		c.id.generation = r.renew(ch, slot)
		r.codec.AppendID(c.text[:0], c.id)
	}
	ch.connections[slot%chunkSize].Store(c)
	r.count.Add(1)
	return c, nil
}

// take finds a free slot and starts its next generation.
func (r *Registry) take() (*chunk, uint32, uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var slot uint32
	own := r.own()
	chunks := *own.chunks.Load()
	switch n := len(r.free); {
	case n > 0:
		slot = r.free[n-1]
		r.free = r.free[:n-1]
	case r.next >= r.bound:
		return nil, 0, 0, ErrFull
	default:
		slot = r.next
		r.next++
		if int(slot/chunkSize) == len(chunks) {
			grown := append(chunks[:len(chunks):len(chunks)], new(chunk))
			own.chunks.Store(&grown)
			chunks = grown
		}
	}
	ch := chunks[slot/chunkSize]
	return ch, slot, ch.renew(slot), nil
}

// renew starts another generation of a slot that is taken.
func (r *Registry) renew(ch *chunk, slot uint32) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ch.renew(slot)
}

// renew starts a slot's next generation.
func (ch *chunk) renew(slot uint32) uint32 {
	generation := &ch.generations[slot%chunkSize]
	*generation++
	if *generation == 0 { // after 2³² connections in one slot
		*generation = 1
	}
	return *generation
}

// Release ends a connection and gives its slot back. It returns false when that
// had been done before.
func (r *Registry) Release(c *Connection) bool { return r.leave(c, Closed) }

// HandOff ends a connection here, since another process has it: its slot is given
// back, and what is said to it from now on is ErrMoved. It returns false when the
// connection had ended before.
func (r *Registry) HandOff(c *Connection) bool { return r.leave(c, Moved) }

func (r *Registry) leave(c *Connection, to State) bool {
	for {
		s := c.State()
		if s >= Closed {
			return false
		}
		if c.state.CompareAndSwap(uint32(s), uint32(to)) {
			break
		}
	}
	s := r.spaceOf(c.id.incarnation)
	s.at(c.id.slot).Store(nil)
	r.count.Add(-1)
	if s == r.own() {
		r.mu.Lock()
		r.free = append(r.free, c.id.slot)
		r.mu.Unlock()
	}
	return true
}

// Lookup returns the connection with that id, in any state but Closed and Moved.
func (r *Registry) Lookup(id ID) (*Connection, bool) {
	s := r.spaceOf(id.incarnation)
	if s == nil {
		return nil, false
	}
	at := s.at(id.slot)
	if at == nil {
		return nil, false
	}
	c := at.Load()
	if c == nil || c.id != id {
		return nil, false
	}
	return c, true
}

// Missing says for a log why Lookup doesn't find an id.
func (r *Registry) Missing(id ID) string {
	s := r.spaceOf(id.incarnation)
	if s == nil {
		return "the id is another process's: of before this one started, or of another Tidegate"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	chunks := *s.chunks.Load()
	at := int(id.slot / chunkSize)
	if s == r.own() && (at >= len(chunks) || id.generation > chunks[at].generations[id.slot%chunkSize]) {
		return "no connection ever had this id"
	}
	return "the client was disconnected"
}

// LookupText is Lookup by the id as users see it. The error is ErrMalformedID.
func (r *Registry) LookupText(text string) (*Connection, bool, error) {
	id, err := r.codec.ParseID(text)
	if err != nil {
		return nil, false, err
	}
	c, ok := r.Lookup(id)
	return c, ok, nil
}

// All returns every connection in the order of slots, of any state but Closed and
// Moved. One that comes or goes meanwhile may be seen or not.
func (r *Registry) All() iter.Seq[*Connection] { return r.share(0, 1) }

// Shares returns every connection, as All does, in n shares of about the same size
// for as many goroutines.
func (r *Registry) Shares(n int) []iter.Seq[*Connection] {
	shares := make([]iter.Seq[*Connection], 0, n)
	for i := range n {
		shares = append(shares, r.share(i, n))
	}
	return shares
}

// share returns every nth connection from the first on. Slots fill up in their
// order: neighbours in a chunk go to different shares, so that few connections are
// shared evenly too.
func (r *Registry) share(first, n int) iter.Seq[*Connection] {
	return func(yield func(*Connection) bool) {
		for _, s := range *r.spaces.Load() {
			for _, ch := range *s.chunks.Load() {
				for i := first; ch != nil && i < chunkSize; i += n {
					if c := ch.connections[i].Load(); c != nil && !yield(c) {
						return
					}
				}
			}
		}
	}
}
