package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Sizes of payloads, in bytes.
const (
	routeSize = 128
	mockSize  = 64
	pushSize  = 128
)

// clientMessage is what a client sends to a route, filled up to size.
func clientMessage(action string, size int) []byte {
	head, tail := `{"action":"`+action+`","data":"`, `"}`
	return []byte(head + strings.Repeat("x", size-len(head)-len(tail)) + tail)
}

var numberMark = []byte(`"number":"`)

// numberDigits is how long a message's number is.
const numberDigits = 12

// numbered is a message with a number, of pushSize bytes, for the backend when a
// client sends it.
func numbered(n int) []byte { return numberedFor("sendmessage", n, pushSize) }

// numberedFor is a message with a number, of so many bytes.
func numberedFor(action string, n, size int) []byte {
	head := fmt.Sprintf(`{"action":%q,%s%0*d","data":"`, action, numberMark, numberDigits, n)
	return []byte(head + strings.Repeat("y", size-len(head)-2) + `"}`)
}

// numberOf returns a numbered message's number, -1 for any other.
func numberOf(p []byte) int {
	at := bytes.Index(p, numberMark)
	if at < 0 || len(p) < at+len(numberMark)+numberDigits {
		return -1
	}
	n := 0
	for _, digit := range p[at+len(numberMark):][:numberDigits] {
		if digit < '0' || digit > '9' {
			return -1
		}
		n = n*10 + int(digit-'0')
	}
	return n
}

// idOf is the connection id that whoami was answered with, "" for anything else.
func idOf(p []byte) string {
	var answer struct{ ConnectionID string }
	if json.Unmarshal(p, &answer) != nil {
		return ""
	}
	return answer.ConnectionID
}
