package schedules

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tidegate/internal/awshttp"
)

func (s *Service) groupARN(group string) string {
	return "arn:aws:scheduler:" + s.region + ":" + s.account + ":schedule-group/" + group
}

func (s *Service) scheduleARN(group, name string) string {
	return "arn:aws:scheduler:" + s.region + ":" + s.account + ":schedule/" + group + "/" + name
}

// loadSchedules reads schedules and groups and returns what was missed.
func (s *Service) loadSchedules(ctx context.Context, through, now time.Time) (misses []Miss, err error) {
	groups, err := s.store.groups(ctx)
	if err != nil {
		return nil, err
	}
	// The group default was there before anybody made one.
	s.groups[defaultGroup] = &Group{Name: defaultGroup, ARN: s.groupARN(defaultGroup), Created: time.Unix(0, 0).UTC(), Modified: time.Unix(0, 0).UTC()}
	for _, g := range groups {
		s.groups[g.Name] = g
	}
	all, err := s.store.schedules(ctx)
	if err != nil {
		return nil, err
	}
	for _, sc := range all {
		state, err := s.newScheduleState(sc)
		if err != nil {
			return nil, fmt.Errorf("schedule %s/%s in the store: %w", sc.Group, sc.Name, err)
		}
		s.schedules[scheduleKey{sc.Group, sc.Name}] = state
		if sc.State != Enabled || sc.Done {
			continue
		}
		if state.timing.expression.Once() {
			s.queueSchedule(state, now) // late, should it be due by now
			continue
		}
		since := through
		if sc.Anchor.After(since) {
			since = sc.Anchor.Add(-1)
		}
		if n := state.timing.count(since, now); n > 0 {
			misses = append(misses, Miss{Schedule: sc.Group + "/" + sc.Name, Count: n})
		}
		s.queueSchedule(state, now)
	}
	return misses, nil
}

func (s *Service) newScheduleState(sc *Schedule) (*scheduleState, error) {
	t, err := newTiming(sc, &s.zones)
	if err != nil {
		return nil, err
	}
	st := &scheduleState{alarm: alarm{index: -1}, schedule: sc, timing: t}
	st.owner = st
	return st, nil
}

// queueSchedule places the schedule's next firing after the given time. One
// that fires once does so even late.
func (s *Service) queueSchedule(st *scheduleState, after time.Time) {
	var due time.Time
	switch {
	case st.schedule.State != Enabled || st.schedule.Done:
		st.moment = time.Time{}
	case st.timing.expression.Once():
		st.moment = st.timing.next(time.Time{})
		due = st.moment.Add(st.timing.delay(st.moment))
	default:
		st.moment, due = st.timing.pending(after)
	}
	s.queue.place(&st.alarm, due)
}

// startSchedule fires what is due, and tells what isn't made up for.
func (s *Service) startSchedule(d due) {
	sc := d.schedule
	missed := d.missed
	if d.tooLate {
		missed++
	}
	if missed > 0 {
		s.missed(Miss{Schedule: sc.Group + "/" + sc.Name, Count: missed})
	}
	if d.tooLate {
		if d.last {
			s.wg.Go(func() { s.complete(sc) })
		}
		return
	}
	ship := s.scheduleDelivery(sc, firingID(sc.ARN, sc.Anchor, d.at), d.at)
	if late := s.clock.Now().Sub(d.at) - time.Duration(sc.Window)*time.Minute; late >= time.Minute {
		ship.firing.Late = late // AWS promises the minute
	}
	if d.last {
		ship.done = func() { s.complete(sc) }
	}
	s.wg.Go(func() { s.deliver(ship) })
}

// complete ends a schedule whose last firing was made: it is deleted when its
// ActionAfterCompletion says so, else it stays and fires no more.
func (s *Service) complete(sc *Schedule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := scheduleKey{sc.Group, sc.Name}
	state, ok := s.schedules[key]
	if !ok || !state.schedule.Created.Equal(sc.Created) || !state.schedule.Anchor.Equal(sc.Anchor) {
		return // deleted or changed meanwhile
	}
	var err error
	if state.schedule.ActionAfterCompletion == actionDelete {
		err = s.dropSchedule(s.ctx, key)
	} else {
		done := state.schedule.clone()
		done.Done = true
		if err = s.store.putSchedule(s.ctx, done); err == nil {
			state.schedule = done
		}
	}
	if err != nil && s.ctx.Err() == nil && s.events.Failed != nil {
		s.events.Failed(err)
	}
}

// dropSchedule deletes a schedule. s.mu is held.
func (s *Service) dropSchedule(ctx context.Context, key scheduleKey) error {
	if err := s.store.delete(ctx, scheduleKeyOf(key.group, key.name)); err != nil {
		return err
	}
	s.queue.drop(&s.schedules[key].alarm)
	delete(s.schedules, key)
	return nil
}

// putSchedule stores what change makes of the schedule of that key; change gets
// nil when there is none. The same schedule again changes nothing.
func (s *Service) putSchedule(ctx context.Context, key scheduleKey, change func(*Schedule) (*Schedule, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.groups[key.group]; !ok {
		return noSuchGroup(key.group)
	}
	old, exists := s.schedules[key]
	var before *Schedule
	if exists {
		before = old.schedule
	}
	sc, err := change(before)
	if err != nil || sc == before {
		return err
	}
	if !exists && len(s.schedules) >= s.maxSchedules {
		return schedulerError(http.StatusPaymentRequired, "ServiceQuotaExceededException", "The number of schedules is over the quota of %d.", s.maxSchedules)
	}
	state, err := s.newScheduleState(sc)
	if err != nil {
		return err // unreachable: the API read it before
	}
	if err := s.store.putSchedule(ctx, sc); err != nil {
		return err
	}
	s.roles.forget(sc.Target.RoleARN, sc.Group)
	if exists && sc.sameTiming(old.schedule) {
		// What is due this moment isn't lost.
		old.schedule, old.timing = sc, state.timing
		return nil
	}
	if exists {
		s.queue.drop(&old.alarm)
	}
	s.schedules[key] = state
	s.queueSchedule(state, sc.Anchor.Add(-1))
	s.poke()
	return nil
}

// sameTiming reports whether two versions of a schedule fire alike.
func (sc *Schedule) sameTiming(o *Schedule) bool {
	return sc.Expression == o.Expression && sc.Timezone == o.Timezone && sc.Start.Equal(o.Start) && sc.End.Equal(o.End) &&
		sc.State == o.State && sc.Window == o.Window && sc.Anchor.Equal(o.Anchor) && sc.Done == o.Done
}

// Schedules returns every schedule, by group and name.
func (s *Service) Schedules() []Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Info, 0, len(s.schedules))
	for _, state := range s.schedules {
		sc := state.schedule
		info := Info{Name: sc.Group + "/" + sc.Name, ARN: sc.ARN, State: sc.State, ScheduleExpression: sc.Expression}
		if state.index >= 0 {
			info.Next = state.due
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// universalInvoke is the universal target that is Lambda's Invoke: Input holds
// the call's parameters.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
const universalInvoke = "arn:aws:scheduler:::aws-sdk:lambda:invoke"

// An invokeInput is the Input of universalInvoke.
type invokeInput struct {
	FunctionName   string
	InvocationType string
	Qualifier      string
	ClientContext  string
	Payload        json.RawMessage // a string; taken as it is when it is another JSON value
}

// parseInvokeInput reads the Input of a universal target.
func parseInvokeInput(input string) (*invokeInput, error) {
	var in invokeInput
	dec := json.NewDecoder(strings.NewReader(input))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("the Input of %s is a JSON object with FunctionName, and if wanted InvocationType, Payload, Qualifier and ClientContext: %w", universalInvoke, err)
	}
	if in.FunctionName == "" {
		return nil, fmt.Errorf("the Input of %s has no FunctionName", universalInvoke)
	}
	switch in.InvocationType {
	case "":
		in.InvocationType = "RequestResponse"
	case "Event", "RequestResponse", "DryRun":
	default:
		return nil, fmt.Errorf("the InvocationType in the Input of %s is Event, RequestResponse or DryRun, not %.50q", universalInvoke, in.InvocationType)
	}
	return &in, nil
}

// payload is what the function gets.
func (in *invokeInput) payload() []byte {
	var text string
	if json.Unmarshal(in.Payload, &text) == nil {
		return []byte(text)
	}
	return bytes.TrimSpace(in.Payload)
}

// scheduleDelivery is the delivery of a schedule's firing, made with its role.
func (s *Service) scheduleDelivery(sc *Schedule, id string, at time.Time) delivery {
	return delivery{
		firing: Firing{Schedule: sc.Group + "/" + sc.Name, ARN: sc.ARN, Target: sc.function(), Due: at},
		retry:  sc.Target.Retry, deadLetter: sc.Target.DeadLetter,
		invocation: func(ctx context.Context, attempt int) (invocation, error) {
			keys, err := s.roles.get(ctx, sc.Target.RoleARN, sc.Group)
			if err != nil {
				return invocation{}, err
			}
			in := invocation{function: sc.Target.ARN, kind: "Event", credentials: keys}
			if keys.AccessKeyID == s.roles.credentials.AccessKeyID {
				in.sourceARN = sc.ARN
			}
			text := sc.input(id, at, attempt)
			switch {
			case sc.Target.ARN == universalInvoke:
				u, err := parseInvokeInput(text)
				if err != nil {
					return invocation{}, &refusal{service: "Scheduler", status: http.StatusBadRequest, code: "ValidationException", message: err.Error()}
				}
				in.function, in.kind, in.qualifier, in.client, in.payload = u.FunctionName, u.InvocationType, u.Qualifier, u.ClientContext, u.payload()
			case text != "":
				in.payload = []byte(text)
			default:
				in.payload, err = json.Marshal(scheduledTask{
					Version: "0", ID: id, DetailType: "Scheduled Event", Source: "aws.scheduler", Account: s.account,
					Time: at.UTC().Format(time.RFC3339), Region: s.region, Resources: []string{sc.ARN}, Detail: "{}",
				})
			}
			return in, err
		},
	}
}

// function is what the schedule invokes, for people to read.
func (sc *Schedule) function() string {
	if sc.Target.ARN == universalInvoke {
		if in, err := parseInvokeInput(sc.Target.Input); err == nil {
			return in.FunctionName
		}
	}
	return sc.Target.ARN
}

// input is the target's Input with its context attributes filled in.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
func (sc *Schedule) input(id string, at time.Time, attempt int) string {
	if !strings.Contains(sc.Target.Input, "<aws.scheduler.") {
		return sc.Target.Input
	}
	return strings.NewReplacer(
		"<aws.scheduler.schedule-arn>", sc.ARN,
		"<aws.scheduler.scheduled-time>", at.UTC().Format(time.RFC3339),
		"<aws.scheduler.execution-id>", id,
		"<aws.scheduler.attempt-number>", fmt.Sprint(attempt),
	).Replace(sc.Target.Input)
}

func schedulerError(status int, code, format string, args ...any) *awshttp.Error {
	e := awshttp.Errorf(status, code, format, args...)
	e.MessageKey = "Message"
	return e
}

func noSuchSchedule(name string) error {
	return schedulerError(http.StatusNotFound, "ResourceNotFoundException", "Schedule %s does not exist.", name)
}

func noSuchGroup(name string) error {
	return schedulerError(http.StatusNotFound, "ResourceNotFoundException", "Schedule group %s does not exist.", name)
}
