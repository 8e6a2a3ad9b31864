package schedules

import (
	"fmt"
	"hash/fnv"
	"sync"
	"time"
	_ "time/tzdata" // time zones by name, whatever the machine has

	"tidegate/internal/pattern"
)

// A timing is when a schedule fires: its expression, read by a zone's clock,
// between two moments, and spread over a window.
type timing struct {
	expression Expression
	zone       *time.Location
	// anchor is where a rate counts from; it is the rate's first firing.
	anchor time.Time
	start  time.Time // nothing before it; zero: no bound
	end    time.Time // nothing after it; zero: no bound
	// window is how long after its moment a firing may come; 0 means at once.
	window time.Duration
	seed   string // spreads schedules over their windows
}

// newTiming reads the timing of a schedule. EventBridge Scheduler ignores
// StartDate and EndDate of a schedule that fires once.
func newTiming(sc *Schedule, zones *zones) (timing, error) {
	e, err := ParseSchedule(sc.Expression)
	if err != nil {
		return timing{}, err
	}
	zone, err := zones.load(sc.Timezone)
	if err != nil {
		return timing{}, err
	}
	t := timing{expression: e, zone: zone, anchor: sc.Anchor, window: time.Duration(sc.Window) * time.Minute, seed: sc.ARN}
	if !e.Once() {
		t.start, t.end = sc.Start, sc.End
	}
	if !t.start.IsZero() {
		t.anchor = t.start
	}
	return t, nil
}

// next returns the first moment after the given one, or the zero time.
func (t *timing) next(after time.Time) time.Time {
	if before := t.start.Add(-1); !t.start.IsZero() && before.After(after) {
		after = before
	}
	var n time.Time
	switch e := t.expression; {
	case e.Once():
		if n = inZone(e.at, t.zone); !n.After(after) {
			return time.Time{}
		}
	case e.cron != nil:
		n = e.cron.nextIn(t.zone, after)
	case t.anchor.After(after):
		n = t.anchor
	default:
		n = e.rate.next(t.anchor, after)
	}
	if !t.end.IsZero() && n.After(t.end) {
		return time.Time{}
	}
	return n
}

// delay returns how long after its moment a firing comes: anywhere in the
// window, but always the same, and before the moment that follows.
func (t *timing) delay(moment time.Time) time.Duration {
	window := t.window
	if window == 0 {
		return 0
	}
	if n := t.next(moment); !n.IsZero() {
		window = min(window, n.Sub(moment))
	}
	h := fnv.New64a()
	fmt.Fprint(h, t.seed, moment.Unix())
	return time.Duration(h.Sum64()%uint64(window/time.Second)) * time.Second
}

// pending returns the first moment whose firing comes after the given time,
// and when it comes; zero times when there is none.
func (t *timing) pending(after time.Time) (moment, due time.Time) {
	from := after
	if t.window > 0 {
		from = after.Add(-t.window) // moments whose delay isn't over
	}
	for moment = t.next(from); !moment.IsZero(); moment = t.next(moment) {
		if due = moment.Add(t.delay(moment)); due.After(after) {
			return moment, due
		}
	}
	return time.Time{}, time.Time{}
}

// maxMissed bounds what count counts of one of many schedules.
const maxMissed = 1000

// count returns how many firings come after one time and not after another, at
// most maxMissed of them.
func (t *timing) count(after, until time.Time) (n int) {
	for moment, due := t.pending(after); !moment.IsZero() && !due.After(until) && n < maxMissed; n++ {
		if moment = t.next(moment); !moment.IsZero() {
			due = moment.Add(t.delay(moment))
		}
	}
	return n
}

// inZone returns the moment at which a zone's clock shows the wall time: the
// first one where clocks go back and show it twice. Where they go forward and
// never show it, it is the moment the clock would have been at.
func inZone(wall time.Time, zone *time.Location) time.Time {
	y, mo, d := wall.Date()
	h, mi, s := wall.Clock()
	t := time.Date(y, mo, d, h, mi, s, 0, zone)
	if !shows(wall, t, zone) {
		_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
		return wall.Add(-time.Duration(before) * time.Second)
	}
	if begin, _ := t.ZoneBounds(); !begin.IsZero() {
		_, now := t.Zone()
		_, before := begin.Add(-1).Zone()
		if earlier := t.Add(time.Duration(now-before) * time.Second); earlier.Before(begin) && earlier.Before(t) {
			return earlier.UTC()
		}
	}
	return t.UTC()
}

// shows reports whether the zone's clock shows the wall time at t; it doesn't
// when clocks jump over it.
func shows(wall, t time.Time, zone *time.Location) bool {
	return t.In(zone).Format(atLayout) == wall.Format(atLayout)
}

// nextIn is next by a zone's clock. A time that the clock jumps over in spring
// is left out, and one that it shows twice in autumn fires once, the first time.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
func (c *cron) nextIn(zone *time.Location, after time.Time) time.Time {
	if zone == time.UTC {
		return c.next(after)
	}
	local := after.In(zone)
	y, mo, d := local.Date()
	h, mi, s := local.Clock()
	wall := time.Date(y, mo, d, h, mi, s, 0, time.UTC)
	for {
		if wall = c.next(wall); wall.IsZero() {
			return wall
		}
		if t := inZone(wall, zone); t.After(after) && shows(wall, t, zone) {
			return t
		}
	}
}

// zones are the time zones in use; each is read once.
type zones struct {
	mu   sync.Mutex
	held map[string]*time.Location
}

// zoneName is the look of an IANA name.
var zoneName = pattern.New(`^[A-Za-z][A-Za-z0-9_+/-]{0,49}$`)

// load returns the zone of an IANA name; "" is UTC.
func (z *zones) load(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if l, ok := z.held[name]; ok {
		return l, nil
	}
	if !zoneName.MatchString(name) || name == "Local" {
		return nil, fmt.Errorf("%q is no time zone; it needs an IANA name such as Europe/Vienna or UTC", name)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no time zone; it needs an IANA name such as Europe/Vienna or UTC", name)
	}
	if z.held == nil {
		z.held = make(map[string]*time.Location)
	}
	z.held[name] = l
	return l, nil
}
