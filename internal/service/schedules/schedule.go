package schedules

import (
	"maps"
	"time"

	"tidegate/internal/pattern"
)

// A Schedule is one of EventBridge Scheduler's. Its JSON is what the bucket
// holds. A Schedule isn't changed once it is stored: a change makes another one.
type Schedule struct {
	Name                  string
	Group                 string
	ARN                   string
	Description           string `json:",omitempty"`
	Expression            string // as it was given
	Timezone              string `json:",omitempty"` // as it was given; empty: UTC
	Start, End            time.Time
	State                 State
	Window                int             `json:",omitempty"` // minutes of a flexible time window; 0: OFF
	ActionAfterCompletion string          `json:",omitempty"` // NONE or DELETE
	KMSKey                string          `json:",omitempty"` // kept and shown only
	Target                *ScheduleTarget // never nil
	Created, Modified     time.Time
	// Anchor is where a rate without Start counts from: when the schedule was
	// created, or when its timing last changed. Whole seconds.
	Anchor time.Time
	// Done says that the last firing was made.
	Done bool `json:",omitempty"`
	// Token and TokenHash make a repeated CreateSchedule harmless: its ClientToken,
	// and a hash of its parameters.
	Token     string `json:",omitempty"`
	TokenHash string `json:",omitempty"`
}

// A ScheduleTarget is what a schedule invokes.
type ScheduleTarget struct {
	ARN        string
	RoleARN    string
	Input      string       `json:",omitempty"` // as it was given; empty: the scheduled event
	Retry      *RetryPolicy `json:",omitempty"` // nil: AWS's default
	DeadLetter string       `json:",omitempty"` // kept and shown; nothing is sent to it
}

// clone returns a copy that may be changed; the target is shared and replaced
// as a whole.
func (sc *Schedule) clone() *Schedule {
	c := *sc
	return &c
}

// A Group holds schedules. Its JSON is what the bucket holds.
type Group struct {
	Name              string
	ARN               string
	Created, Modified time.Time
	Tags              map[string]string `json:",omitempty"`
	Token             string            `json:",omitempty"` // of CreateScheduleGroup
}

func (g *Group) clone() *Group {
	c := *g
	c.Tags = maps.Clone(g.Tags)
	return &c
}

// Bounds. Those of names and lengths are AWS's; it has room for a million
// schedules or more, each of which takes memory here.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html
const (
	defaultGroup     = "default"
	maxSchedules     = 100_000
	maxGroups        = 500
	maxScheduleInput = 256 << 10 // bytes: Lambda's asynchronous payload
	maxWindow        = 1440      // minutes
	maxTags          = 200       // of a group

	actionNone   = "NONE"
	actionDelete = "DELETE"
)

var (
	tokenPattern = pattern.New(`^[A-Za-z0-9_-]{1,64}$`)
	rolePattern  = pattern.New(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)
)

// A scheduleKey finds a schedule.
type scheduleKey struct{ group, name string }

// A scheduleState is a schedule in memory.
type scheduleState struct {
	alarm
	schedule *Schedule
	timing   timing
	moment   time.Time // that the alarm stands for
}

// ring implements ringer. Of what came due meanwhile the first is fired, the
// others are missed; a schedule that fires once is fired late, unless its event
// would be older than its retry policy lets one become.
func (st *scheduleState) ring(now time.Time) (due, time.Time) {
	d := due{schedule: st.schedule, at: st.moment}
	d.tooLate = now.Sub(st.due) > st.schedule.Target.Retry.age()
	d.missed = st.timing.count(st.due, now)
	var next time.Time
	st.moment, next = st.timing.pending(now)
	d.last = st.moment.IsZero()
	return d, next
}

// A scheduledTask is what a target without Input gets: the shape is that of a
// rule's event, but detail is a string.
type scheduledTask struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     string   `json:"detail"`
}
