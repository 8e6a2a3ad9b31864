package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"tidegate/internal/service/functions"
	"tidegate/internal/stage"
	"tidegate/sigv4"
)

// A Shipper carries lines to CloudWatch Logs, by its PutLogEvents: those of
// functions' logs, or of stages' access and execution logs. Those of one stream
// arrive in their order. Who writes them never waits: lines that come faster
// than they can be kept are counted and left out, and the log says so in their
// place.
type Shipper struct {
	config ShipperConfig
	lines  chan shipped
	bytes  atomic.Int64 // in lines
	lost   atomic.Int64
	stop   chan struct{}
	done   chan struct{}

	told bool // that lines can't be kept
}

// ShipperConfig is what a Shipper needs.
type ShipperConfig struct {
	Endpoint    string // of CloudWatch Logs
	Client      *http.Client
	Credentials sigv4.Credentials // of a writer: lambda.amazonaws.com, apigateway.amazonaws.com
	Region      string
	// Failed hears once that lines can't be kept. It may be nil.
	Failed func(Notice)
}

// Bounds on what waits, and how long lines gather before they are sent together.
const (
	maxWaiting      = 16384
	maxWaitingBytes = 16 << 20
	maxPut          = 512 << 10 // bytes of one PutLogEvents; escaped they stay below the service's bound
	maxPutEvents    = 5000
	gatherTime      = 20 * time.Millisecond
)

// NewShipper returns a shipper at work. Close it.
func NewShipper(c ShipperConfig) *Shipper {
	s := &Shipper{config: c, lines: make(chan shipped, maxWaiting), stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

// A shipped is one line on its way.
type shipped struct {
	group, stream string
	time          time.Time
	line          string
}

// Logged takes one line of a function's log. It never blocks.
func (s *Shipper) Logged(l functions.Logged) {
	s.take(shipped{"/aws/lambda/" + l.Function, l.Stream, l.Time, l.Line})
}

// WriteLog takes one line of a stage's log; it implements gateway.Logs and
// never blocks.
func (s *Shipper) WriteLog(to stage.LogTarget, at time.Time, line []byte) {
	s.take(shipped{to.Group, to.Stream, at, string(line)})
}

func (s *Shipper) take(l shipped) {
	if s.bytes.Add(int64(len(l.line))) > maxWaitingBytes {
		s.bytes.Add(-int64(len(l.line)))
		s.lost.Add(1)
		return
	}
	select {
	case s.lines <- l:
	default:
		s.bytes.Add(-int64(len(l.line)))
		s.lost.Add(1)
	}
}

// Close sends what waits, and ends.
func (s *Shipper) Close() {
	close(s.stop)
	<-s.done
}

func (s *Shipper) run() {
	defer close(s.done)
	for {
		select {
		case l := <-s.lines:
			select { // more will come with it
			case <-time.After(gatherTime):
			case <-s.stop:
			}
			s.ship(l)
		case <-s.stop:
			for {
				select {
				case l := <-s.lines:
					s.ship(l)
				default:
					return
				}
			}
		}
	}
}

// A parcel is what goes to one stream at once.
type parcel struct {
	group, stream string
	events        []shippedEvent
	bytes         int
}

type shippedEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// ship sends the line and what waits behind it.
func (s *Shipper) ship(l shipped) {
	var parcels []*parcel
	latest := map[[2]string]*parcel{}
	for more := true; more; {
		s.bytes.Add(-int64(len(l.line)))
		key := [2]string{l.group, l.stream}
		p := latest[key]
		if p == nil || p.bytes+len(l.line) > maxPut || len(p.events) == maxPutEvents {
			p = &parcel{group: l.group, stream: l.stream}
			latest[key] = p
			parcels = append(parcels, p)
		}
		at := l.time.UnixMilli()
		if n := len(p.events); n > 0 {
			at = max(at, p.events[n-1].Timestamp) // a batch is in the order of time
		}
		if lost := s.lost.Swap(0); lost > 0 {
			p.events = append(p.events, shippedEvent{at, fmt.Sprintf("Tidegate left out %d lines here, or of other logs beside it: they came faster than they could be kept\n", lost)})
		}
		p.events = append(p.events, shippedEvent{at, l.line + "\n"})
		p.bytes += len(l.line)
		select {
		case l = <-s.lines:
		default:
			more = false
		}
	}
	for _, p := range parcels {
		if err := s.put(p); err != nil && !s.told && s.config.Failed != nil {
			s.told = true
			s.config.Failed(Notice{Kind: KindFailed, Level: slog.LevelError, Text: fmt.Sprintf("the log of %s can't be kept: %v", p.group, err)})
		}
	}
}

// put sends a parcel. The service makes group and stream for its writers.
func (s *Shipper) put(p *parcel) error {
	_, err := callLogs(context.Background(), s.config, "PutLogEvents",
		map[string]any{"logGroupName": p.group, "logStreamName": p.stream, "logEvents": p.events})
	return err
}

// callLogs calls one operation of CloudWatch Logs.
func callLogs(ctx context.Context, c ShipperConfig, operation string, input any) ([]byte, error) {
	body, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	sigv4.Sign(req, body, c.Credentials, "logs", c.Region, time.Now())
	resp, err := c.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var e struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		json.Unmarshal(answer, &e)
		return nil, fmt.Errorf("%s: %s", e.Type, e.Message)
	}
	return answer, nil
}
