package schedules

import (
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"tidegate/internal/pattern"
)

// A Rule is a named schedule with its targets. Its JSON is what the bucket
// holds. A Rule isn't changed once it is stored: a change makes another one.
type Rule struct {
	Name               string
	ARN                string
	Description        string `json:",omitempty"`
	ScheduleExpression string // as it was given
	State              State
	RoleARN            string            `json:",omitempty"`
	Tags               map[string]string `json:",omitempty"`
	Targets            []Target          `json:",omitempty"` // sorted by ID
	// Anchor is where a rate counts from: when the rule was created, or when its
	// expression or state last changed. Whole seconds.
	Anchor time.Time
}

// A State says whether a rule fires by itself.
type State string

// The states, in EventBridge's spelling.
const (
	Enabled  State = "ENABLED"
	Disabled State = "DISABLED"
)

// A Target is a Lambda function that a rule invokes.
type Target struct {
	ID    string
	ARN   string
	Input string       `json:",omitempty"` // constant JSON in the event's place; empty: the scheduled event
	Retry *RetryPolicy `json:",omitempty"` // nil: AWS's default
	// InputPath is the part of the event that the function gets; empty: all of it.
	InputPath string `json:",omitempty"`
	// Transformer makes what the function gets from parts of the event; nil: none.
	Transformer *InputTransformer `json:",omitempty"`
	DeadLetter  string            `json:",omitempty"` // kept and shown; nothing is sent to it
}

// A RetryPolicy bounds how often and how long a delivery is tried again.
type RetryPolicy struct {
	MaximumRetryAttempts     *int `json:",omitempty"` // 0 to 185
	MaximumEventAgeInSeconds *int `json:",omitempty"` // 60 to 86400
}

// Bounds, AWS's.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const (
	maxRules       = 300
	maxTargets     = 5 // of a rule
	maxBatch       = 100
	maxName        = 64
	maxDescription = 512
	maxPattern     = 4096
	maxInput       = 8192
	maxARN         = 1600

	defaultRetries = 185
	defaultAge     = 24 * time.Hour
)

var (
	namePattern   = regexp.MustCompile(`^[.\-_A-Za-z0-9]+$`)
	lambdaPattern = pattern.New(`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9$_-]+)?$`)
)

// clone returns a copy that may be changed.
func (r *Rule) clone() *Rule {
	c := *r
	c.Targets = slices.Clone(r.Targets)
	return &c
}

// Info is what the lists of rules and of schedules show.
type Info struct {
	Name               string
	ARN                string
	State              State
	ScheduleExpression string
	Next               time.Time // zero: it won't fire by itself
}

// A scheduledEvent is what a target gets when it has no Input of its own.
// https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduled-events.html
type scheduledEvent struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     struct{} `json:"detail"`
}

// payload returns what the rule sends to a target for a firing that was due at
// the given time. id is the same for all targets of one firing.
func (s *Service) payload(r *Rule, t Target, id string, due time.Time) ([]byte, error) {
	if t.Input != "" {
		return []byte(t.Input), nil
	}
	event, err := json.Marshal(scheduledEvent{
		Version: "0", ID: id, DetailType: "Scheduled Event", Source: "aws.events", Account: s.account,
		Time: due.UTC().Format(time.RFC3339), Region: s.region, Resources: []string{r.ARN},
	})
	if err != nil {
		return nil, err // unreachable: the struct holds strings only
	}
	return t.input(r, event, s.clock.Now())
}
