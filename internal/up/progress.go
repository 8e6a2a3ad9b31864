package up

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"tidegate/internal/observe"
	"tidegate/internal/stack"
)

// A progress tells what applying a template does: the resources that a person
// thinks of one by one, the rest as a number.
type progress struct {
	tale   *story
	began  time.Time
	counts map[stack.Action]int
}

func newProgress(tale *story) *progress {
	return &progress{tale: tale, began: time.Now(), counts: map[stack.Action]int{}}
}

// prominent are the types whose resources get a line of their own.
var prominent = map[string]bool{
	"AWS::ApiGatewayV2::Api":   true,
	"AWS::ApiGatewayV2::Stage": true,
	"AWS::DynamoDB::Table":     true,
	"AWS::Events::Rule":        true,
	"AWS::Lambda::Function":    true,
	"AWS::Scheduler::Schedule": true,
}

// step hears of one resource.
func (p *progress) step(s stack.Step) {
	p.counts[s.Action]++
	switch {
	case s.Err != nil: // told with the error that ends it all
	case s.Action == stack.Keep:
	case prominent[s.Type] || s.Action == stack.Retain || p.tale.json:
		p.tell(s.String())
	}
}

// end sums up.
func (p *progress) end() {
	var parts []string
	for _, a := range []stack.Action{stack.Create, stack.Update, stack.Replace, stack.Delete, stack.Retain, stack.Keep} {
		if n := p.counts[a]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", a, n))
		}
	}
	if len(parts) > 0 {
		p.tell(fmt.Sprintf("%s resources in %s", strings.Join(parts, ", "), observe.Short(time.Since(p.began))))
	}
}

func (p *progress) tell(text string) {
	p.tale.tell(observe.Notice{Time: time.Now(), Kind: observe.KindProgress, Level: slog.LevelInfo, Text: text})
}
