package schedules

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// A cron is AWS's six fields: minute, hour, day of the month, month, day of
// the week (1 is Sunday), year. Just one of the two kinds of day is '?'.
type cron struct {
	fields [6]cronField
	minute uint64 // bit n: minute n
	hour   uint32
	month  uint16
	years  [4]uint64 // bit n: year 1970+n
}

// The fields' places.
const (
	minutes = iota
	hours
	monthDays
	months
	weekDays
	years
)

// A cronSpec says what a field may hold.
type cronSpec struct {
	name      string
	low, high int
	names     string // three letters each, for low, low+1, …
}

var cronSpecs = [6]cronSpec{
	{"minute", 0, 59, ""},
	{"hour", 0, 23, ""},
	{"day-of-month", 1, 31, ""},
	{"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
	{"day-of-week", 1, 7, "SUNMONTUEWEDTHUFRISAT"},
	{"year", 1970, 2199, ""},
}

// A cronField is a list of items.
type cronField []cronItem

// A cronItem is one item of a field's list.
type cronItem struct {
	kind      cronKind
	low, high int // of a range; of others low alone
	step      int // 0: none
}

type cronKind uint8

const (
	cronAny         cronKind = iota // *
	cronNone                        // ?
	cronValue                       // 5; with a step: from 5 to the end
	cronRange                       // 5-9; FRI-MON runs over the end
	cronLast                        // L: the last day of the month, of the week; L-3 (low is 3)
	cronLastWeekday                 // LW: the month's last day from Monday to Friday
	cronWeekday                     // 15W: the day from Monday to Friday nearest to the 15th
	cronLastOf                      // 6L: the month's last Friday
	cronNth                         // 6#3: the month's third Friday (high is 3)
)

// parseCron reads what stands in cron(…).
func parseCron(s string) (*cron, error) {
	parts := strings.Fields(s)
	if len(parts) != len(cronSpecs) {
		return nil, fmt.Errorf("cron(%s): it needs six fields, minute hour day-of-month month day-of-week year, and has %d", s, len(parts))
	}
	c := &cron{}
	for i, part := range parts {
		field, err := parseCronField(i, strings.ToUpper(part))
		if err != nil {
			return nil, fmt.Errorf("cron(%s): %s %q: %w", s, cronSpecs[i].name, part, err)
		}
		c.fields[i] = field
	}
	if c.fields[monthDays].none() == c.fields[weekDays].none() {
		return nil, fmt.Errorf("cron(%s): just one of day-of-month and day-of-week must be ?", s)
	}
	c.minute = c.fields[minutes].bits(minutes)
	c.hour = uint32(c.fields[hours].bits(hours))
	c.month = uint16(c.fields[months].bits(months))
	for _, item := range c.fields[years] {
		item.each(years, func(y int) { c.years[(y-1970)/64] |= 1 << ((y - 1970) % 64) })
	}
	return c, nil
}

func (f cronField) none() bool { return len(f) == 1 && f[0].kind == cronNone }

// parseCronField reads a field: items separated by commas.
func parseCronField(place int, s string) (cronField, error) {
	var f cronField
	for part := range strings.SplitSeq(s, ",") {
		item, err := parseCronItem(place, part)
		if err != nil {
			return nil, err
		}
		f = append(f, item)
	}
	if len(f) > 1 {
		for _, item := range f {
			if item.kind == cronNone || item.kind == cronNth {
				return nil, errors.New("? and # stand alone")
			}
		}
	}
	return f, nil
}

func parseCronItem(place int, s string) (cronItem, error) {
	if place == monthDays || place == weekDays {
		if item, ok, err := parseCronDay(place, s); ok || err != nil {
			return item, err
		}
	}
	base, step, stepped := strings.Cut(s, "/")
	item, err := parseCronBase(place, base)
	if err != nil || !stepped {
		return item, err
	}
	spec := cronSpecs[place]
	if item.step, err = strconv.Atoi(step); err != nil || item.step < 1 || item.step > spec.high || strconv.Itoa(item.step) != step {
		return item, fmt.Errorf("the step after / must be a number from 1 to %d", spec.high)
	}
	return item, nil
}

// parseCronBase reads an item without its step: *, a value or a range.
func parseCronBase(place int, s string) (cronItem, error) {
	if s == "*" {
		return cronItem{kind: cronAny}, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	low, err := parseCronValue(place, from)
	if err != nil || !isRange {
		return cronItem{kind: cronValue, low: low}, err
	}
	high, err := parseCronValue(place, to)
	if err != nil {
		return cronItem{}, err
	}
	if place == years && high < low {
		return cronItem{}, errors.New("the range ends before it begins")
	}
	return cronItem{kind: cronRange, low: low, high: high}, nil
}

// parseCronDay reads what only a day can be. ok is false for everything else.
func parseCronDay(place int, s string) (item cronItem, ok bool, err error) {
	switch {
	case s == "?":
		return cronItem{kind: cronNone}, true, nil
	case s == "L":
		return cronItem{kind: cronLast}, true, nil
	case place == monthDays && s == "LW":
		return cronItem{kind: cronLastWeekday}, true, nil
	case place == monthDays && strings.HasPrefix(s, "L-"):
		n, err := strconv.Atoi(s[2:])
		if err != nil || n < 1 || n > 30 || strconv.Itoa(n) != s[2:] {
			return item, false, errors.New("after L- there must be a number from 1 to 30")
		}
		return cronItem{kind: cronLast, low: n}, true, nil
	case place == monthDays && strings.HasSuffix(s, "W"):
		n, err := parseCronValue(place, s[:len(s)-1])
		return cronItem{kind: cronWeekday, low: n}, true, err
	case place == weekDays && strings.HasSuffix(s, "L"):
		n, err := parseCronValue(place, s[:len(s)-1])
		return cronItem{kind: cronLastOf, low: n}, true, err
	case place == weekDays && strings.Contains(s, "#"):
		day, nth, _ := strings.Cut(s, "#")
		n, err := parseCronValue(place, day)
		if err != nil {
			return item, false, err
		}
		if len(nth) != 1 || nth[0] < '1' || nth[0] > '5' {
			return item, false, errors.New("after # there must be a number from 1 to 5")
		}
		return cronItem{kind: cronNth, low: n, high: int(nth[0] - '0')}, true, nil
	}
	return item, false, nil
}

// parseCronValue reads a number or a name.
func parseCronValue(place int, s string) (int, error) {
	spec := cronSpecs[place]
	if len(s) == 3 && s[0] >= 'A' {
		for i := 0; i < len(spec.names); i += 3 {
			if spec.names[i:i+3] == s {
				return spec.low + i/3, nil
			}
		}
	}
	n, err := strconv.ParseUint(s, 10, 12)
	if err != nil || len(s) > 4 || int(n) < spec.low || int(n) > spec.high {
		names := ""
		if spec.names != "" {
			names = " or " + spec.names[:3] + " to " + spec.names[len(spec.names)-3:]
		}
		return 0, fmt.Errorf("%q is not a number from %d to %d%s", s, spec.low, spec.high, names)
	}
	return int(n), nil
}

// each calls f with every value of an item that is a list of values.
func (c cronItem) each(place int, f func(int)) {
	spec := cronSpecs[place]
	low, high := spec.low, spec.high
	switch c.kind {
	case cronValue:
		low = c.low
		if c.step == 0 {
			high = c.low
		}
	case cronRange:
		low, high = c.low, c.high
	case cronAny:
	default:
		return
	}
	size := spec.high - spec.low + 1
	if high < low {
		high += size
	}
	for v := low; v <= high; v += max(c.step, 1) {
		f((v-spec.low)%size + spec.low)
	}
}

func (f cronField) bits(place int) (set uint64) {
	for _, item := range f {
		item.each(place, func(v int) { set |= 1 << v })
	}
	return set
}

// String returns the six fields as parseCron reads them.
func (c *cron) String() string {
	var parts [6]string
	for i, f := range c.fields {
		items := make([]string, len(f))
		for j, item := range f {
			items[j] = item.String()
		}
		parts[i] = strings.Join(items, ",")
	}
	return strings.Join(parts[:], " ")
}

func (c cronItem) String() string {
	var s string
	switch low := strconv.Itoa(c.low); c.kind {
	case cronAny:
		s = "*"
	case cronNone:
		s = "?"
	case cronValue:
		s = low
	case cronRange:
		s = low + "-" + strconv.Itoa(c.high)
	case cronLast:
		if s = "L"; c.low > 0 {
			s += "-" + low
		}
	case cronLastWeekday:
		s = "LW"
	case cronWeekday:
		s = low + "W"
	case cronLastOf:
		s = low + "L"
	case cronNth:
		s = low + "#" + strconv.Itoa(c.high)
	}
	if c.step > 0 {
		s += "/" + strconv.Itoa(c.step)
	}
	return s
}

// next returns the first minute after t that fits, or the zero time. It looks
// at most at every month up to 2199.
func (c *cron) next(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Minute).Add(time.Minute)
	year, month, day := t.Date()
	hour, minute := t.Hour(), t.Minute()
	for ; year <= cronSpecs[years].high; year++ {
		if year < 1970 || c.years[(year-1970)/64]&(1<<((year-1970)%64)) == 0 {
			month, day, hour, minute = 1, 1, 0, 0
			continue
		}
		for ; month <= 12; month++ {
			if c.month&(1<<month) == 0 {
				day, hour, minute = 1, 0, 0
				continue
			}
			for set := c.days(year, month) >> day << day; set != 0; set &= set - 1 {
				if d := bits.TrailingZeros32(set); d != day {
					day, hour, minute = d, 0, 0
				}
				if h, m, ok := c.timeFrom(hour, minute); ok {
					return time.Date(year, month, day, h, m, 0, 0, time.UTC)
				}
			}
			day, hour, minute = 1, 0, 0
		}
		month, day, hour, minute = 1, 1, 0, 0
	}
	return time.Time{}
}

// timeFrom returns the first time of day that fits, from hour:minute on.
func (c *cron) timeFrom(hour, minute int) (h, m int, ok bool) {
	if c.hour&(1<<hour) != 0 {
		if set := c.minute >> minute << minute; set != 0 {
			return hour, bits.TrailingZeros64(set), true
		}
	}
	set := c.hour >> (hour + 1) << (hour + 1)
	if set == 0 {
		return 0, 0, false
	}
	return bits.TrailingZeros32(set), bits.TrailingZeros64(c.minute), true
}

// days returns the days of a month that fit, bit n for day n.
func (c *cron) days(year int, month time.Month) (set uint32) {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	first := int(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Weekday()) + 1 // 1 is Sunday
	if !c.fields[monthDays].none() {
		for _, item := range c.fields[monthDays] {
			set |= item.monthDays(first, last)
		}
	} else {
		for _, item := range c.fields[weekDays] {
			set |= item.weekDays(first, last)
		}
	}
	return set & (1<<(last+1) - 2)
}

// monthDays returns the item's days in a month that begins on the weekday
// first and has last days.
func (c cronItem) monthDays(first, last int) (set uint32) {
	weekday := func(day int) int { return (first-1+day-1)%7 + 1 }
	switch c.kind {
	case cronLast:
		if day := last - c.low; day >= 1 {
			set = 1 << day
		}
	case cronLastWeekday:
		day := last
		for weekday(day) == 1 || weekday(day) == 7 {
			day--
		}
		set = 1 << day
	case cronWeekday:
		day := c.low
		if day > last {
			return 0 // the month has no such day
		}
		switch weekday(day) { // the nearest one in the same month
		case 7:
			if day--; day == 0 {
				day = 3
			}
		case 1:
			if day++; day > last {
				day -= 3
			}
		}
		set = 1 << day
	default:
		c.each(monthDays, func(v int) { set |= 1 << v })
	}
	return set
}

// weekDays is monthDays for an item of the day-of-week field.
func (c cronItem) weekDays(first, last int) (set uint32) {
	firstOf := func(weekday int) int { return (weekday-first+7)%7 + 1 }
	switch c.kind {
	case cronLast:
		for day := firstOf(7); day <= last; day += 7 {
			set |= 1 << day
		}
	case cronLastOf:
		day := firstOf(c.low)
		for day+7 <= last {
			day += 7
		}
		set = 1 << day
	case cronNth:
		if day := firstOf(c.low) + 7*(c.high-1); day <= last {
			set = 1 << day
		}
	default:
		c.each(weekDays, func(v int) {
			for day := firstOf(v); day <= last; day += 7 {
				set |= 1 << day
			}
		})
	}
	return set
}
