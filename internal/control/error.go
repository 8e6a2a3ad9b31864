package control

import "fmt"

// A Kind says what sort of refusal an Error is.
type Kind int

// The kinds, named as AWS names the exceptions.
const (
	BadRequest Kind = iota // BadRequestException, 400
	NotFound               // NotFoundException, 404
	Conflict               // ConflictException, 409
	TooMany                // TooManyRequestsException, 429: a quota is used up
)

// An Error is a refusal in AWS's words. Any other error of this package is a
// failure of Tidegate's own.
type Error struct {
	Kind    Kind
	Message string
	// ResourceType names what wasn't found: Api, Route, Stage, …
	ResourceType string
	// LimitType names the quota that is used up.
	LimitType string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func badRequest(format string, args ...any) *Error {
	return &Error{Kind: BadRequest, Message: fmt.Sprintf(format, args...)}
}

func notFound(resourceType, format string, args ...any) *Error {
	return &Error{Kind: NotFound, ResourceType: resourceType, Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *Error {
	return &Error{Kind: Conflict, Message: fmt.Sprintf(format, args...)}
}

// unserved refuses by name what AWS has and Tidegate lacks.
func unserved(what, why string) *Error {
	return badRequest("Tidegate does not serve %s yet: %s", what, why)
}

// forHTTP refuses what AWS has for HTTP APIs alone. instead is what a WebSocket
// API has, or empty.
func forHTTP(what, instead string) *Error {
	if instead != "" {
		instead = "; " + instead
	}
	return badRequest("%s is supported only for HTTP APIs%s", what, instead)
}

// exceeded says that a quota is used up, in AWS's words with their two spaces.
// plural is Routes, of is "API" or "account".
func exceeded(plural, of string) *Error {
	return &Error{ // WS-09-075
		Kind: TooMany, LimitType: plural,
		Message: fmt.Sprintf("Maximum number of %s for this %s has been reached.  Please contact AWS if you need additional %s.", plural, of, plural),
	}
}
