package schedules

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxExpression is the length in bytes that a schedule expression may have.
const maxExpression = 256

// An Expression says when a rule fires: rate(…) or cron(…). Times are UTC.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
type Expression struct {
	rate rate
	cron *cron // nil for a rate
}

// Parse reads a schedule expression. The error says which field is wrong and
// what it may hold.
func Parse(text string) (Expression, error) {
	if len(text) > maxExpression {
		return Expression{}, fmt.Errorf("a schedule expression has at most %d characters, this one %d", maxExpression, len(text))
	}
	inner, closed := strings.CutSuffix(text, ")")
	if s, ok := strings.CutPrefix(inner, "rate("); ok && closed {
		r, err := parseRate(s)
		return Expression{rate: r}, err
	}
	if s, ok := strings.CutPrefix(inner, "cron("); ok && closed {
		c, err := parseCron(s)
		return Expression{cron: c}, err
	}
	return Expression{}, errors.New("a schedule expression is rate(N unit) or cron(minute hour day-of-month month day-of-week year), without spaces around it")
}

// String returns the expression as text that Parse reads; names of months and
// days come out as numbers.
func (e Expression) String() string {
	if e.cron != nil {
		return "cron(" + e.cron.String() + ")"
	}
	return "rate(" + e.rate.String() + ")"
}

// Next returns the first firing after the given time, or the zero time when
// there is none. A rate counts from anchor.
func (e Expression) Next(anchor, after time.Time) time.Time {
	if e.cron != nil {
		return e.cron.next(after)
	}
	return e.rate.next(anchor, after)
}

// maxCount bounds what Count counts one by one.
const maxCount = 10_000

// Count returns how many firings lie after one time and not after another, at
// most maxCount of them.
func (e Expression) Count(anchor, after, until time.Time) int {
	if e.cron == nil {
		return e.rate.count(anchor, after, until)
	}
	n := 0
	for t := e.cron.next(after); !t.IsZero() && !t.After(until) && n < maxCount; t = e.cron.next(t) {
		n++
	}
	return n
}
