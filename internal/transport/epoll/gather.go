//go:build linux

package epoll

// gatherLeast is from how many events in a turn on what is written to their clients
// is gathered. For fewer a system call each is no more work.
const gatherLeast = 4

// gatherMost is after how many events it is written, so that no client waits for
// long.
const gatherMost = 32

// gatherLocked leaves what the connection has to write to its loop, if that is at
// gathering: until then the connection is corked.
func (c *conn) gatherLocked() bool {
	l := c.l
	if !l.gathering.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gathering.Load() {
		return false
	}
	l.gathered = append(l.gathered, c)
	c.corked = true
	return true
}

// writeGathered writes what was gathered, and goes on gathering if more.
func (l *loop) writeGathered(more bool) {
	l.mu.Lock()
	list := l.gathered
	l.gathered, l.spare = l.spare[:0], nil
	l.gathering.Store(more)
	l.mu.Unlock()
	if len(list) > 0 {
		l.writeAll(list)
	}
	clear(list)
	l.mu.Lock()
	l.spare = list[:0]
	l.mu.Unlock()
}

func (l *loop) writeAll(list []*conn) {
	var b *batch
	if len(list) >= gatherLeast {
		b = l.e.rings.take()
	}
	if b == nil {
		for _, c := range list {
			c.mu.Lock()
			c.unloadLocked()
			c.mu.Unlock()
		}
		return
	}
	defer l.e.rings.put(b)
	for _, c := range list {
		if !c.mu.TryLock() {
			b.unload()
			c.mu.Lock()
		}
		if !b.load(c) {
			c.unloadLocked()
			c.mu.Unlock()
		}
		if b.n == batchSize {
			b.unload()
		}
	}
	b.unload()
}

// unloadLocked ends the cork, and writes what the socket takes.
func (c *conn) unloadLocked() {
	c.corked = false
	c.flushLocked()
	c.restLocked()
}

// load takes a locked connection in, with what it has to write, if it may be written.
func (b *batch) load(c *conn) bool {
	if !c.corked || c.queuedLocked() == 0 || c.broken || c.aborted || c.held || c.hinted(stalled) {
		return false
	}
	q := &c.more.out
	b.ring.Add(int(c.fd), (*q.buf)[q.off:])
	b.conns[b.n] = c
	b.n++
	return true
}

// unload writes what was taken in, and lets the connections go.
func (b *batch) unload() {
	if b.n == 0 {
		return
	}
	b.ring.Submit(b.results[:b.n])
	for i, c := range b.conns[:b.n] {
		if n := b.results[i]; n > 0 {
			q := &c.more.out
			q.off += n
			q.progress = 0
		}
		c.unloadLocked() // a failure is found out again
		c.mu.Unlock()
	}
	clear(b.conns[:b.n])
	b.n = 0
}
