package stack

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// settleEvery is how long to wait between two looks at a function that is not
// active yet.
const settleEvery = 50 * time.Millisecond

// settle waits until every function is active, as CloudFormation does: one is
// pending while what its code needs is being installed. A function that became
// active with a reason has something missing, which is noted.
func (a *applier) settle(ctx context.Context) error {
	for _, res := range a.s.order {
		if res.typ != "AWS::Lambda::Function" {
			continue
		}
		state, err := a.functionState(ctx, res)
		for err == nil && (state.State == "Pending" || state.LastUpdateStatus == "InProgress") {
			select {
			case <-time.After(settleEvery):
				state, err = a.functionState(ctx, res)
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			return a.s.failure(res, "", err)
		}
		if state.StateReason != "" {
			a.r.notef(res.place(), "%s", state.StateReason)
		}
	}
	return nil
}

// A functionState is what Lambda tells of a function's readiness.
type functionState struct {
	State, StateReason, LastUpdateStatus string
}

func (a *applier) functionState(ctx context.Context, res *resource) (functionState, error) {
	var state functionState
	name := a.values.known[res.id].PhysicalID
	err := a.rest(ctx, lambdaService, "GetFunctionConfiguration", http.MethodGet, lambdaPath+"/"+url.PathEscape(name)+"/configuration", nil, &state)
	return state, err
}
