package observe

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/parity"
	"tidegate/internal/service/functions"
)

// Relied hears that the app relied on what AWS doesn't do, or does otherwise.
// What is new becomes a notice for who follows the events; people read the report
// when all ends. first is asked only then.
func (o *Observer) Relied(kind parity.Kind, subject string, first func() parity.First) {
	e, isNew := o.relied.See(kind, subject, first)
	if !isNew {
		return
	}
	o.Note(Notice{Kind: KindParity, Level: slog.LevelDebug, Text: string(e.Kind) + "  " + e.Subject + ": " + e.Here + "; on AWS: " + e.OnAWS,
		Attrs: []slog.Attr{slog.String("id", string(e.Kind)), slog.String("subject", e.Subject), slog.String("requestId", e.RequestID),
			slog.String("where", e.Where), slog.String("onAws", e.OnAWS), slog.String("do", e.Do)}})
}

// Parity returns what the app relied on so far.
func (o *Observer) Parity() []parity.Entry { return o.relied.Entries() }

// localKey is a key of the account's root that many tools and examples write, and
// that only emulators know.
const localKey = "test"

// lenient hears of calls that AWS would refuse for how they prove who calls.
func (o *Observer) lenient() func(awshttp.Leniency) {
	warn := o.unverified()
	return func(l awshttp.Leniency) {
		kind, subject := parity.UnsignedCall, l.Service
		switch l.Reason {
		case awshttp.LenientUnsigned, awshttp.LenientUnknownKey:
			warn(l.Service, l.AccessKeyID, l.RequestID)
			if l.AccessKeyID != "" {
				kind, subject = parity.UnknownKey, l.Service+" with "+l.AccessKeyID
			}
		case awshttp.LenientToken:
			kind, subject = parity.StrayToken, l.Service+" with "+l.AccessKeyID
		case awshttp.LenientRegion:
			kind, subject = parity.ForeignRegion, l.Service+" in "+l.Region
		case awshttp.LenientRootKey:
			if l.AccessKeyID != localKey {
				return
			}
			kind = parity.LocalKey
		}
		o.Relied(kind, subject, func() parity.First {
			where := l.Request.Method + " " + l.Request.Path
			if decoded, err := url.PathUnescape(where); err == nil {
				where = decoded
			}
			if target := l.Request.Get("X-Amz-Target"); target != "" {
				where = target
			}
			return parity.First{RequestID: originOr(l.Request.Get(awshttp.TraceHeader), l.RequestID), Where: where}
		})
	}
}

// originOr returns the request of the gateway's that a trace header tells of, else
// the call's own id.
func originOr(trace, requestID string) string {
	if origin := event.RequestIDOf(trace); origin != "" {
		return origin
	}
	return requestID
}

// wouldDeny hears of calls that went on although a policy refuses them.
func (o *Observer) wouldDeny(d awshttp.Denial) {
	if d.Enforced {
		return
	}
	kind, subject := parity.PolicyDenies, lastPart(d.Principal)+" "+d.Action
	if d.Action == "lambda:InvokeFunction" && strings.HasSuffix(d.Principal, ".amazonaws.com") {
		kind, subject = parity.NoPermission, d.Principal+" → "+lastPart(d.Resource)
	}
	o.Relied(kind, subject, func() parity.First {
		return parity.First{RequestID: originOr(d.Trace, d.RequestID), Where: d.Resource}
	})
}

// lastPart is an ARN's, behind its account: role/Chat, function:Send.
func lastPart(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	return parts[len(parts)-1]
}

// backend hears what integrations call.
func (o *Observer) backend(s *gateway.Subject) {
	method, address, ok := strings.Cut(s.Target, " ")
	if !ok || !strings.HasPrefix(address, "http") || strings.Contains(method, ":") || !unreachable(address) {
		return
	}
	o.Relied(parity.LocalBackend, s.Target, func() parity.First {
		return parity.First{RequestID: s.RequestID, Where: "route " + string(s.RouteKey)}
	})
}

// unreachable says that API Gateway could not call the URL: its host is this
// machine's or a private network's.
func unreachable(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	}
	if host == "" || net.ParseIP(host) != nil || strings.Contains(host, "{") {
		return false
	}
	for _, suffix := range []string{".localhost", ".local", ".internal"} {
		if strings.HasSuffix(host, suffix) && !strings.HasSuffix(host, ".amazonaws.com") {
			return true
		}
	}
	return !strings.Contains(host, ".")
}

// graceAfterReturn is for what a process writes while it hands its answer over.
const graceAfterReturn = 250 * time.Millisecond

// maxReturned bounds how many invocations that are over are remembered.
const maxReturned = 4096

// A returned remembers when invocations ended.
type returned struct {
	mu    sync.Mutex
	at    map[string]time.Time // by request id
	order []string             // oldest first
}

func (r *returned) add(requestID string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = map[string]time.Time{}
	}
	if len(r.order) == maxReturned {
		delete(r.at, r.order[0])
		r.order = r.order[1:]
	}
	r.at[requestID], r.order = now, append(r.order, requestID)
}

// again forgets an invocation that runs once more: one that is retried keeps its id.
func (r *returned) again(requestID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, requestID)
}

// since returns how long the invocation is over.
func (r *returned) since(requestID string, now time.Time) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.at[requestID]
	return now.Sub(at), ok
}

// functionParity adds to a listener what of functions AWS would do otherwise.
func (o *Observer) functionParity(display func(name string) string, next functions.EventListener) functions.EventListener {
	var over returned
	begin, end, output := next.InvocationBegin, next.InvocationEnd, next.Output
	next.InvocationBegin = func(i functions.InvocationBegin) {
		if i.Attempt > 1 {
			over.again(i.RequestID)
		}
		begin(i)
	}
	next.InvocationEnd = func(i functions.InvocationEnd) {
		if i.ErrorType == "" { // one that failed may have ended the process, which has last words
			over.add(i.RequestID, time.Now())
		}
		if i.MemorySize > 0 && i.Memory > i.MemorySize {
			o.Relied(parity.OverMemory, display(i.Function), func() parity.First {
				return parity.First{RequestID: i.RequestID, Where: fmt.Sprintf("%d MB of %d", i.Memory, i.MemorySize)}
			})
		}
		end(i)
	}
	next.Output = func(i functions.Output) {
		if after, ok := over.since(i.RequestID, time.Now()); ok && after > graceAfterReturn {
			o.Relied(parity.WorkAfterReturn, display(i.Function), func() parity.First {
				return parity.First{RequestID: i.RequestID, Where: Short(after) + " later it wrote: " + i.Line}
			})
		}
		output(i)
	}
	next.OtherRuntime = func(i functions.OtherRuntime) {
		o.Relied(parity.OtherRuntime, display(i.Function), func() parity.First {
			return parity.First{Where: i.Runtime + " is run by " + i.Runs}
		})
	}
	return next
}
