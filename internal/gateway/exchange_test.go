package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/event"
	"tidegate/internal/integration"
)

// TestReplay has what happened happen again, first with the same code, which
// must be the same to the last byte of the event, and then with other code.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var payloads []string
		respond := answer(200, "one")
		g := newRig(t, Config{}, map[string]backend{"f": func(ctx context.Context, r *integration.Request) (*integration.Response, error) {
			payloads = append(payloads, string(r.Payload))
			return respond(ctx, r)
		}})
		g.publish("$connect=f", "$disconnect=f", "a=>f")
		s := g.connect()
		s.send(`{"action":"a"}`)
		synctest.Wait()
		s.send(`{"action":"b"}`)
		s.leave(1000, "bye")
		synctest.Wait()
		if len(g.exchanges) != 4 {
			t.Fatalf("%d exchanges", len(g.exchanges))
		}
		before := payloads
		payloads = nil
		for i, want := range []struct {
			kind    event.Type
			route   string
			outcome Outcome
			status  int
			body    string
		}{
			{event.TypeConnect, "$connect", Done, 101, "one"},
			{event.TypeMessage, "a", Done, 200, "one"},
			{event.TypeMessage, "", NoRoute, 0, ""},
			{event.TypeDisconnect, "$disconnect", Done, 200, "one"},
		} {
			x := g.exchanges[i]
			again := g.gateway.Replay(t.Context(), x)
			for _, got := range []Exchange{x, again} {
				body := ""
				if got.Answer != nil {
					body = string(got.Answer.Body)
				}
				if got.Type != want.kind || string(got.RouteKey) != want.route || got.Outcome != want.outcome || got.Status != want.status || body != want.body {
					t.Errorf("%d: %+v, want %+v", i, got, want)
				}
			}
		}
		if diff := cmp.Diff(before, payloads); diff != "" {
			t.Errorf("the function got other events:\n%s", diff)
		}
		if len(g.exchanges) != 4 || len(g.messages) != 2 || len(s.got()) != 2 {
			t.Error("a replay was told or answered to the client")
		}

		respond = answer(403, "no")
		if got := g.gateway.Replay(t.Context(), g.exchanges[0]); got.Outcome != RejectedByBackend || got.Status != 403 {
			t.Errorf("a $connect that now says no: %+v", got)
		}
		respond = fail(integration.ErrFunction)
		if got := g.gateway.Replay(t.Context(), g.exchanges[1]); got.Outcome != FunctionError || !errors.Is(got.Err, integration.ErrFunction) || got.Answer != nil {
			t.Errorf("a function that now fails: %+v", got)
		}
		respond = answer(200, "late")
		g.publish("b=>f")
		if got := g.gateway.Replay(t.Context(), g.exchanges[2]); got.Outcome != Done || got.RouteKey != "b" || string(got.Answer.Body) != "late" || got.MessageID == "" {
			t.Errorf("a message whose route came later: %+v", got)
		}
		if got := g.gateway.Replay(t.Context(), g.exchanges[3]); got.Outcome != NoRoute {
			t.Errorf("a $disconnect whose route is gone: %+v", got)
		}
		g.gateway.Withdraw("abc", "Prod")
		if got := g.gateway.Replay(t.Context(), g.exchanges[1]); got.Outcome != UnknownStage {
			t.Errorf("a stage that is gone: %+v", got)
		}
		if err := g.gateway.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
