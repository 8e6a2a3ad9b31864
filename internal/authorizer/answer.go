package authorizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/internal/iampolicy"
)

// An answer is what an authorizer's function returned.
type answer struct {
	principalID string
	policy      *iampolicy.Document
	context     map[string]string
	usageKey    string
}

// parseAnswer reads what an authorizer's function returned (WS-06-029). The error says
// for people what is wrong with it.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
func parseAnswer(payload []byte) (*answer, error) {
	if len(payload) > apigw.MaxAuthorizerResult { // WS-06-021
		return nil, fmt.Errorf("it has %d bytes; at most %d are possible", len(payload), apigw.MaxAuthorizerResult)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(payload, &members); err != nil || members == nil {
		return nil, fmt.Errorf("it is %s; it must be an object with principalId and policyDocument", kindOf(payload))
	}
	// WS-06-031
	if _, simple := members["isAuthorized"]; simple && !present(members["policyDocument"]) {
		return nil, errors.New("it has isAuthorized, the simple response of HTTP APIs; WebSocket APIs need a policyDocument")
	}
	a := &answer{context: map[string]string{}}
	if !present(members["principalId"]) {
		return nil, errors.New("it has no principalId")
	}
	var err error
	if a.principalID, err = scalar(members["principalId"]); err != nil {
		return nil, fmt.Errorf("principalId %w", err)
	}
	if present(members["usageIdentifierKey"]) {
		if a.usageKey, err = scalar(members["usageIdentifierKey"]); err != nil {
			return nil, fmt.Errorf("usageIdentifierKey %w", err)
		}
	}
	if present(members["context"]) {
		if err := a.readContext(members["context"]); err != nil {
			return nil, err
		}
	}
	if !present(members["policyDocument"]) {
		return nil, errors.New("it has no policyDocument")
	}
	if a.policy, err = iampolicy.Parse("policyDocument", members["policyDocument"]); err != nil {
		return nil, fmt.Errorf("policyDocument: %w", err)
	}
	for i, s := range a.policy.Statements {
		if s.Resource == nil && s.NotResource == nil {
			return nil, fmt.Errorf("policyDocument: statement %d has no Resource", i)
		}
		for _, r := range slices.Concat(s.Resource, s.NotResource) {
			if n := utf8.RuneCountInString(r.String()); n > apigw.MaxAuthorizerResource { // WS-06-020
				return nil, fmt.Errorf("policyDocument: a resource has %d characters; at most %d are possible", n, apigw.MaxAuthorizerResource)
			}
		}
	}
	return a, nil
}

// readContext takes the values that later events show (WS-06-022, WS-06-023). A null is
// left out (WS-06-058).
func (a *answer) readContext(text json.RawMessage) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("context is %s; it must be an object", kindOf(text))
	}
	for key, value := range values {
		if !present(value) {
			continue
		}
		v, err := scalar(value)
		if err != nil {
			return fmt.Errorf("context: %.80q %w", key, err)
		}
		a.context[key] = v
	}
	return nil
}

// resources lists what the policy allows, for the log of whom it doesn't.
func (a *answer) resources() string {
	const most = 5
	var all []string
	for _, s := range a.policy.Statements {
		for _, r := range s.Resource {
			if len(all) == most {
				return strings.Join(all, ", ") + " and others"
			}
			all = append(all, r.String())
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// present says that a member is there and not null.
func present(text json.RawMessage) bool {
	return len(text) > 0 && !bytes.Equal(text, []byte("null"))
}

// scalar returns a JSON string's value, and a number or boolean as it is written.
func scalar(text json.RawMessage) (string, error) {
	switch text[0] {
	case '"':
		var s string
		err := json.Unmarshal(text, &s)
		return s, err
	case '{', '[':
		return "", fmt.Errorf("is %s; only strings, numbers and booleans are possible", kindOf(text))
	}
	return string(text), nil
}

// kindOf says for people what sort of JSON a text is.
func kindOf(text []byte) string {
	text = bytes.TrimSpace(text)
	switch {
	case !json.Valid(text):
		return "no JSON"
	case text[0] == '{':
		return "an object"
	case text[0] == '[':
		return "an array"
	case text[0] == '"':
		return "a string"
	case text[0] == 'n':
		return "null"
	case text[0] == 't', text[0] == 'f':
		return "a boolean"
	}
	return "a number"
}
