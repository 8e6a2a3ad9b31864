package schedules

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxExpression is the length in bytes that a schedule expression may have.
const maxExpression = 256

// An Expression says when a rule or a schedule fires: rate(…), cron(…), or for
// schedules at(…).
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
type Expression struct {
	rate rate
	cron *cron     // nil for the others
	at   time.Time // a wall clock's time, in UTC for want of a zone; zero for the others
}

// Parse reads a rule's schedule expression, rate(…) or cron(…). The error says
// which field is wrong and what it may hold.
func Parse(text string) (Expression, error) { return parse(text, false) }

// ParseSchedule reads the expression of one of Scheduler's schedules. It may
// also be at(yyyy-mm-ddThh:mm:ss); a rate's unit may be singular or plural
// whatever the number, and cron's year may be left out.
func ParseSchedule(text string) (Expression, error) { return parse(text, true) }

func parse(text string, schedule bool) (Expression, error) {
	if len(text) > maxExpression {
		return Expression{}, fmt.Errorf("a schedule expression has at most %d characters, this one %d", maxExpression, len(text))
	}
	inner, closed := strings.CutSuffix(text, ")")
	if s, ok := strings.CutPrefix(inner, "rate("); ok && closed {
		r, err := parseRate(s, schedule)
		return Expression{rate: r}, err
	}
	if s, ok := strings.CutPrefix(inner, "cron("); ok && closed {
		if schedule && len(strings.Fields(s)) == len(cronSpecs)-1 {
			s += " *"
		}
		c, err := parseCron(s)
		return Expression{cron: c}, err
	}
	if !schedule {
		return Expression{}, errors.New("a schedule expression is rate(N unit) or cron(minute hour day-of-month month day-of-week year), without spaces around it")
	}
	if s, ok := strings.CutPrefix(inner, "at("); ok && closed {
		at, err := parseAt(s)
		return Expression{at: at}, err
	}
	return Expression{}, errors.New("a schedule expression is rate(N unit), cron(minute hour day-of-month month day-of-week year) or at(yyyy-mm-ddThh:mm:ss), without spaces around it")
}

// atLayout is how at(…) writes a moment: a wall clock's, without a zone.
const atLayout = "2006-01-02T15:04:05"

// parseAt reads what stands in at(…).
func parseAt(s string) (time.Time, error) {
	at, err := time.Parse(atLayout, s)
	// time.Parse takes fractions of a second and a comma too.
	if err != nil || at.Format(atLayout) != s || at.Year() < 1970 || at.Year() > cronSpecs[years].high {
		return time.Time{}, fmt.Errorf("at(%s): it needs a date and a time that exist, as in at(2030-12-31T23:59:59), from 1970 to 2199; the zone stands in ScheduleExpressionTimezone", s)
	}
	return at, nil
}

// Once reports whether the expression names one moment only.
func (e Expression) Once() bool { return !e.at.IsZero() }

// String returns the expression as text that Parse reads, or ParseSchedule;
// names of months and days come out as numbers.
func (e Expression) String() string {
	switch {
	case e.cron != nil:
		return "cron(" + e.cron.String() + ")"
	case e.Once():
		return "at(" + e.at.Format(atLayout) + ")"
	}
	return "rate(" + e.rate.String() + ")"
}

// Next returns a rule's first firing after the given time, or the zero time
// when there is none. A rate counts from anchor.
func (e Expression) Next(anchor, after time.Time) time.Time {
	if e.cron != nil {
		return e.cron.next(after)
	}
	return e.rate.next(anchor, after)
}

// maxCount bounds what Count counts one by one.
const maxCount = 10_000

// Count returns how many of a rule's firings lie after one time and not after
// another, at most maxCount of them.
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
