package edge

import "net/http"

// A Face is what is served at a door: one or more of these.
type Face uint8

// What there is.
const (
	Clients     Face = 1 << iota // WebSocket handshakes to stages
	Connections                  // @connections and what is beside it
	Services                     // AWS's APIs
	Own                          // /_tidegate; its health and ready are everywhere

	Everything = Clients | Connections | Services | Own
)

// elsewhere refuses what another listener serves; true means that it did.
func (e *Edge) elsewhere(w http.ResponseWriter, r *http.Request, asked Face) bool {
	if e.face&asked != 0 {
		return false
	}
	e.refuse(w, r, misplaced(asked))
	return true
}

// misplaced is the refusal of what another listener serves.
func misplaced(asked Face) *refusal {
	text := "This listener does not take WebSocket handshakes. Clients connect to the public one."
	switch asked {
	case Connections:
		text = "This listener does not serve @connections. Call the management listener."
	case Services:
		text = "This listener does not serve AWS's APIs. Call the admin listener."
	case Own:
		text = "This listener does not serve Tidegate's own pages. Call the admin listener."
	}
	return &refusal{status: http.StatusForbidden, reason: WrongListener, text: text, why: "another listener serves it"}
}

// nothingHere is the refusal of a plain request for what no listener serves, or for a
// stage where clients don't connect.
func nothingHere() *refusal {
	return &refusal{status: http.StatusForbidden, reason: WrongListener,
		text: "Nothing is served at this path here. Backends push to /{stage}/@connections/{id}; WebSocket clients connect to the public listener.",
		why:  "the path is none of this listener's"}
}

// refusalPlain is the refusal of who comes without TLS.
func refusalPlain() *refusal {
	return &refusal{status: http.StatusForbidden, reason: NoTLS, text: "This listener speaks TLS alone. Use wss:// or https://.", why: "the connection is plain text"}
}

// isHealth says that the path tells whether the process lives and is ready: for
// whoever balances load.
func isHealth(path string) bool {
	return path == "/_tidegate/health" || path == "/_tidegate/ready"
}

// isProbe says that the path is one by which orchestrators and Prometheus ask,
// where no stage can have it.
func isProbe(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/metrics"
}
