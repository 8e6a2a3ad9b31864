package gateway

import (
	"fmt"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/event"
)

// An EventListener hears what a Gateway does. Its funcs may be nil, must not
// block, and are called concurrently, some of them on a socket's loop.
type EventListener struct {
	ConnectEnd    func(ConnectInfo)    // a handshake was decided
	MessageEnd    func(MessageInfo)    // a message was dealt with
	DisconnectEnd func(DisconnectInfo) // an admitted connection ended and $disconnect was told
	// ExchangeEnd hears of each connect, message and disconnect that named a stage,
	// whole. What an exchange points to is the gateway's again when it returns.
	ExchangeEnd    func(Exchange)
	StagePublished func(StageInfo)
	StageWithdrawn func(StageInfo)
}

// A Subject is what an event is about. What isn't known is empty.
type Subject struct {
	APIID        string
	Stage        apigw.StageName
	RouteKey     apigw.RouteKey
	ConnectionID string
	RequestID    string
	// Target is what the route calls: a function's ARN, an HTTP method and URL,
	// or MOCK.
	Target string
}

// String returns the words that begin every line about the subject.
func (s Subject) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s", s.APIID, s.Stage)
	for _, word := range []string{string(s.RouteKey), s.ConnectionID, s.Target} {
		if word != "" {
			b.WriteByte(' ')
			b.WriteString(word)
		}
	}
	return b.String()
}

// A ConnectInfo tells how a handshake was decided.
type ConnectInfo struct {
	Subject
	SourceIP      string
	Status        int         // 101, or the status of the rejection
	BackendStatus int         // what $connect answered; 0: nothing
	Grant         event.Grant // what the authorizer said
	Authorization authorizer.Trace
	Outcome       Outcome
	Err           error // why, where there is more to say
	Duration      time.Duration
	// IntegrationLatency is how long the backend took; 0: it wasn't called.
	IntegrationLatency time.Duration
}

// String returns one line for a log.
func (i ConnectInfo) String() string {
	return fmt.Sprintf("connect %v: %d %s, %v%s", i.Subject, i.Status, i.Outcome, i.Duration, because(i.Err))
}

// A MessageInfo tells what became of a message.
type MessageInfo struct {
	Subject
	Size          int // bytes of the message
	BackendStatus int // 0: the backend gave none
	Outcome       Outcome
	// Frame is what the client was sent: the reply of a two-way route, or an error
	// frame. nil: nothing. It must not be changed, and is the gateway's again when
	// the listener returns.
	Frame    []byte
	Err      error
	Duration time.Duration
	// IntegrationLatency is how long the backend took; 0: it wasn't called.
	IntegrationLatency time.Duration
}

// String returns one line for a log.
func (i MessageInfo) String() string {
	return fmt.Sprintf("message %v: %d bytes, %s, %d bytes back, %v%s", i.Subject, i.Size, i.Outcome, len(i.Frame), i.Duration, because(i.Err))
}

// A DisconnectInfo tells how a connection ended and what $disconnect made of it.
type DisconnectInfo struct {
	Subject
	Close         event.CloseReason
	BackendStatus int           // what $disconnect answered; 0: nothing
	Outcome       Outcome       // NoRoute: there is no $disconnect route, or the stage is gone
	Err           error         // why $disconnect failed
	Lifetime      time.Duration // of the connection
	Duration      time.Duration // of the $disconnect route
	// IntegrationLatency is how long the backend took; 0: it wasn't called.
	IntegrationLatency time.Duration
}

// String returns one line for a log.
func (i DisconnectInfo) String() string {
	return fmt.Sprintf("disconnect %v: %d %q after %v, %s, %v%s", i.Subject, i.Close.Code, i.Close.Text, i.Lifetime, i.Outcome, i.Duration, because(i.Err))
}

// A StageInfo tells of a stage that came or went.
type StageInfo struct {
	APIID        string
	Stage        apigw.StageName
	DeploymentID string
}

// String returns one line for a log.
func (i StageInfo) String() string {
	return fmt.Sprintf("%s/%s deployment %s", i.APIID, i.Stage, i.DeploymentID)
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
