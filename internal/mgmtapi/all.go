package mgmtapi

import (
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/cluster"
	"tidegate/internal/event"
)

// allOutput says what became of a message for all of a stage's clients.
type allOutput struct {
	Queued  int `json:"queued"`
	Refused int `json:"refused"`
}

// ServeAll answers one request to /@all of a stage, an extension of Tidegate's:
// POST queues its body for every client. Who may call needs the action
// execute-api:ManageConnections on arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/POST/@all,
// which a policy for the whole stage includes.
func (a *API) ServeAll(w http.ResponseWriter, r *http.Request, apiID string, stage apigw.StageName) {
	requestID, answer, err := a.serveAll(r, apiID, stage)
	h := w.Header()
	h["x-amzn-RequestId"] = []string{requestID}
	h["x-amz-apigw-id"] = []string{event.NewRequestID()}
	if err != nil {
		e := a.failed(r.Method, r.Header.Get(awshttp.TraceHeader), requestID, "@all", err)
		h["x-amzn-ErrorType"] = []string{e.Code}
		write(w, e.Status, errorBody(e))
		return
	}
	write(w, http.StatusOK, answer)
}

func (a *API) serveAll(r *http.Request, apiID string, stage apigw.StageName) (requestID string, answer []byte, err error) {
	if r.Method != http.MethodPost {
		return awshttp.NewRequestID(), nil, awshttp.Errorf(http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	call, err := a.open(r)
	if err != nil {
		return call.RequestID, nil, err
	}
	if err := a.authorize(call, apiID, stage, r.Method, "/@all"); err != nil {
		return call.RequestID, nil, err
	}
	to := cluster.Audience{APIID: apiID, Stage: stage, Caller: call.Principal.ARN, RequestID: call.RequestID, Origin: event.RequestIDOf(r.Header.Get(event.TraceHeader))}
	d, err := a.router.PushAll(r.Context(), to, call.Body, !utf8.Valid(call.Body))
	if err != nil {
		return call.RequestID, nil, err
	}
	answer, err = json.Marshal(allOutput(d))
	return call.RequestID, answer, err
}
