package connection

import (
	"iter"
	"sync"
)

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

// Shares returns every connection, as All does, in n shares of about the same size
// for as many goroutines.
func (r *Registry) Shares(n int) []iter.Seq[*Connection] {
	chunks := *r.chunks.Load()
	shares := make([]iter.Seq[*Connection], 0, n)
	// Slots fill up in their order: neighbours in a chunk go to different shares, so
	// that few connections are shared evenly too.
	for share := range n {
		shares = append(shares, func(yield func(*Connection) bool) {
			for _, ch := range chunks {
				for i := share; i < chunkSize; i += n {
					if c := ch.connections[i].Load(); c != nil && !yield(c) {
						return
					}
				}
			}
		})
	}
	return shares
}
