package transport

import "sync"

// A Sender is a Conn whose engine sends one message to many of its clients with
// less work than one by one.
type Sender interface {
	Conn
	// SendMany is SendPrepared to each of to, of which some may be other engines'
	// and some nil: errs[i] becomes what it returns for to[i].
	SendMany(p *Prepared, to []Conn, errs []error)
}

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

// SendTo is SendPrepared to each of to, of which some may be nil: errs[i] becomes
// what it returns for to[i].
func (p *Prepared) SendTo(to []Conn, errs []error) {
	for i, c := range to {
		switch c := c.(type) {
		case nil:
		case Sender:
			c.SendMany(p, to[i:], errs[i:])
			return
		default:
			errs[i] = c.SendPrepared(p)
		}
	}
}
