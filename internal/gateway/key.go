package gateway

import (
	"fmt"
	"strings"

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

// admitKey holds a handshake's API key, in x-api-key, against the usage plans of
// a $connect route that requires one, and notes it in the client's identity.
func (g *Gateway) admitKey(route *stage.Route, r *event.ConnectRequest) *Rejection {
	if route == nil || !route.KeyRequired {
		return nil
	}
	value := ""
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, "x-api-key") {
			value = f.Value
		}
	}
	err := fmt.Errorf("%w: there are no API keys", apigw.ErrKeyForbidden)
	if g.keys != nil {
		r.Identity.APIKeyID, err = g.keys.Admit(value, r.APIID, r.Stage)
	}
	if err != nil {
		v := judge(err)
		return &Rejection{Status: v.status, Text: v.text, Outcome: v.outcome, Err: err}
	}
	r.Identity.APIKey = value
	return nil
}
