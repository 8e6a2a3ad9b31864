package cluster

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
)

// An Audience is the clients of a stage.
type Audience struct {
	APIID string
	Stage apigw.StageName
	// Caller is the ARN of who pushes, RequestID the call's, for those who listen.
	Caller, RequestID string
	// Origin is as in Target.
	Origin string
}

// A Delivery is what became of a message for many.
type Delivery struct {
	Queued  int // clients for whom it is queued
	Refused int // clients whose queues were full: they read too slowly
}

// Count adds what Push said of one client.
func (d *Delivery) Count(err error) {
	switch {
	case err == nil:
		d.Queued++
	case errors.Is(err, apigw.ErrQueueFull):
		d.Refused++
	}
}

// PushAll queues a message for every open connection of a stage. A client that
// can't take it costs the others nothing. The error is the context's: then some
// have the message and some don't.
func (r *Router) PushAll(ctx context.Context, to Audience, payload []byte, binary bool) (Delivery, error) {
	start := time.Now()
	d, err := r.pushAll(ctx, to, payload, binary)
	if r.events.FanOutEnd != nil {
		r.events.FanOutEnd(FanOutInfo{Audience: to, Delivery: d, Size: len(payload), Duration: time.Since(start)})
	}
	return d, err
}

func (r *Router) pushAll(ctx context.Context, to Audience, payload []byte, binary bool) (Delivery, error) {
	for ended := (*Peer)(nil); ; {
		r.walking.RLock()
		p := r.other.Load()
		if p == ended { // all are here
			defer r.walking.RUnlock()
			d, _, err := r.here.pushAll(ctx, to, payload, binary)
			return d, err
		}
		r.walking.RUnlock()
		if p == nil { // it was taken off meanwhile
			ended = nil
			continue
		}
		if d, err := (*p).PushAll(ctx, to, payload, binary); !errors.Is(err, ErrNotHere) {
			return d, err
		}
		ended = p
	}
}

// pushAll queues the message for the clients of this process. away are those that
// are on their way to another one, or there, and haven't got it.
func (n Node) pushAll(ctx context.Context, to Audience, payload []byte, binary bool) (_ Delivery, away []connection.ID, _ error) {
	m := &connection.Message{Payload: payload, Binary: binary}
	var queued, refused atomic.Int64
	var mu sync.Mutex // of away
	var working sync.WaitGroup
	for _, share := range n.Registry.Shares(runtime.GOMAXPROCS(0)) {
		working.Go(func() {
			var batch [connection.MessageBatch]*connection.Connection
			var errs [connection.MessageBatch]error
			n, d := 0, Delivery{}
			send := func() {
				m.SendTo(batch[:n], errs[:n])
				for i, err := range errs[:n] {
					if d.Count(err); errors.Is(err, connection.ErrMoved) {
						mu.Lock()
						away = append(away, batch[i].ID())
						mu.Unlock()
					}
				}
				n = 0
			}
			for c := range share {
				if c.APIID() != to.APIID || c.Stage() != to.Stage {
					continue
				}
				batch[n] = c
				if n++; n == len(batch) {
					if send(); ctx.Err() != nil {
						break
					}
				}
			}
			send()
			queued.Add(int64(d.Queued))
			refused.Add(int64(d.Refused))
		})
	}
	working.Wait()
	return Delivery{Queued: int(queued.Load()), Refused: int(refused.Load())}, away, ctx.Err()
}

// A FanOutInfo tells of one message to many.
type FanOutInfo struct {
	Audience
	Delivery
	Size     int // bytes of the message
	Duration time.Duration
}

// String returns one line for a log.
func (i FanOutInfo) String() string {
	return fmt.Sprintf("push to all of %s/%s: %d bytes, queued for %d, refused by %d, %v", i.APIID, i.Stage, i.Size, i.Queued, i.Refused, i.Duration)
}
