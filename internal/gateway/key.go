package gateway

import (
	"fmt"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/stage"
)

// APIKeys decides who may use a stage with an API key.
type APIKeys interface {
	// Admit counts a use of the key and returns its id. The error wraps one of
	// apigw's ErrKey…, and never holds the value.
	Admit(value, apiID string, stage apigw.StageName) (keyID string, err error)
}

// admitKey holds the API key of a handshake, its header's or the authorizer's,
// against the usage plans of a $connect route that requires one (WS-06-090, WS-06-091).
func (g *Gateway) admitKey(route *stage.Route, c *event.Context, r *event.ConnectRequest) (*event.APIKey, error) {
	if g.keys == nil {
		return nil, fmt.Errorf("%w: there are no API keys", apigw.ErrKeyForbidden)
	}
	value := route.APIKey(c, r)
	id, err := g.keys.Admit(value, c.APIID, c.Stage)
	if err != nil {
		return nil, err
	}
	return &event.APIKey{ID: id, Value: value}, nil
}
