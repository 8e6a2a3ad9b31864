package transport

import "net"

// A Yielding is a listener whose clients wait in its queue while the process is short of
// descriptors, so that backends, the other listeners and what the process opens for itself
// have some whoever comes. An engine that can't tell serves it like any other.
type Yielding struct{ *net.TCPListener }
