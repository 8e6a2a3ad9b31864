package apigw

import "time"

// A Mode says whose bounds hold.
type Mode string

// The modes.
const (
	// ModeAWS holds to AWS's quotas and semantics to the letter.
	ModeAWS Mode = "aws"
	// ModeExtended makes settings of the limits and adds what AWS lacks.
	ModeExtended Mode = "extended"
)

// Limits are the bounds within which an account is served. Start from LimitsOf.
// Where a field says so, 0 means none.
type Limits struct {
	Mode Mode

	FrameSize   int           // bytes of one frame from a client
	MessageSize int           // bytes of one message, a client's, a reply or a push
	Idle        time.Duration // without a message in either direction; 0: none
	Lifetime    time.Duration // of a connection; 0: none
	Ping        time.Duration // silence after which a client is pinged; 0: never
	Binary      bool          // clients may send binary messages
	Compression bool          // permessage-deflate (RFC 7692) for clients that offer it

	ConnectionRate int // new connections a second, as many at once; 0: none
	AccountRate    int // messages, handshakes and calls of @connections a second; 0: none
	AccountBurst   int // of these at once
	Refused        int // throttled messages in a row that close their client with 1008; 0: none
	InFlight       int // messages of one client with backends at once; beyond it reads pause

	BackendConnections int // to one HTTP backend at once; beyond it messages wait for a free one

	URLSize            int // bytes of a handshake's path and query
	HeaderSize         int // bytes of all of a handshake's header values
	IntegrationTimeout time.Duration

	APIs         int
	Routes       int // an API, as the next three
	Integrations int
	Authorizers  int
	Stages       int
	APIKeys      int
	UsagePlans   int
	Domains      int
}

// LimitsOf returns a mode's limits as they are unless something is set.
func LimitsOf(m Mode) Limits {
	l := Limits{
		Mode:      m,
		FrameSize: MaxFrame, MessageSize: MaxMessage, Idle: IdleTimeout, Lifetime: ConnectionLifetime,
		ConnectionRate: ConnectionRate, AccountRate: AccountRate, AccountBurst: AccountBurst, Refused: MaxRefused, InFlight: MaxInFlightConnection,
		BackendConnections: MaxBackendConnections,
		URLSize:            MaxURL, HeaderSize: MaxHeaderValues, IntegrationTimeout: MaxIntegrationTimeout,
		APIs: MaxAPIs, Routes: MaxRoutes, Integrations: MaxIntegrations, Authorizers: MaxAuthorizers, Stages: MaxStages,
		APIKeys: MaxAPIKeys, UsagePlans: MaxUsagePlans, Domains: MaxDomains,
	}
	if m == ModeExtended {
		l.FrameSize = MaxMessage // a browser can't choose its frames
		l.Lifetime = 0
		l.Ping = 55 * time.Second // below the minute after which proxies cut what is silent
		l.Binary = true
		l.ConnectionRate, l.AccountRate = 0, 0
	}
	return l
}

// Changed returns what was set, as NAME=VALUE, in the order of the documentation.
func (l *Limits) Changed() []string {
	var changed []string
	plain := LimitsOf(l.Mode)
	for _, s := range settings {
		if text := s.Text(l); text != s.Text(&plain) {
			changed = append(changed, s.Name+"="+text)
		}
	}
	return changed
}

// OrAWS returns AWS's limits for the zero value, else the limits themselves.
func (l Limits) OrAWS() Limits {
	if l.Mode == "" {
		return LimitsOf(ModeAWS)
	}
	return l
}
