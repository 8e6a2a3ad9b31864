package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/awshttp"
	"tidegate/internal/integration"
	"tidegate/internal/observe"
	"tidegate/internal/upstream"
)

// A binder makes the invokers of every stage of this process: functions are
// called through the Lambda API in memory, so are the services that there are;
// HTTP backends, and services elsewhere, through one pool.
type binder struct {
	lambda    integration.LambdaConfig
	transport http.RoundTripper // to services elsewhere
	backends  *upstream.Client
	inspect   func(function string) int // a debugger's port; may be nil

	roles     *integration.Roles
	memory    http.RoundTripper         // to services of this process, by host
	has       func(service string) bool // by signing name
	endpoints map[string]*url.URL       // of services elsewhere, by environment variable
	fallback  *url.URL                  // of all others; may be nil
	note      func(observe.Notice)
	told      sync.Map // services that are missing, by name
	iam       *authorizer.IAM
	limits    apigw.Limits
	announcer *integration.Announcer // to HTTP backends; nil in mode aws
	alone     bool                   // there are neither functions nor services, nor keys to call them with
}

// errAlone refuses what a server without side services can't call.
var errAlone = errors.New("tidegate serve calls HTTP backends and mocks, not functions or AWS services yet: use HTTP_PROXY, HTTP or MOCK")

// Limits implements stage.Bounded.
func (b *binder) Limits() apigw.Limits { return b.limits }

// debugTime is the timeout of an integration whose function is under a debugger.
const debugTime = 24 * time.Hour

// Patience implements stage.Patient.
func (b *binder) Patience(functionARN string) time.Duration {
	// arn:aws:lambda:REGION:ACCOUNT:function:NAME, perhaps with a qualifier
	if parts := strings.Split(functionARN, ":"); b.inspect != nil && len(parts) >= 7 && b.inspect(parts[6]) != 0 {
		return debugTime
	}
	return 0
}

// Lambda implements stage.Binder.
func (b *binder) Lambda(i *apigw.Integration, functionARN string) (integration.Invoker, error) {
	if b.alone {
		return nil, errAlone
	}
	c := b.lambda
	c.Timeout, c.Patience = i.Timeout, b.Patience(functionARN)
	c.Roles, c.Role = b.roles, i.CredentialsARN
	if i.Type == apigw.IntegrationAWS {
		return integration.NewCustomLambda(c, functionARN), nil
	}
	return integration.NewLambda(c, functionARN), nil
}

// Service implements stage.Binder. The service is where the environment says,
// else here, else at the fallback endpoint; else each call fails and says so.
func (b *binder) Service(i *apigw.Integration, u *integration.ServiceURI) (integration.Invoker, error) {
	if b.alone {
		return nil, errAlone
	}
	c := integration.ServiceConfig{Transport: b.transport, Account: b.lambda.Account, Region: b.lambda.Region, Roles: b.roles, Role: i.CredentialsARN, Timeout: i.Timeout}
	variable := integration.EndpointVariable(u.Service)
	elsewhere := b.endpoints[variable]
	if elsewhere == nil && !b.has(u.Signing) {
		elsewhere = b.fallback
	}
	text := ""
	switch {
	case elsewhere != nil && u.Subdomain != "":
		text = fmt.Sprintf("the integration %s names the host %s, but %s is at %s, which has no such hosts; name the resource in the path", u, u.Host(), u.Service, elsewhere.Redacted())
	case elsewhere != nil:
		c.Endpoint = elsewhere.String()
	case b.has(u.Signing):
		c.Transport = b.memory
	default:
		text = fmt.Sprintf("Tidegate does not have the service %s, which the integration %s calls: set %s to where it is when you start Tidegate, or give --fallback-endpoint", u.Service, u, variable)
	}
	made, err := integration.NewService(c, i.Method, u)
	if err != nil || text == "" {
		return made, err
	}
	if _, told := b.told.LoadOrStore(u.String(), true); !told {
		b.note(observe.Notice{Kind: observe.KindNote, Level: slog.LevelWarn, Text: text + "; until then its messages fail"})
	}
	return integration.NewMissing(text), nil
}

// HTTP implements stage.Binder.
func (b *binder) HTTP(i *apigw.Integration, url string) (integration.Invoker, error) {
	return integration.NewHTTP(integration.HTTPConfig{Client: b.backends, Timeout: i.Timeout, Announce: b.announcer, MaxBody: max(integration.MaxHTTPBody, b.limits.MessageSize)}, i.Method, url)
}

// Authorizer implements stage.Binder.
func (b *binder) Authorizer(a *apigw.Authorizer, functionARN string) (authorizer.Authorizer, error) {
	if b.alone {
		return nil, errAlone
	}
	c := b.lambda
	c.Roles, c.Role = b.roles, a.CredentialsARN
	c.Patience = b.Patience(functionARN)
	return authorizer.NewLambda(a, integration.NewFunction(c, functionARN))
}

// IAM implements stage.Binder.
func (b *binder) IAM() (authorizer.Authorizer, error) { return b.iam, nil }

// signers are the keys with which clients sign handshakes.
type signers struct{ awshttp.Identities }

// Lookup implements authorizer.Keys.
func (s signers) Lookup(accessKeyID string) (authorizer.Key, bool) {
	id, ok := s.Identities.Lookup(accessKeyID)
	p := id.Principal
	return authorizer.Key{Secret: id.Secret, Token: id.Token, Root: p.Kind == awshttp.Root, ARN: p.ARN, Account: p.Account, UserID: p.UserID, Policies: p.Policies}, ok
}
