package event

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// variables are the context variables that Lookup answers, each with its value.
// A value of "" means that the event has none.
var variables = map[string]func(c *Context) string{
	"apiId":             func(c *Context) string { return c.APIID },
	"connectedAt":       func(c *Context) string { return strconv.FormatInt(c.ConnectedAt.UnixMilli(), 10) },
	"connectionId":      func(c *Context) string { return c.ConnectionID },
	"domainName":        func(c *Context) string { return c.DomainName },
	"eventType":         func(c *Context) string { return string(c.EventType) },
	"extendedRequestId": func(c *Context) string { return c.RequestID },
	"isBase64Encoded":   func(c *Context) string { return strconv.FormatBool(c.Binary) },
	"messageDirection":  func(*Context) string { return "IN" },
	"messageId":         func(c *Context) string { return c.MessageID },
	"requestId":         func(c *Context) string { return c.RequestID },
	"requestTime":       func(c *Context) string { return c.RequestTime.UTC().Format(clfTime) },
	"requestTimeEpoch":  func(c *Context) string { return strconv.FormatInt(c.RequestTime.UnixMilli(), 10) },
	"routeKey":          func(c *Context) string { return string(c.RouteKey) },
	"stage":             func(c *Context) string { return string(c.Stage) },

	"disconnectStatusCode": func(c *Context) string {
		if c.Close == nil {
			return ""
		}
		return strconv.Itoa(c.Close.Code)
	},
	"disconnectReason": func(c *Context) string {
		if c.Close == nil {
			return ""
		}
		return c.Close.Text
	},

	"error.validationErrorString": func(c *Context) string { return c.ValidationError },

	"identity.apiKey":    func(c *Context) string { return c.Identity.APIKey },
	"identity.apiKeyId":  func(c *Context) string { return c.Identity.APIKeyID },
	"identity.sourceIp":  func(c *Context) string { return c.Identity.SourceIP },
	"identity.userAgent": func(c *Context) string { return c.Identity.UserAgent },
	"identity.accountId": ofCaller(func(c *Caller) string { return c.AccountID }),
	"identity.caller":    ofCaller(func(c *Caller) string { return c.ID }),
	"identity.user":      ofCaller(func(c *Caller) string { return c.ID }),
	"identity.userArn":   ofCaller(func(c *Caller) string { return c.ARN }),

	// Known to AWS, without a value as long as nothing sets it,
	// and outside of error responses.
	"error.messageString":                    none,
	"identity.cognitoAuthenticationProvider": none,
	"identity.cognitoAuthenticationType":     none,
	"identity.cognitoIdentityId":             none,
	"identity.cognitoIdentityPoolId":         none,
	"status":                                 none,
}

func none(*Context) string { return "" }

// Lookup returns the value of the context variable $context.NAME as text;
// numbers are in decimal, times in milliseconds. ok is false when this event
// has no such value: parameter mapping makes that an empty string, an access
// log a dash.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
func (c *Context) Lookup(name string) (value string, ok bool) {
	if key, ok := strings.CutPrefix(name, authorizerPrefix); ok {
		return c.Authorizer.lookup(key)
	}
	f := variables[name]
	if f == nil {
		return "", false
	}
	value = f(c)
	return value, value != ""
}

// authorizerPrefix begins the variables that an authorizer set.
const authorizerPrefix = "authorizer."

func ofCaller(f func(*Caller) string) func(*Context) string {
	return func(c *Context) string {
		if c.Identity.Caller == nil {
			return ""
		}
		return f(c.Identity.Caller)
	}
}

// Each calls f for each context variable that this event has, those of the
// authorizer first, else in the order of their names.
func (c *Context) Each(f func(name, value string)) {
	for _, key := range c.Authorizer.keys() {
		if value, ok := c.Authorizer.lookup(key); ok {
			f(authorizerPrefix+key, value)
		}
	}
	for _, name := range variableNames {
		if value, ok := c.Lookup(name); ok {
			f(name, value)
		}
	}
}

// NumberVariable says that a context variable's value is a number.
func NumberVariable(name string) bool { return name == "connectedAt" || name == "requestTimeEpoch" }

// VariableGroup says that context variables begin with the name and a dot.
func VariableGroup(name string) bool {
	return name == "identity" || name == "authorizer" || name == "error"
}

var variableNames = slices.Sorted(maps.Keys(variables))

// KnownVariable reports whether name is a context variable that AWS documents
// for mappings: connectionId, identity.sourceIp, authorizer.ANYTHING and so on.
func KnownVariable(name string) bool {
	if key, ok := strings.CutPrefix(name, authorizerPrefix); ok {
		return key != ""
	}
	return variables[name] != nil
}
