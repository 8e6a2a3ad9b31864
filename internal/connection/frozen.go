package connection

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unique"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
)

// FrozenVersion is the version of what Freeze writes and Thaw reads.
const FrozenVersion = 1

// MaxFrozen is how many bytes a frozen connection has at most. A handshake's
// header is bounded far below, and so is what an authorizer may answer.
const MaxFrozen = 1 << 20

// maxSpaces is how many slot spaces a registry holds: its own, and those of
// clients that have seen as many hand-offs.
const maxSpaces = 1024

// ErrFrozen says that bytes are no frozen connection, or one of another version.
var ErrFrozen = errors.New("connection: not a frozen connection")

// Freeze writes an open or closing connection down, for another process. From
// then on nothing is counted or closed here (ErrMoved) until Unfreeze; the socket
// refuses messages itself.
func (c *Connection) Freeze() ([]byte, error) {
	grant, err := appendGrant(c.granted())
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.State()
	if s != Open && s != Closing || c.frozen {
		return nil, fmt.Errorf("connection: %s can't be frozen: it is %v, frozen %t", c, s, c.frozen)
	}
	b := make([]byte, 0, 128+len(grant))
	b = append(b, FrozenVersion, byte(s))
	b = binary.AppendUvarint(b, uint64(c.id.incarnation))
	b = binary.AppendUvarint(b, uint64(c.id.slot))
	b = binary.AppendUvarint(b, uint64(c.id.generation))
	b = binary.AppendVarint(b, c.connectedAt)
	b = binary.AppendUvarint(b, uint64(max(c.inFlight, 0)))
	b = binary.AppendUvarint(b, uint64(max(c.holds, 0)))
	b = binary.AppendUvarint(b, uint64(max(c.refused.Load(), 0)))
	b = binary.AppendVarint(b, c.rowAt)
	for _, text := range []string{c.APIID(), string(c.Stage()), c.DomainName(), c.userAgent.Value(), c.sourceIP, string(grant)} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	if len(b) > MaxFrozen {
		return nil, fmt.Errorf("connection: %s takes %d bytes when frozen, at most %d go over", c, len(b), MaxFrozen)
	}
	c.frozen = true
	return b, nil
}

// Unfreeze undoes Freeze: the connection stays here.
func (c *Connection) Unfreeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = false
}

// appendGrant writes down what came of authorization; nothing of no grant.
func appendGrant(g event.Grant) ([]byte, error) {
	if g == (event.Grant{}) {
		return nil, nil
	}
	return json.Marshal(g)
}

// Thaw makes a connection that another process wrote down this process's own, as
// it was, over its socket. It keeps its id. bound is that of Begin. Nothing is
// taken when there is an error: ErrFrozen, ErrFull.
func (r *Registry) Thaw(frozen []byte, s Socket, bound int) (*Connection, error) {
	c, state, err := parseFrozen(frozen)
	if err != nil {
		return nil, err
	}
	c.text, c.socket = [IDLen]byte(r.codec.AppendID(nil, c.id)), s
	c.state.Store(uint32(state))
	if err := r.adopt(c); err != nil {
		return nil, err
	}
	// What the socket thinks of pausing doesn't matter: this says it anew.
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = true
	if c.pace(bound); c.paused {
		s.PauseReads()
	}
	return c, nil
}

// FrozenID returns the id of a connection that was written down.
func FrozenID(frozen []byte) (ID, error) {
	c, _, err := parseFrozen(frozen)
	if err != nil {
		return ID{}, err
	}
	return c.id, nil
}

// adopt puts a connection into its slot.
func (r *Registry) adopt(c *Connection) error {
	if c.id.slot >= r.bound {
		return fmt.Errorf("%w: slot %d is beyond the %d of this process", ErrFull, c.id.slot, r.bound)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.id.incarnation == r.Incarnation() {
		return fmt.Errorf("%w: incarnation %d is this process's own", ErrFrozen, c.id.incarnation)
	}
	s := r.spaceOf(c.id.incarnation)
	if s == nil {
		spaces := *r.spaces.Load()
		if len(spaces) == maxSpaces {
			return fmt.Errorf("%w: its clients are of %d processes already", ErrFull, maxSpaces)
		}
		s = newSpace(c.id.incarnation)
		grown := append(spaces[:len(spaces):len(spaces)], s)
		r.spaces.Store(&grown)
	}
	at := s.at(c.id.slot)
	if at == nil {
		chunks := *s.chunks.Load()
		grown := make([]*chunk, max(len(chunks), int(c.id.slot/chunkSize)+1))
		copy(grown, chunks)
		grown[c.id.slot/chunkSize] = new(chunk)
		s.chunks.Store(&grown)
		at = s.at(c.id.slot)
	}
	if !at.CompareAndSwap(nil, c) {
		return fmt.Errorf("%w: slot %d of incarnation %d is taken", ErrFrozen, c.id.slot, c.id.incarnation)
	}
	r.count.Add(1)
	return nil
}

// parseFrozen reads what Freeze wrote.
func parseFrozen(b []byte) (*Connection, State, error) {
	if len(b) < 2 || len(b) > MaxFrozen {
		return nil, 0, fmt.Errorf("%w: %d bytes", ErrFrozen, len(b))
	}
	if b[0] != FrozenVersion {
		return nil, 0, fmt.Errorf("%w: version %d, this program reads %d", ErrFrozen, b[0], FrozenVersion)
	}
	state := State(b[1])
	if state != Open && state != Closing {
		return nil, 0, fmt.Errorf("%w: state %v", ErrFrozen, state)
	}
	r := thawing{rest: b[2:]}
	c := &Connection{id: ID{
		incarnation: uint32(r.number(MaxIncarnation)),
		slot:        uint32(r.number(math.MaxUint32)),
		generation:  uint32(r.number(math.MaxUint32)),
	}}
	c.connectedAt = r.signed()
	c.inFlight, c.holds = int32(r.number(math.MaxInt32)), int16(r.number(math.MaxInt16))
	c.refused.Store(int32(r.number(math.MaxInt32)))
	c.rowAt = r.signed()
	from := origin{apiID: r.text(), stage: apigw.StageName(r.text()), domainName: r.text()}
	c.origin, c.userAgent = unique.Make(from), unique.Make(r.text())
	c.sourceIP = r.text()
	grant := r.text()
	switch {
	case r.bad || len(r.rest) > 0:
		return nil, 0, fmt.Errorf("%w: cut short, or too long", ErrFrozen)
	case c.id.incarnation == 0 || c.id.generation == 0 || from.apiID == "":
		return nil, 0, fmt.Errorf("%w: it has no id or no API", ErrFrozen)
	}
	if grant != "" {
		var g event.Grant
		if err := json.Unmarshal([]byte(grant), &g); err != nil {
			return nil, 0, fmt.Errorf("%w: its grant: %v", ErrFrozen, err)
		}
		c.grant.Store(&g)
	}
	return c, state, nil
}

// A thawing reads numbers and texts; bad says that there was none.
type thawing struct {
	rest []byte
	bad  bool
}

func (t *thawing) number(most uint64) uint64 {
	v, n := binary.Uvarint(t.rest)
	if n <= 0 || v > most {
		t.bad = true
		return 0
	}
	t.rest = t.rest[n:]
	return v
}

func (t *thawing) signed() int64 {
	v, n := binary.Varint(t.rest)
	if n <= 0 {
		t.bad = true
		return 0
	}
	t.rest = t.rest[n:]
	return v
}

func (t *thawing) text() string {
	n := t.number(uint64(len(t.rest)))
	if t.bad || n > uint64(len(t.rest)) {
		t.bad = true
		return ""
	}
	s := string(t.rest[:n])
	t.rest = t.rest[n:]
	return s
}
