package awshttp

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
)

// An Error is a failure with AWS's code and status. Every protocol writes it in
// its own shape.
type Error struct {
	Code    string // the shape's name: ResourceNotFoundException
	Status  int    // the HTTP status
	Message string
	// Why is for listeners only: what the caller isn't told.
	Why string
	// Fields are further members of the body, such as resourceType or Type.
	Fields map[string]any
	// BareBody leaves the body empty, as @connections does on 410.
	BareBody bool
	// MessageKey is the member that holds Message; empty means "message".
	MessageKey string
}

// Errorf returns an *Error with a formatted message.
func Errorf(status int, code, format string, args ...any) *Error {
	return &Error{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

// Error returns "Code: Message".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// asError returns err as an *Error; one that isn't becomes an internal error
// whose text is withheld from the caller.
func asError(err error, internalCode string) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: internalCode, Status: http.StatusInternalServerError, Message: "An internal error occurred; its reason is in the log under this request id."}
}

// body returns the JSON body of the error; typeKey, when not empty, also holds
// the code.
func (e *Error) body(typeKey, code string) []byte {
	if e.BareBody {
		return nil
	}
	m := make(map[string]any, len(e.Fields)+2)
	for k, v := range e.Fields {
		m[k] = v
	}
	key := e.MessageKey
	if key == "" {
		key = "message"
	}
	if e.Message != "" {
		m[key] = e.Message
	}
	if typeKey != "" {
		m[typeKey] = code
	}
	b, err := json.Marshal(m)
	if err != nil {
		return []byte(`{"message":"unencodable error"}`)
	}
	return b
}

// xmlError is the body of a failed query-protocol call.
type xmlError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func (e *Error) xmlBody(requestID string) []byte {
	who := "Sender"
	if e.Status >= 500 {
		who = "Receiver"
	}
	b, err := xml.Marshal(xmlError{Type: who, Code: e.Code, Message: e.Message, RequestID: requestID})
	if err != nil {
		return nil
	}
	return b
}
