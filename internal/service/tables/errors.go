package tables

import (
	"fmt"
	"net/http"
	"strings"

	"tidegate/internal/awshttp"
)

// DynamoDB's error codes with the namespaces that it gives them. Its refusals
// are all 400, those that other services answer with 403 or 404 too.
const (
	namespace = "com.amazonaws.dynamodb.v20120810"

	codeValidation    = "com.amazon.coral.validate#ValidationException"
	codeSerialization = "com.amazon.coral.service#SerializationException"
	codeAccessDenied  = "com.amazon.coral.service#AccessDeniedException"
	codeCondition     = namespace + "#ConditionalCheckFailedException"
	codeNotFound      = namespace + "#ResourceNotFoundException"
	codeInUse         = namespace + "#ResourceInUseException"
	codeLimit         = namespace + "#LimitExceededException"
	codeCanceled      = namespace + "#TransactionCanceledException"
	codeMismatch      = namespace + "#IdempotentParameterMismatchException"
)

// invalid is a ValidationException with the message.
func invalid(message string) *awshttp.Error {
	return &awshttp.Error{Code: codeValidation, Status: http.StatusBadRequest, Message: message}
}

func invalidf(format string, args ...any) *awshttp.Error {
	return invalid(fmt.Sprintf(format, args...))
}

// badParameter is invalid with the words that most of DynamoDB's checks begin
// with.
func badParameter(format string, args ...any) *awshttp.Error {
	return invalid("One or more parameter values were invalid: " + fmt.Sprintf(format, args...))
}

func serializationError(format string, args ...any) *awshttp.Error {
	return &awshttp.Error{Code: codeSerialization, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), MessageKey: "Message"}
}

// notJSON refuses a body that isn't JSON: DynamoDB says no more than the code,
// the log says why.
func notJSON(format string, args ...any) *awshttp.Error {
	return &awshttp.Error{Code: codeSerialization, Status: http.StatusBadRequest, Why: fmt.Sprintf(format, args...)}
}

// unsupported refuses what DynamoDB has and Tidegate lacks, by name.
func unsupported(what string) *awshttp.Error {
	return invalid("Tidegate does not support " + what + " yet")
}

func tableNotFound() *awshttp.Error {
	return &awshttp.Error{Code: codeNotFound, Status: http.StatusBadRequest, Message: "Requested resource not found"}
}

func namedTableNotFound(name string) *awshttp.Error {
	return &awshttp.Error{Code: codeNotFound, Status: http.StatusBadRequest, Message: "Requested resource not found: Table: " + name + " not found"}
}

// counted gives a refusal of PutItem, UpdateItem and DeleteItem the words that
// DynamoDB puts before it since 2026 when it happens before the table is
// looked up: "1 validation error detected: ".
func counted(err error) error {
	e, ok := err.(*awshttp.Error)
	if !ok || e.Code != codeValidation || strings.Contains(e.Message, "detected: ") || strings.HasPrefix(e.Message, "Tidegate ") {
		return err
	}
	c := *e
	c.Message = "1 validation error detected: " + e.Message
	return &c
}

// A constraint list gathers what DynamoDB's first check finds: it reports all
// at once.
type constraints []string

func (c *constraints) add(format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

// maxConstraints is how many of them DynamoDB reports.
const maxConstraints = 10

// enum notes a value that is not one of the allowed; list is AWS's spelling of
// the set, in its order.
func (c *constraints) enum(v, member, list string, allowed ...string) {
	if v == "" {
		return
	}
	for _, a := range allowed {
		if v == a {
			return
		}
	}
	c.add("Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", v, member, list)
}

func (c constraints) err() error {
	c = c[:min(len(c), maxConstraints)]
	switch len(c) {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: " + c[0])
	}
	return invalidf("%d validation errors detected: %s", len(c), strings.Join(c, "; "))
}
