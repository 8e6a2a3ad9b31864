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

// PushAll queues a message for every open connection of a stage. A client that
// can't take it costs the others nothing. The error is the context's: then some
// have the message and some don't.
func (r *Router) PushAll(ctx context.Context, to Audience, payload []byte, binary bool) (Delivery, error) {
	start := time.Now()
	var d Delivery
	var err error
	if p := r.peer(); p != nil {
		d, err = p.PushAll(ctx, to, payload, binary)
	} else {
		d, _, err = r.here.pushAll(ctx, to, payload, binary)
	}
	if r.events.FanOutEnd != nil {
		r.events.FanOutEnd(FanOutInfo{Audience: to, Delivery: d, Size: len(payload), Duration: time.Since(start)})
	}
	return d, err
}

// pushAll queues the message for the clients of this process. away are those that
// were handed off meanwhile, and haven't got it.
func (n Node) pushAll(ctx context.Context, to Audience, payload []byte, binary bool) (_ Delivery, away []connection.ID, _ error) {
	m := &connection.Message{Payload: payload, Binary: binary}
	var queued, refused atomic.Int64
	var mu sync.Mutex // of away
	var working sync.WaitGroup
	for _, share := range n.Registry.Shares(runtime.GOMAXPROCS(0)) {
		working.Go(func() {
			var batch [connection.MessageBatch]*connection.Connection
			var errs [connection.MessageBatch]error
			n, sent, full := 0, 0, 0
			send := func() {
				m.SendTo(batch[:n], errs[:n])
				for i, err := range errs[:n] {
					switch {
					case err == nil:
						sent++
					case errors.Is(err, apigw.ErrQueueFull):
						full++
					case errors.Is(err, connection.ErrMoved):
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
			queued.Add(int64(sent))
			refused.Add(int64(full))
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
