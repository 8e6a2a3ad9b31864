package server

import (
	"net/http"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/integration"
)

// A binder makes the invokers of every stage of this process: functions are
// called through the Lambda API in memory, HTTP backends through one pool.
type binder struct {
	lambda    integration.LambdaConfig
	transport http.RoundTripper
	inspect   func(function string) int // a debugger's port; may be nil
}

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
	c := b.lambda
	c.Timeout, c.Patience = i.Timeout, b.Patience(functionARN)
	return integration.NewLambda(c, functionARN), nil
}

// HTTP implements stage.Binder.
func (b *binder) HTTP(i *apigw.Integration, url string) (integration.Invoker, error) {
	return integration.NewHTTP(integration.HTTPConfig{Transport: b.transport, Timeout: i.Timeout}, i.Method, url)
}
