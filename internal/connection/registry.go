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

// A Registry is this process's table of connections: id → slot → connection. It
// is safe for concurrent use; look-ups take no lock.
type Registry struct {
	// Static.
	codec       *Codec
	incarnation uint32
	bound       uint32

	chunks atomic.Pointer[[]*chunk]
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
	r := &Registry{codec: codec, incarnation: incarnation, bound: uint32(bound)}
	r.chunks.Store(new([]*chunk))
	return r, nil
}

// Incarnation returns the number of the registry's slot space.
func (r *Registry) Incarnation() uint32 { return r.incarnation }

// Codec returns what reads and writes this registry's ids.
func (r *Registry) Codec() *Codec { return r.codec }

// Len returns how many slots are taken, by connections of any state.
func (r *Registry) Len() int { return int(r.count.Load()) }

// Reserve takes a slot for a client that asks to connect, and returns its
// connection in state Connecting, or ErrFull.
func (r *Registry) Reserve(info Info) (*Connection, error) {
	c := &Connection{
		apiID:       info.APIID,
		stage:       info.Stage,
		domainName:  unique.Make(info.DomainName),
		userAgent:   unique.Make(info.Identity.UserAgent),
		sourceIP:    info.Identity.SourceIP,
		connectedAt: info.ConnectedAt.UnixMilli(),
	}
	ch, slot, generation, err := r.take()
	if err != nil {
		return nil, err
	}
	c.id = ID{incarnation: r.incarnation, slot: slot, generation: generation}
	c.text = r.codec.String(c.id)
	for c.text[0] == '-' { // command lines take it for an option
		c.id.generation = r.renew(ch, slot)
		c.text = r.codec.String(c.id)
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
	chunks := *r.chunks.Load()
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
			r.chunks.Store(&grown)
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
func (r *Registry) Release(c *Connection) bool {
	if State(c.state.Swap(uint32(Closed))) == Closed {
		return false
	}
	slot := c.id.slot
	(*r.chunks.Load())[slot/chunkSize].connections[slot%chunkSize].Store(nil)
	r.count.Add(-1)
	r.mu.Lock()
	r.free = append(r.free, slot)
	r.mu.Unlock()
	return true
}

// Lookup returns the connection with that id, in any state but Closed.
func (r *Registry) Lookup(id ID) (*Connection, bool) {
	chunks := *r.chunks.Load()
	if id.incarnation != r.incarnation || int(id.slot/chunkSize) >= len(chunks) {
		return nil, false
	}
	c := chunks[id.slot/chunkSize].connections[id.slot%chunkSize].Load()
	if c == nil || c.id != id {
		return nil, false
	}
	return c, true
}

// Missing says for a log why Lookup doesn't find an id.
func (r *Registry) Missing(id ID) string {
	if id.incarnation != r.incarnation {
		return "the id is another process's: of before this one started, or of another Tidegate"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	chunks := *r.chunks.Load()
	if at := int(id.slot / chunkSize); at >= len(chunks) || id.generation > chunks[at].generations[id.slot%chunkSize] {
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

// All returns every connection in the order of slots, of any state but Closed.
// One that comes or goes meanwhile may be seen or not.
func (r *Registry) All() iter.Seq[*Connection] {
	return func(yield func(*Connection) bool) {
		for _, ch := range *r.chunks.Load() {
			for i := range ch.connections {
				if c := ch.connections[i].Load(); c != nil && !yield(c) {
					return
				}
			}
		}
	}
}
