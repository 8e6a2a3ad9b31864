package connection

import "sync"

// A Message is one message for many clients. It is safe for concurrent use; the
// payload must not be changed.
type Message struct {
	Payload []byte
	Binary  bool // else text, which must be valid UTF-8

	once    sync.Once
	encoded any
}

// Encoded returns what make returns at its first call: a socket's own form of the
// message, the same for all sockets of an engine.
func (m *Message) Encoded(make func(*Message) any) any {
	m.once.Do(func() { m.encoded = make(m) })
	return m.encoded
}

// A Sender is a Socket that sends one message to many with less work than one by
// one.
type Sender interface {
	Socket
	// SendMany is Send of the message to each of to, all of them sockets of its kind
	// or nil: errs[i] becomes what Send of to[i] returns.
	SendMany(m *Message, to []Socket, errs []error)
}

// MessageBatch is to how many clients a message is best sent at a time.
const MessageBatch = 64

var batches = sync.Pool{New: func() any { return new([MessageBatch]Socket) }}

// SendTo queues the message for up to MessageBatch clients: errs[i] becomes what Send
// to to[i] would return.
func (m *Message) SendTo(to []*Connection, errs []error) {
	sockets := batches.Get().(*[MessageBatch]Socket)
	defer batches.Put(sockets)
	defer clear(sockets[:])
	var first Socket
	for i, c := range to {
		if errs[i] = c.unreachable(); errs[i] == nil {
			sockets[i], first = c.socket, c.socket
		}
	}
	if s, ok := first.(Sender); ok {
		s.SendMany(m, sockets[:len(to)], errs)
		return
	}
	for i, s := range sockets[:len(to)] {
		if s != nil {
			errs[i] = s.Send(m.Payload, m.Binary)
		}
	}
}
