package ws

import (
	"strconv"
	"unicode/utf8"
)

// A CloseCode is the status of a close frame (RFC 6455 section 7.4 and IANA's
// WebSocket Close Code Number registry).
type CloseCode uint16

// The registered codes, under their registered names.
const (
	CloseNormalClosure      CloseCode = 1000 // the purpose was fulfilled
	CloseGoingAway          CloseCode = 1001 // the server stops, or the browser left the page
	CloseProtocolError      CloseCode = 1002 // a frame broke RFC 6455
	CloseUnsupportedData    CloseCode = 1003 // a kind of data the endpoint does not take
	CloseNoStatusReceived   CloseCode = 1005 // never on the wire: the close frame had no status
	CloseAbnormalClosure    CloseCode = 1006 // never on the wire: there was no close frame
	CloseInvalidPayload     CloseCode = 1007 // text that is not UTF-8
	ClosePolicyViolation    CloseCode = 1008 // any other rule of the endpoint
	CloseMessageTooBig      CloseCode = 1009 // a frame or message over the limit
	CloseMandatoryExtension CloseCode = 1010 // client only: a needed extension was not negotiated
	CloseInternalError      CloseCode = 1011 // the server met a condition it did not expect
	CloseServiceRestart     CloseCode = 1012 // come back after a moment
	CloseTryAgainLater      CloseCode = 1013 // the server is overloaded
	CloseBadGateway         CloseCode = 1014 // a gateway got an invalid answer
	CloseTLSHandshake       CloseCode = 1015 // never on the wire: the TLS handshake failed
)

// MaxCloseText is the most bytes of text that a close frame holds: a control
// frame's 125 less the code's two.
const MaxCloseText = 123

var closeNames = map[CloseCode]string{
	CloseNormalClosure:      "Normal Closure",
	CloseGoingAway:          "Going Away",
	CloseProtocolError:      "Protocol error",
	CloseUnsupportedData:    "Unsupported Data",
	CloseNoStatusReceived:   "No Status Rcvd",
	CloseAbnormalClosure:    "Abnormal Closure",
	CloseInvalidPayload:     "Invalid frame payload data",
	ClosePolicyViolation:    "Policy Violation",
	CloseMessageTooBig:      "Message Too Big",
	CloseMandatoryExtension: "Mandatory Ext.",
	CloseInternalError:      "Internal Error",
	CloseServiceRestart:     "Service Restart",
	CloseTryAgainLater:      "Try Again Later",
	CloseBadGateway:         "Bad Gateway",
	CloseTLSHandshake:       "TLS handshake",
}

// String returns the number and, where there is one, the registered name:
// "1001 Going Away".
func (c CloseCode) String() string {
	n := strconv.Itoa(int(c))
	if name, ok := closeNames[c]; ok {
		return n + " " + name
	}
	return n
}

// Sendable reports whether the code may stand in a close frame: a registered
// one that is not reserved for local use, 3000 to 3999 (libraries) or 4000 to
// 4999 (applications). RFC 6455 sections 7.4.1 and 7.4.2.
func (c CloseCode) Sendable() bool {
	switch {
	case c == CloseNoStatusReceived, c == CloseAbnormalClosure, c == 1004:
		return false
	case c >= 1000 && c <= 1014:
		return true
	}
	return c >= 3000 && c <= 4999
}

// trimCloseText cuts text to what a close frame holds, at a rune's border, and
// makes it valid UTF-8, as section 5.5.1 demands.
func trimCloseText(text string) string {
	if len(text) > MaxCloseText {
		text = text[:MaxCloseText]
		for len(text) > 0 {
			if r, n := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || n != 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	if !utf8.ValidString(text) {
		return ""
	}
	return text
}
