// Package schedules is EventBridge's scheduled rules: PutRule and its kin, the
// clockwork that fires rate() and cron() expressions, and the invocation of
// their targets, which are Lambda functions reached over HTTP. Event buses,
// event patterns and EventBridge Scheduler are not here.
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
	// Credentials are a key of the principal events.amazonaws.com.
	Credentials sigv4.Credentials
	Region      string
	Account     string
	// MaxRules is how many rules there may be; 0 means AWS's 300.
	MaxRules int
	Events   EventListener
}

// An EventListener hears what happens to rules. Its funcs must not block, may
// be called concurrently, and may be nil.
type EventListener struct {
	// Fired: a target was invoked, or an attempt failed.
	Fired func(Firing)
	// Missed: firings that were due while nothing ran (the process was down, the
	// machine asleep). They are not made up for. At 10,000 the count stops.
	Missed func(rule string, count int)
	// Failed: the store could not be written; the rules go on.
	Failed func(err error)
}

// A Firing is one attempt to invoke one target.
type Firing struct {
	Rule      string
	ARN       string // the rule's
	Target    string // the function's ARN
	RequestID string // Lambda's, of the invocation; empty when there was no answer
	Time      time.Time
	Manual    bool // by Fire
	Err       error
	Duration  time.Duration // of the attempt
	Attempt   int           // from 1
	Retry     time.Duration // after which the next attempt follows; 0: none does
}

// String says what fired what, and how it went.
func (f Firing) String() string {
	s := "rule " + f.Rule + " invoked " + f.Target
	if f.Err != nil {
		s = "rule " + f.Rule + " could not invoke " + f.Target + ": " + f.Err.Error()
		if f.Retry > 0 {
			s += fmt.Sprintf(" (attempt %d; the next one in %s)", f.Attempt, f.Retry)
		}
	}
	return s
}

// A Service holds rules and fires them. It is an http.Handler for the signing
// name events.
type Service struct {
	http.Handler
	gate        *awshttp.Gate
	clock       clock.Clock
	endpoint    string
	client      *http.Client
	credentials sigv4.Credentials
	region      string
	account     string
	maxRules    int
	events      EventListener
	store       store

	mu    sync.RWMutex // held while a change is written to the store
	rules map[string]*ruleState
	queue queue

	wake   chan struct{} // has an element when the queue's head may have changed
	slots  chan struct{} // one element per delivery on its way
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // the loop, and every delivery
}

// A ruleState is a rule in memory.
type ruleState struct {
	rule       *Rule
	expression Expression
	due        time.Time // when in the queue
	index      int       // in the queue; -1: not there
}

// New opens the service, reads its rules from the bucket, tells the listener
// which firings were missed since it last ran, and starts firing.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{
		gate: c.Gate, clock: c.Clock, endpoint: strings.TrimSuffix(c.Endpoint, "/"), client: c.Client, credentials: c.Credentials,
		region: c.Region, account: c.Account, maxRules: c.MaxRules, events: c.Events, store: store{c.Bucket},
		rules: make(map[string]*ruleState),
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
	s.Handler = awshttp.Protocol{Gate: c.Gate, Service: "events", MaxBody: maxRequest, InternalCode: "InternalException"}.JSON("1.1", "AWSEvents", "", s.operations())
	rules, err := s.store.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("schedules: %w", err)
	}
	through, err := s.store.through(ctx)
	if err != nil {
		return nil, fmt.Errorf("schedules: %w", err)
	}
	now := s.clock.Now()
	for _, r := range rules {
		state := &ruleState{index: -1}
		if err := s.set(state, r, now); err != nil {
			return nil, fmt.Errorf("schedules: rule %s in the store: %w", r.Name, err)
		}
		s.rules[r.Name] = state
		since := through
		if r.Anchor.After(since) {
			since = r.Anchor
		}
		if n := state.expression.Count(r.Anchor, since, now); n > 0 && r.State == Enabled {
			s.missed(r.Name, n)
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(s.run)
	return s, nil
}

// Close stops firing and waits until every delivery has ended; those on their
// way are cut off.
func (s *Service) Close() error {
	s.cancel()
	s.wg.Wait()
	return s.store.putThrough(context.WithoutCancel(s.ctx), s.clock.Now())
}

func (s *Service) missed(rule string, n int) {
	if s.events.Missed != nil {
		s.events.Missed(rule, n)
	}
}

// Rules returns every rule, by name.
func (s *Service) Rules() []RuleInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]RuleInfo, 0, len(s.rules))
	for _, state := range s.rules {
		r := state.rule
		info := RuleInfo{Name: r.Name, ARN: r.ARN, State: r.State, ScheduleExpression: r.ScheduleExpression}
		if state.index >= 0 {
			info.Next = state.due
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b RuleInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Errors of Fire, to be tested with errors.Is.
var (
	// ErrNoRule says that there is no such rule.
	ErrNoRule = errors.New("schedules: no such rule")
	// ErrNoTargets says that the rule has nothing to invoke.
	ErrNoTargets = errors.New("schedules: the rule has no targets")
)

// Fire invokes the targets of a rule now, whether it is enabled or not, once
// each, and returns what failed. The rule is given by name or ARN.
func (s *Service) Fire(ctx context.Context, nameOrARN string) error {
	name := nameOrARN
	if strings.HasPrefix(name, "arn:") {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	r, ok := s.rule(name)
	if !ok || name != nameOrARN && r.ARN != nameOrARN {
		return fmt.Errorf("%w: %s", ErrNoRule, nameOrARN)
	}
	if len(r.Targets) == 0 {
		return fmt.Errorf("%w: %s", ErrNoTargets, r.Name)
	}
	id, now := awshttp.NewRequestID(), s.clock.Now()
	var errs []error
	for _, t := range r.Targets {
		f := s.invoke(ctx, r, t, s.payload(r, t, id, now))
		f.Manual, f.Attempt = true, 1
		s.fired(f)
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("target %s (%s): %w", t.ID, t.ARN, f.Err))
		}
	}
	return errors.Join(errs...)
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
		state = &ruleState{index: -1}
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
	if err := s.store.put(ctx, r); err != nil {
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
	if err := s.store.delete(ctx, name); err != nil {
		return err
	}
	delete(s.rules, name)
	s.queue.drop(state)
	return nil
}
