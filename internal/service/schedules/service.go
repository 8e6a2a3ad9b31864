// Package schedules is EventBridge's scheduled rules (PutRule and its kin) and
// EventBridge Scheduler (CreateSchedule and its kin): the clockwork that fires
// rate(), cron() and at() expressions, and the invocation of their targets,
// which are Lambda functions reached over HTTP. Event buses and event patterns
// are not here.
package schedules

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/kv"
	"tidegate/sigv4"
)

// Config is what New needs.
type Config struct {
	// Bucket holds the rules.
	Bucket kv.Bucket
	Gate   *awshttp.Gate
	// Clock says when rules are due; nil means the machine's.
	Clock clock.Clock
	// Endpoint is where Lambda is, such as http://localhost:8420.
	Endpoint string
	// Client sends the invocations; nil means http.DefaultClient.
	Client *http.Client
	// STS is where the roles of schedules are assumed, such as http://localhost:8420.
	STS string
	// Credentials are a key of the principal events.amazonaws.com.
	Credentials sigv4.Credentials
	// SchedulerCredentials are a key of the principal scheduler.amazonaws.com.
	SchedulerCredentials sigv4.Credentials
	Region               string
	Account              string
	// MaxRules is how many rules there may be; 0 means AWS's 300.
	MaxRules int
	// MaxSchedules is how many schedules there may be; 0 means 100,000.
	MaxSchedules int
	Events       EventListener
}

// An EventListener hears what happens to rules. Its funcs must not block, may
// be called concurrently, and may be nil.
type EventListener struct {
	// Fired: a target was invoked, or an attempt failed.
	Fired func(Firing)
	// Missed: firings that were due while nothing ran.
	Missed func(Miss)
	// Failed: the store could not be written; the rules go on.
	Failed func(err error)
}

// A Miss is firings that were due while nothing ran (the process was down, the
// machine asleep) and that are not made up for.
type Miss struct {
	Rule     string // a rule's name, or
	Schedule string // a schedule's group/name, or neither:
	Others   int    // so many further rules and schedules that missed firings
	// Count is how many firings; at 10,000 of a rule, and 1,000 of a schedule, it
	// stops.
	Count int
}

// String says what was missed.
func (m Miss) String() string {
	who := "rule " + m.Rule
	switch {
	case m.Others > 0:
		who = fmt.Sprintf("%d further rules and schedules together", m.Others)
	case m.Schedule != "":
		who = "schedule " + m.Schedule
	}
	times := fmt.Sprintf("%d times", m.Count)
	if m.Count == 1 {
		times = "once"
	}
	return who + " was due " + times + " while nothing ran; that is not made up for"
}

// A Firing is one attempt to invoke one target.
type Firing struct {
	Rule       string    // a rule's name, or
	Schedule   string    // a schedule's group/name
	ARN        string    // the rule's or the schedule's
	Target     string    // the function's ARN
	RequestID  string    // Lambda's, of the invocation; empty when there was no answer
	Due        time.Time // the moment that the expression names
	Time       time.Time
	Manual     bool // by Fire
	Err        error
	Duration   time.Duration // of the attempt
	Attempt    int           // from 1
	Retry      time.Duration // after which the next attempt follows; 0: none does
	Late       time.Duration // of a schedule that was due while nothing ran; else 0
	DeadLetter string        // where AWS would send the event now; nothing is sent here
}

// Name is the rule's, or the schedule's group/name.
func (f Firing) Name() string {
	if f.Schedule != "" {
		return f.Schedule
	}
	return f.Rule
}

// String says what fired what, and how it went.
func (f Firing) String() string {
	who := "rule " + f.Rule
	if f.Schedule != "" {
		who = "schedule " + f.Schedule
	}
	s := who + " invoked " + f.Target
	if f.Err != nil {
		s = who + " could not invoke " + f.Target + ": " + f.Err.Error()
		if f.Retry > 0 {
			s += fmt.Sprintf(" (attempt %d; the next one in %s)", f.Attempt, f.Retry)
		}
	}
	if f.Late > 0 {
		s += fmt.Sprintf(" (%s late: it was due while nothing ran)", f.Late.Round(time.Second))
	}
	if f.DeadLetter != "" {
		s += "; AWS would send the event to " + f.DeadLetter + ", here it is dropped"
	}
	return s
}

// A Service holds rules and schedules and fires them. It is an http.Handler for
// the signing name events; Scheduler is the one for scheduler.
type Service struct {
	http.Handler
	scheduler    http.Handler
	gate         *awshttp.Gate
	clock        clock.Clock
	endpoint     string
	client       *http.Client
	credentials  sigv4.Credentials
	roles        *roles
	zones        zones
	region       string
	account      string
	maxRules     int
	maxSchedules int
	events       EventListener
	store        store

	mu        sync.RWMutex // held while a change is written to the store
	rules     map[string]*ruleState
	schedules map[scheduleKey]*scheduleState
	groups    map[string]*Group // the default one too
	queue     queue

	wake   chan struct{} // has an element when the queue's head may have changed
	slots  chan struct{} // one element per delivery on its way
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // the loop, and every delivery
}

// A ruleState is a rule in memory.
type ruleState struct {
	alarm
	rule       *Rule
	expression Expression
}

func newRuleState() *ruleState {
	st := &ruleState{alarm: alarm{index: -1}}
	st.owner = st
	return st
}

// New opens the service, reads its rules from the bucket, tells the listener
// which firings were missed since it last ran, and starts firing.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{
		gate: c.Gate, clock: c.Clock, endpoint: strings.TrimSuffix(c.Endpoint, "/"), client: c.Client, credentials: c.Credentials,
		region: c.Region, account: c.Account, maxRules: c.MaxRules, maxSchedules: c.MaxSchedules, events: c.Events, store: store{c.Bucket},
		rules: make(map[string]*ruleState), schedules: make(map[scheduleKey]*scheduleState), groups: make(map[string]*Group),
		wake:  make(chan struct{}, 1),
		slots: make(chan struct{}, maxDeliveries),
	}
	if s.clock == nil {
		s.clock = clock.System
	}
	if s.client == nil {
		s.client = http.DefaultClient
	}
	if s.maxRules == 0 {
		s.maxRules = maxRules
	}
	if s.maxSchedules == 0 {
		s.maxSchedules = maxSchedules
	}
	s.roles = newRoles(s, c.STS, c.SchedulerCredentials)
	s.Handler = awshttp.Protocol{Gate: c.Gate, Service: "events", MaxBody: maxRequest, InternalCode: "InternalException"}.JSON("1.1", "AWSEvents", "", s.operations())
	s.scheduler = s.schedulerHandler()
	misses, err := s.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("schedules: %w", err)
	}
	s.tellMisses(misses)
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(s.run)
	return s, nil
}

// load reads what the bucket holds and returns what was missed since it was
// written last.
func (s *Service) load(ctx context.Context) (misses []Miss, err error) {
	rules, err := s.store.rules(ctx)
	if err != nil {
		return nil, err
	}
	through, err := s.store.through(ctx)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	for _, r := range rules {
		state := newRuleState()
		if err := s.set(state, r, now); err != nil {
			return nil, fmt.Errorf("rule %s in the store: %w", r.Name, err)
		}
		s.rules[r.Name] = state
		since := through
		if r.Anchor.After(since) {
			since = r.Anchor
		}
		if n := state.expression.Count(r.Anchor, since, now); n > 0 && r.State == Enabled {
			misses = append(misses, Miss{Rule: r.Name, Count: n})
		}
	}
	missed, err := s.loadSchedules(ctx, through, now)
	return append(misses, missed...), err
}

// maxTold is how many rules and schedules are told of one by one at the start.
const maxTold = 10

func (s *Service) tellMisses(misses []Miss) {
	for _, m := range misses[:min(len(misses), maxTold)] {
		s.missed(m)
	}
	if len(misses) > maxTold {
		rest := Miss{Others: len(misses) - maxTold}
		for _, m := range misses[maxTold:] {
			rest.Count += m.Count
		}
		s.missed(rest)
	}
}

// Close stops firing and waits until every delivery has ended; those on their
// way are cut off.
func (s *Service) Close() error {
	s.cancel()
	s.wg.Wait()
	return s.store.putThrough(context.WithoutCancel(s.ctx), s.clock.Now())
}

func (s *Service) missed(m Miss) {
	if s.events.Missed != nil {
		s.events.Missed(m)
	}
}

// Scheduler is the http.Handler for the signing name scheduler.
func (s *Service) Scheduler() http.Handler { return s.scheduler }

// Rules returns every rule, by name.
func (s *Service) Rules() []Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Info, 0, len(s.rules))
	for _, state := range s.rules {
		r := state.rule
		info := Info{Name: r.Name, ARN: r.ARN, State: r.State, ScheduleExpression: r.ScheduleExpression}
		if state.index >= 0 {
			info.Next = state.due
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Errors of Fire, to be tested with errors.Is.
var (
	// ErrNoRule says that there is no such rule, nor such a schedule.
	ErrNoRule = errors.New("schedules: no such rule or schedule")
	// ErrNoTargets says that the rule has nothing to invoke.
	ErrNoTargets = errors.New("schedules: the rule has no targets")
	// ErrAmbiguous says that a name means several rules and schedules.
	ErrAmbiguous = errors.New("schedules: several have that name; give the ARN")
)

// Fire invokes the targets of a rule or schedule now, whether it is enabled or
// not, once each, and returns what failed. It is given by ARN, by name, or for
// a schedule by group/name.
func (s *Service) Fire(ctx context.Context, name string) error {
	rules, schedules := s.named(name)
	if len(rules)+len(schedules) > 1 {
		return fmt.Errorf("%w: %s", ErrAmbiguous, name)
	}
	now := s.clock.Now()
	var deliveries []delivery
	switch {
	case len(schedules) == 1:
		deliveries = append(deliveries, s.scheduleDelivery(schedules[0], awshttp.NewRequestID(), now))
	case len(rules) == 0:
		return fmt.Errorf("%w: %s", ErrNoRule, name)
	case len(rules[0].Targets) == 0:
		return fmt.Errorf("%w: %s", ErrNoTargets, rules[0].Name)
	default:
		id := awshttp.NewRequestID()
		for _, t := range rules[0].Targets {
			d, err := s.ruleDelivery(rules[0], t, id, now)
			if err != nil {
				return err
			}
			deliveries = append(deliveries, d)
		}
	}
	var errs []error
	for _, d := range deliveries {
		d.firing.Manual = true
		f := s.attempt(ctx, d, 1)
		s.fired(f)
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("target %s: %w", f.Target, f.Err))
		}
	}
	return errors.Join(errs...)
}

// named returns the rules and schedules that a name or ARN means.
func (s *Service) named(name string) (rules []*Rule, schedules []*Schedule) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, state := range s.rules {
		if r := state.rule; name == r.Name || name == r.ARN {
			rules = append(rules, r)
		}
	}
	for _, state := range s.schedules {
		if sc := state.schedule; name == sc.Name || name == sc.ARN || name == sc.Group+"/"+sc.Name {
			schedules = append(schedules, sc)
		}
	}
	return rules, schedules
}

// rule returns a rule by name.
func (s *Service) rule(name string) (*Rule, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	state, ok := s.rules[name]
	if !ok {
		return nil, false
	}
	return state.rule, true
}

// put stores what change makes of the rule of that name; change gets nil when
// there is none.
func (s *Service) put(ctx context.Context, name string, change func(*Rule) (*Rule, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, exists := s.rules[name]
	var old *Rule
	if exists {
		old = state.rule.clone()
	} else {
		state = newRuleState()
	}
	r, err := change(old)
	if err != nil {
		return err
	}
	if !exists && len(s.rules) >= s.maxRules {
		return limitExceeded()
	}
	if _, err := Parse(r.ScheduleExpression); err != nil {
		return err // unreachable: the API parsed it before
	}
	if err := s.store.putRule(ctx, r); err != nil {
		return err
	}
	s.rules[name] = state
	if err := s.set(state, r, s.clock.Now()); err != nil {
		return err // unreachable: it was parsed above
	}
	s.poke()
	return nil
}

// remove deletes a rule; one that doesn't exist is no error, as on AWS.
func (s *Service) remove(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.rules[name]
	if !ok {
		return nil
	}
	if len(state.rule.Targets) > 0 {
		return invalid("Rule can't be deleted since it has targets.")
	}
	if err := s.store.delete(ctx, ruleKey(name)); err != nil {
		return err
	}
	delete(s.rules, name)
	s.queue.drop(&state.alarm)
	return nil
}
