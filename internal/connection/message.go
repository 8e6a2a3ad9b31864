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
