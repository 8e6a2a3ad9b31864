package server

import (
	"net/http"

	"tidegate/internal/apigw"
	"tidegate/internal/integration"
)

// A binder makes the invokers of every stage of this process: functions are
// called through the Lambda API in memory, HTTP backends through one pool.
type binder struct {
	lambda    integration.LambdaConfig
	transport http.RoundTripper
}

// Lambda implements stage.Binder.
func (b *binder) Lambda(i *apigw.Integration, functionARN string) (integration.Invoker, error) {
	c := b.lambda
	c.Timeout = i.Timeout
	return integration.NewLambda(c, functionARN), nil
}

// HTTP implements stage.Binder.
func (b *binder) HTTP(i *apigw.Integration, url string) (integration.Invoker, error) {
	return integration.NewHTTP(integration.HTTPConfig{Transport: b.transport, Timeout: i.Timeout}, i.Method, url)
}
