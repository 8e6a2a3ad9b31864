package transport

import "sync"

// A Prepared is one message for many clients: it is encoded once, for those with
// compression and for those without. Text must be valid UTF-8. It is safe for
// concurrent use; the fields must not be changed.
type Prepared struct {
	Payload []byte
	Binary  bool

	once   [2]sync.Once
	frames [2][]byte // without and with compression
}

// Frames returns the message's frames as an engine with these limits sends them.
// All engines that send it must have the same.
func (p *Prepared) Frames(l *Limits, deflate bool) []byte {
	i := 0
	if deflate {
		i = 1
	}
	p.once[i].Do(func() { p.frames[i] = l.AppendMessage(nil, p.Payload, p.Binary, deflate) })
	return p.frames[i]
}
