package schedules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A rate is "N unit", such as "5 minutes".
type rate struct {
	n    int
	unit string // minute, hour or day
}

// maxRate keeps a rate's interval within a time.Duration (about 273 years).
const maxRate = 100_000

var rateUnits = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// parseRate reads what stands in rate(…): a number, one space, and the unit,
// which has an s unless the number is 1; a lenient reader takes either.
func parseRate(s string, lenient bool) (rate, error) {
	number, unit, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxRate || strconv.Itoa(n) != number {
		return rate{}, fmt.Errorf("rate(%s): the value must be a whole number from 1 to %d, followed by one space", s, maxRate)
	}
	r := rate{n: n, unit: unit}
	if n > 1 || lenient {
		r.unit = strings.TrimSuffix(unit, "s")
	}
	if rateUnits[r.unit] == 0 || n > 1 && r.unit == unit && !lenient {
		want := "minute, hour or day"
		if n > 1 {
			want = "minutes, hours or days"
		}
		return rate{}, fmt.Errorf("rate(%s): the unit after %d must be %s, in lower case", s, n, want)
	}
	return r, nil
}

// String returns the rate as parseRate reads it.
func (r rate) String() string {
	if r.n == 1 {
		return "1 " + r.unit
	}
	return strconv.Itoa(r.n) + " " + r.unit + "s"
}

func (r rate) interval() time.Duration { return time.Duration(r.n) * rateUnits[r.unit] }

// next returns the first of anchor + k·interval (k ≥ 1) after the given time.
func (r rate) next(anchor, after time.Time) time.Time {
	return anchor.Add(time.Duration(r.periods(anchor, after)+1) * r.interval())
}

// count returns how many firings lie in (after, until].
func (r rate) count(anchor, after, until time.Time) int {
	return int(min(max(r.periods(anchor, until)-r.periods(anchor, after), 0), maxCount))
}

// periods returns how many whole intervals lie between anchor and t.
func (r rate) periods(anchor, t time.Time) int64 {
	if !t.After(anchor) {
		return 0
	}
	return int64(t.Sub(anchor) / r.interval())
}
