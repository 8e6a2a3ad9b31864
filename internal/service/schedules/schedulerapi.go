package schedules

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/awshttp"
)

// The wire structs keep EventBridge Scheduler's spelling.
// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html

// seconds is a moment as rest-json writes it: seconds since 1970.
type seconds struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(s.UnixMilli())/1000, 'f', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *seconds) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1e11 {
		return fmt.Errorf("%s is no time in seconds since 1970", b)
	}
	s.Time = time.UnixMilli(int64(math.Round(f * 1000))).UTC()
	return nil
}

// moment returns nil for no moment.
func moment(t time.Time) *seconds {
	if t.IsZero() {
		return nil
	}
	return &seconds{t}
}

func (s *seconds) time() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.Time
}

type windowJSON struct {
	Mode                   string
	MaximumWindowInMinutes *int `json:",omitempty"`
}

type deadLetterJSON struct {
	Arn string `json:",omitempty"`
}

type scheduleTargetJSON struct {
	Arn              string
	RoleArn          string
	Input            string          `json:",omitempty"`
	RetryPolicy      *RetryPolicy    `json:",omitempty"`
	DeadLetterConfig *deadLetterJSON `json:",omitempty"`

	// What other targets need, refused by name.
	EcsParameters               json.RawMessage `json:",omitempty"`
	EventBridgeParameters       json.RawMessage `json:",omitempty"`
	KinesisParameters           json.RawMessage `json:",omitempty"`
	SageMakerPipelineParameters json.RawMessage `json:",omitempty"`
	SqsParameters               json.RawMessage `json:",omitempty"`
}

// scheduleJSON is what CreateSchedule and UpdateSchedule take and GetSchedule
// answers.
type scheduleJSON struct {
	Name                       string              `json:",omitempty"`
	Arn                        string              `json:",omitempty"` // answered only
	GroupName                  string              `json:",omitempty"`
	Description                string              `json:",omitempty"`
	ScheduleExpression         string              `json:",omitempty"`
	ScheduleExpressionTimezone string              `json:",omitempty"`
	StartDate                  *seconds            `json:",omitempty"`
	EndDate                    *seconds            `json:",omitempty"`
	State                      string              `json:",omitempty"`
	FlexibleTimeWindow         *windowJSON         `json:",omitempty"`
	Target                     *scheduleTargetJSON `json:",omitempty"`
	KmsKeyArn                  string              `json:",omitempty"`
	ActionAfterCompletion      string              `json:",omitempty"`
	ClientToken                string              `json:",omitempty"` // taken only
	CreationDate               *seconds            `json:",omitempty"` // answered only
	LastModificationDate       *seconds            `json:",omitempty"` // answered only
}

type scheduleSummary struct {
	Arn, Name, GroupName               string
	State                              State
	CreationDate, LastModificationDate *seconds
	Target                             struct{ Arn string }
}

type groupJSON struct {
	Arn, Name, State                   string
	CreationDate, LastModificationDate *seconds
}

// schedulerHandler serves the operations by method and path.
func (s *Service) schedulerHandler() http.Handler {
	protocol := awshttp.Protocol{Gate: s.gate, Service: "scheduler", MaxBody: maxRequest, InternalCode: "InternalServerException"}
	return protocol.REST(func(c *awshttp.Call) (any, error) {
		path := c.Request.URL.EscapedPath()
		resource, escaped, has := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		name, err := url.PathUnescape(escaped)
		if err != nil {
			return nil, badSchedule("the path %s could not be read", path)
		}
		if op := s.schedulerOperation(c.Request.Method, resource, name, has); op != nil {
			v, err := op(c, name)
			var e *awshttp.Error
			if errors.As(err, &e) && e.MessageKey == "" {
				renamed := *e
				renamed.MessageKey = "Message"
				err = &renamed
			}
			return v, err
		}
		return nil, schedulerError(http.StatusNotFound, "UnknownOperationException", "Tidegate's scheduler has no %s %s", c.Request.Method, path)
	})
}

type namedOperation func(c *awshttp.Call, name string) (any, error)

// schedulerOperation returns nil when there is no such operation.
func (s *Service) schedulerOperation(method, resource, name string, named bool) namedOperation {
	switch key := method + " " + resource; {
	case !named || name == "":
		switch key {
		case "GET schedules":
			return s.listSchedules
		case "GET schedule-groups":
			return s.listScheduleGroups
		}
	default:
		return map[string]namedOperation{
			"POST schedules": s.createSchedule, "GET schedules": s.getSchedule, "PUT schedules": s.updateSchedule, "DELETE schedules": s.deleteSchedule,
			"POST schedule-groups": s.createScheduleGroup, "GET schedule-groups": s.getScheduleGroup, "DELETE schedule-groups": s.deleteScheduleGroup,
			"POST tags": s.tagGroup, "GET tags": s.listGroupTags, "DELETE tags": s.untagGroup,
		}[key]
	}
	return nil
}

func badSchedule(format string, args ...any) error {
	return schedulerError(http.StatusBadRequest, "ValidationException", format, args...)
}

func badMember(member, value, want string) error {
	return badSchedule("1 validation error detected: Value '%.100s' at '%s' failed to satisfy constraint: %s", value, member, want)
}

func decodeSchedule(c *awshttp.Call, v any) error {
	dec := json.NewDecoder(bytes.NewReader(c.Body))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil || errors.Is(err, io.EOF) && len(bytes.TrimSpace(c.Body)) == 0 {
		return nil
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return badSchedule("Tidegate's scheduler doesn't know the parameter %s", field)
	}
	return badSchedule("the request's JSON could not be read: %v", err)
}

// checkNames checks a schedule's or group's name, and the group of a schedule.
func checkNames(names ...string) error {
	for i, name := range names {
		if name == "" || len(name) > maxName || !namePattern.MatchString(name) {
			return badMember([]string{"name", "groupName"}[i], name, `Member must have length between 1 and 64 and satisfy regular expression pattern: ^[0-9a-zA-Z-_.]+$`)
		}
	}
	return nil
}

func checkToken(token string) error {
	if token != "" && !tokenPattern.MatchString(token) {
		return badMember("clientToken", token, `Member must have length between 1 and 64 and satisfy regular expression pattern: ^[a-zA-Z0-9-_]+$`)
	}
	return nil
}

// schedule checks what CreateSchedule and UpdateSchedule take and returns the
// schedule that it describes.
func (s *Service) schedule(c *awshttp.Call, action, name string) (*Schedule, error) {
	var in scheduleJSON
	if err := decodeSchedule(c, &in); err != nil {
		return nil, err
	}
	group := cmp.Or(in.GroupName, defaultGroup)
	if err := errors.Join(checkNames(name, group), checkToken(in.ClientToken)); err != nil {
		return nil, err
	}
	if err := c.Authorize("scheduler:"+action, s.scheduleARN(group, name)); err != nil {
		return nil, err
	}
	if err := in.check(s); err != nil {
		return nil, err
	}
	if err := c.AuthorizePassRole(in.Target.RoleArn, schedulerPrincipal); err != nil {
		return nil, err
	}
	now := s.clock.Now().UTC()
	sc := &Schedule{
		Name: name, Group: group, ARN: s.scheduleARN(group, name), Description: in.Description, Expression: in.ScheduleExpression,
		Timezone: in.ScheduleExpressionTimezone, Start: in.StartDate.time(), End: in.EndDate.time(), State: State(cmp.Or(in.State, string(Enabled))),
		ActionAfterCompletion: cmp.Or(in.ActionAfterCompletion, actionNone), KMSKey: in.KmsKeyArn, Token: in.ClientToken,
		Target:  &ScheduleTarget{ARN: in.Target.Arn, RoleARN: in.Target.RoleArn, Input: in.Target.Input, Retry: in.Target.RetryPolicy},
		Created: now, Modified: now, Anchor: now.Truncate(time.Second),
	}
	if in.FlexibleTimeWindow.MaximumWindowInMinutes != nil {
		sc.Window = *in.FlexibleTimeWindow.MaximumWindowInMinutes
	}
	if d := in.Target.DeadLetterConfig; d != nil {
		sc.Target.DeadLetter = d.Arn
	}
	hash := sha256.Sum256(c.Body)
	sc.TokenHash = hex.EncodeToString(hash[:12])
	// Role and target are checked as AWS does, where it enforces: the role must
	// let Scheduler in before there is a schedule.
	if s.gate.Mode == awshttp.Enforce {
		s.roles.forget(sc.Target.RoleARN, group)
		var refused *refusal
		if _, err := s.roles.get(c.Context(), sc.Target.RoleARN, group); errors.As(err, &refused) && !refused.temporary() {
			return nil, badSchedule("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
		}
	}
	return sc, nil
}

// check refuses what AWS refuses, and by name what Tidegate can't run.
func (in *scheduleJSON) check(s *Service) error {
	switch {
	case in.ScheduleExpression == "" || len(in.ScheduleExpression) > maxExpression:
		return badMember("scheduleExpression", in.ScheduleExpression, fmt.Sprintf("Member must have length between 1 and %d", maxExpression))
	case len(in.Description) > maxDescription:
		return badMember("description", in.Description, fmt.Sprintf("Member must have length less than or equal to %d", maxDescription))
	case len(in.KmsKeyArn) > 2048:
		return badMember("kmsKeyArn", in.KmsKeyArn, "Member must have length less than or equal to 2048")
	case in.State != "" && State(in.State) != Enabled && State(in.State) != Disabled:
		return badMember("state", in.State, "Member must satisfy enum value set: [ENABLED, DISABLED]")
	case in.ActionAfterCompletion != "" && in.ActionAfterCompletion != actionNone && in.ActionAfterCompletion != actionDelete:
		return badMember("actionAfterCompletion", in.ActionAfterCompletion, "Member must satisfy enum value set: [NONE, DELETE]")
	case in.FlexibleTimeWindow == nil:
		return badMember("flexibleTimeWindow", "null", "Member must not be null")
	case in.Target == nil:
		return badMember("target", "null", "Member must not be null")
	}
	if err := in.FlexibleTimeWindow.check(); err != nil {
		return err
	}
	expression, err := ParseSchedule(in.ScheduleExpression)
	if err != nil {
		e := schedulerError(http.StatusBadRequest, "ValidationException", "Invalid Schedule Expression %s.", in.ScheduleExpression)
		e.Fields = map[string]any{"Reason": err.Error()}
		return e
	}
	if _, err := s.zones.load(in.ScheduleExpressionTimezone); err != nil {
		return badSchedule("Invalid ScheduleExpressionTimezone: %v.", err)
	}
	if !expression.Once() { // which has no bounds
		now := s.clock.Now()
		switch start, end := in.StartDate.time(), in.EndDate.time(); {
		case !start.IsZero() && start.Before(now.Add(-5*time.Minute)):
			return badSchedule("The StartDate you specify cannot be earlier than 5 minutes ago.")
		case !end.IsZero() && end.Before(now):
			return badSchedule("The EndDate you specify cannot be earlier than now.")
		case !end.IsZero() && end.Before(start):
			return badSchedule("The StartDate you specify must come before the EndDate.")
		}
	}
	return in.Target.check()
}

func (w *windowJSON) check() error {
	n := w.MaximumWindowInMinutes
	switch {
	case w.Mode == "OFF" && n != nil:
		return badSchedule("MaximumWindowInMinutes must not be specified when the Mode of FlexibleTimeWindow is OFF.")
	case w.Mode == "FLEXIBLE" && n == nil:
		return badSchedule("MaximumWindowInMinutes must be specified when the Mode of FlexibleTimeWindow is FLEXIBLE.")
	case w.Mode != "OFF" && w.Mode != "FLEXIBLE":
		return badMember("flexibleTimeWindow.mode", w.Mode, "Member must satisfy enum value set: [OFF, FLEXIBLE]")
	case n != nil && (*n < 1 || *n > maxWindow):
		return badMember("flexibleTimeWindow.maximumWindowInMinutes", fmt.Sprint(*n), fmt.Sprintf("Member must have value between 1 and %d", maxWindow))
	}
	return nil
}

func (t *scheduleTargetJSON) check() error {
	switch {
	case t.Arn == "" || len(t.Arn) > maxARN:
		return badMember("target.arn", t.Arn, fmt.Sprintf("Member must have length between 1 and %d", maxARN))
	case len(t.RoleArn) > maxARN || !rolePattern.MatchString(t.RoleArn):
		return badMember("target.roleArn", t.RoleArn, `Member must satisfy regular expression pattern: ^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@\/-]+$`)
	case len(t.Input) > maxScheduleInput:
		return badMember("target.input", t.Input, fmt.Sprintf("Member must have length less than or equal to %d", maxScheduleInput))
	}
	parts := strings.SplitN(t.Arn, ":", 6)
	switch {
	case len(parts) < 6 || parts[0] != "arn":
		return badSchedule("Provided Arn is not in correct format.")
	case t.Arn == universalInvoke:
		if _, err := parseInvokeInput(t.Input); err != nil {
			return badSchedule("Invalid RequestJson provided. Reason %v", err)
		}
	case strings.HasPrefix(t.Arn, "arn:aws:scheduler:::aws-sdk:"):
		return badSchedule("Tidegate can't run the universal target %s: it has %s only", t.Arn, universalInvoke)
	case !lambdaPattern.MatchString(t.Arn):
		return badSchedule("Tidegate can't run the target %s, of service %s: its schedules invoke Lambda functions only (arn:aws:lambda:REGION:ACCOUNT:function:NAME)", t.Arn, parts[2])
	}
	for _, p := range []struct {
		name  string
		value json.RawMessage
	}{
		{"EcsParameters", t.EcsParameters}, {"EventBridgeParameters", t.EventBridgeParameters}, {"KinesisParameters", t.KinesisParameters},
		{"SageMakerPipelineParameters", t.SageMakerPipelineParameters}, {"SqsParameters", t.SqsParameters},
	} {
		if len(p.value) > 0 && string(p.value) != "null" {
			return badSchedule("The target has %s, which is for another kind of target than a Lambda function.", p.name)
		}
	}
	if p := t.RetryPolicy; p != nil {
		if n := p.MaximumRetryAttempts; n != nil && (*n < 0 || *n > defaultRetries) {
			return badMember("target.retryPolicy.maximumRetryAttempts", fmt.Sprint(*n), "Member must have value between 0 and 185")
		}
		if n := p.MaximumEventAgeInSeconds; n != nil && (*n < 60 || *n > 86400) {
			return badMember("target.retryPolicy.maximumEventAgeInSeconds", fmt.Sprint(*n), "Member must have value between 60 and 86400")
		}
	}
	return nil
}

func (s *Service) createSchedule(c *awshttp.Call, name string) (any, error) {
	sc, err := s.schedule(c, "CreateSchedule", name)
	if err != nil {
		return nil, err
	}
	err = s.putSchedule(c.Context(), scheduleKey{sc.Group, name}, func(old *Schedule) (*Schedule, error) {
		switch {
		case old == nil:
			return sc, nil
		case sc.Token != "" && sc.Token == old.Token && sc.TokenHash == old.TokenHash:
			return old, nil // the same call again
		}
		return nil, schedulerError(http.StatusConflict, "ConflictException", "Schedule %s already exists.", name)
	})
	if err != nil {
		return nil, err
	}
	return struct{ ScheduleArn string }{sc.ARN}, nil
}

func (s *Service) updateSchedule(c *awshttp.Call, name string) (any, error) {
	sc, err := s.schedule(c, "UpdateSchedule", name)
	if err != nil {
		return nil, err
	}
	err = s.putSchedule(c.Context(), scheduleKey{sc.Group, name}, func(old *Schedule) (*Schedule, error) {
		if old == nil {
			return nil, noSuchSchedule(name)
		}
		sc.Created, sc.Token, sc.TokenHash = old.Created, old.Token, old.TokenHash
		anchor := sc.Anchor
		sc.Anchor, sc.Done = old.Anchor, old.Done
		if !sc.sameTiming(old) {
			sc.Anchor, sc.Done = anchor, false
		}
		return sc, nil
	})
	if err != nil {
		return nil, err
	}
	return struct{ ScheduleArn string }{sc.ARN}, nil
}

// of returns the group and the ARN of the schedule that a GET or DELETE means,
// once the caller may do the action on it.
func (s *Service) of(c *awshttp.Call, action, name string) (scheduleKey, error) {
	q := c.Request.URL.Query()
	key := scheduleKey{cmp.Or(q.Get("groupName"), defaultGroup), name}
	if err := errors.Join(checkNames(name, key.group), checkToken(q.Get("clientToken"))); err != nil {
		return key, err
	}
	return key, c.Authorize("scheduler:"+action, s.scheduleARN(key.group, name))
}

func (s *Service) getSchedule(c *awshttp.Call, name string) (any, error) {
	key, err := s.of(c, "GetSchedule", name)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	state, ok := s.schedules[key]
	if !ok {
		return nil, noSuchSchedule(name)
	}
	sc := state.schedule
	out := scheduleJSON{
		Name: sc.Name, Arn: sc.ARN, GroupName: sc.Group, Description: sc.Description, ScheduleExpression: sc.Expression,
		ScheduleExpressionTimezone: cmp.Or(sc.Timezone, "UTC"), StartDate: moment(sc.Start), EndDate: moment(sc.End), State: string(sc.State),
		FlexibleTimeWindow: &windowJSON{Mode: "OFF"}, KmsKeyArn: sc.KMSKey, ActionAfterCompletion: sc.ActionAfterCompletion,
		CreationDate: moment(sc.Created), LastModificationDate: moment(sc.Modified),
		Target: &scheduleTargetJSON{Arn: sc.Target.ARN, RoleArn: sc.Target.RoleARN, Input: sc.Target.Input, RetryPolicy: sc.Target.Retry.shown()},
	}
	if sc.Window > 0 {
		out.FlexibleTimeWindow = &windowJSON{Mode: "FLEXIBLE", MaximumWindowInMinutes: &sc.Window}
	}
	if sc.Target.DeadLetter != "" {
		out.Target.DeadLetterConfig = &deadLetterJSON{sc.Target.DeadLetter}
	}
	return out, nil
}

// shown is a retry policy with AWS's defaults in the place of what isn't given,
// as GetSchedule shows it.
func (p *RetryPolicy) shown() *RetryPolicy {
	retries, age := p.retries(), int(p.age()/time.Second)
	return &RetryPolicy{MaximumRetryAttempts: &retries, MaximumEventAgeInSeconds: &age}
}

func (s *Service) deleteSchedule(c *awshttp.Call, name string) (any, error) {
	key, err := s.of(c, "DeleteSchedule", name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.schedules[key]; !ok {
		return nil, noSuchSchedule(name)
	}
	if err := s.dropSchedule(c.Context(), key); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// page cuts a sorted list as MaxResults (100 unless given) and NextToken say.
func page[T any](q url.Values, items []T, key func(T) string) ([]T, string, error) {
	var limit *int
	if text := q.Get("MaxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return nil, "", badMember("maxResults", text, "Member must have value between 1 and 100")
		}
		limit = &n
	}
	items, token, err := paginate(items, limit, q.Get("NextToken"), key)
	if err != nil {
		return nil, "", badSchedule("Invalid NextToken.")
	}
	return items, token, nil
}

func (s *Service) listSchedules(c *awshttp.Call, _ string) (any, error) {
	q := c.Request.URL.Query()
	group, prefix, state := q.Get("ScheduleGroup"), q.Get("NamePrefix"), State(q.Get("State"))
	if state != "" && state != Enabled && state != Disabled {
		return nil, badMember("state", string(state), "Member must satisfy enum value set: [ENABLED, DISABLED]")
	}
	if err := c.Authorize("scheduler:ListSchedules", s.scheduleARN(cmp.Or(group, "*"), "*")); err != nil {
		return nil, err
	}
	s.mu.RLock()
	_, known := s.groups[group]
	var all []*Schedule
	for _, st := range s.schedules {
		if sc := st.schedule; (group == "" || sc.Group == group) && strings.HasPrefix(sc.Name, prefix) && (state == "" || sc.State == state) {
			all = append(all, sc)
		}
	}
	s.mu.RUnlock()
	if group != "" && !known {
		return nil, noSuchGroup(group)
	}
	// "/" sorts before all that names hold but "-" and "."; a byte that none holds
	// keeps groups apart.
	key := func(sc *Schedule) string { return sc.Group + "\x00" + sc.Name }
	slices.SortFunc(all, func(a, b *Schedule) int { return strings.Compare(key(a), key(b)) })
	all, token, err := page(q, all, key)
	if err != nil {
		return nil, err
	}
	out := struct {
		Schedules []scheduleSummary
		NextToken string `json:",omitempty"`
	}{make([]scheduleSummary, len(all)), token}
	for i, sc := range all {
		out.Schedules[i] = scheduleSummary{Arn: sc.ARN, Name: sc.Name, GroupName: sc.Group, State: sc.State,
			CreationDate: moment(sc.Created), LastModificationDate: moment(sc.Modified), Target: struct{ Arn string }{sc.Target.ARN}}
	}
	return out, nil
}

func (s *Service) createScheduleGroup(c *awshttp.Call, name string) (any, error) {
	var in struct {
		Name, ClientToken string
		Tags              []tagJSON
	}
	if err := decodeSchedule(c, &in); err != nil {
		return nil, err
	}
	if err := errors.Join(checkNames(name), checkToken(in.ClientToken), checkTags(in.Tags)); err != nil {
		return nil, err
	}
	if err := c.Authorize("scheduler:CreateScheduleGroup", s.groupARN(name)); err != nil {
		return nil, err
	}
	if name == defaultGroup {
		return nil, notOnDefault()
	}
	answer := struct{ ScheduleGroupArn string }{s.groupARN(name)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, exists := s.groups[name]; exists {
		if in.ClientToken != "" && in.ClientToken == old.Token {
			return answer, nil // the same call again
		}
		return nil, schedulerError(http.StatusConflict, "ConflictException", "Schedule group %s already exists.", name)
	}
	if len(s.groups) >= maxGroups {
		return nil, schedulerError(http.StatusPaymentRequired, "ServiceQuotaExceededException", "The number of schedule groups is over the quota of %d.", maxGroups)
	}
	now := s.clock.Now().UTC()
	g := &Group{Name: name, ARN: s.groupARN(name), Created: now, Modified: now, Tags: tagMap(in.Tags), Token: in.ClientToken}
	if err := s.store.putGroup(c.Context(), g); err != nil {
		return nil, err
	}
	s.groups[name] = g
	return answer, nil
}

func notOnDefault() error {
	return badSchedule("This operation cannot be performed on schedule group default.")
}

func (g *Group) json() groupJSON {
	return groupJSON{Arn: g.ARN, Name: g.Name, State: "ACTIVE", CreationDate: moment(g.Created), LastModificationDate: moment(g.Modified)}
}

func (s *Service) getScheduleGroup(c *awshttp.Call, name string) (any, error) {
	if err := checkNames(name); err != nil {
		return nil, err
	}
	if err := c.Authorize("scheduler:GetScheduleGroup", s.groupARN(name)); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, ok := s.groups[name]
	if !ok {
		return nil, noSuchGroup(name)
	}
	return g.json(), nil
}

// deleteScheduleGroup deletes the group with its schedules, at once: AWS takes
// its time, in which the group is DELETING.
func (s *Service) deleteScheduleGroup(c *awshttp.Call, name string) (any, error) {
	if err := errors.Join(checkNames(name), checkToken(c.Request.URL.Query().Get("clientToken"))); err != nil {
		return nil, err
	}
	if err := c.Authorize("scheduler:DeleteScheduleGroup", s.groupARN(name)); err != nil {
		return nil, err
	}
	if name == defaultGroup {
		return nil, notOnDefault()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.groups[name]; !ok {
		return nil, noSuchGroup(name)
	}
	for key := range s.schedules {
		if key.group == name {
			if err := s.dropSchedule(c.Context(), key); err != nil {
				return nil, err
			}
		}
	}
	if err := s.store.delete(c.Context(), groupPrefix+keyPart(name)); err != nil {
		return nil, err
	}
	delete(s.groups, name)
	return struct{}{}, nil
}

func (s *Service) listScheduleGroups(c *awshttp.Call, _ string) (any, error) {
	q := c.Request.URL.Query()
	if err := c.Authorize("scheduler:ListScheduleGroups", s.groupARN("*")); err != nil {
		return nil, err
	}
	s.mu.RLock()
	var all []*Group
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		if strings.HasPrefix(name, q.Get("NamePrefix")) {
			all = append(all, s.groups[name])
		}
	}
	s.mu.RUnlock()
	all, token, err := page(q, all, func(g *Group) string { return g.Name })
	if err != nil {
		return nil, err
	}
	out := struct {
		ScheduleGroups []groupJSON
		NextToken      string `json:",omitempty"`
	}{make([]groupJSON, len(all)), token}
	for i, g := range all {
		out.ScheduleGroups[i] = g.json()
	}
	return out, nil
}

func checkTags(tags []tagJSON) error {
	if len(tags) > maxTags {
		return badMember("tags", "", fmt.Sprintf("Member must have length less than or equal to %d", maxTags))
	}
	for _, t := range tags {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return badMember("tags.member.key", t.Key, "Member must have length between 1 and 128, its value at most 256")
		}
	}
	return nil
}

// changeTags stores the tags that change makes of a group's.
func (s *Service) changeTags(c *awshttp.Call, action, arn string, change func(map[string]string)) (any, error) {
	if err := c.Authorize("scheduler:"+action, arn); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.groupOf(arn)
	if err != nil {
		return nil, err
	}
	g := old.clone()
	if g.Tags == nil {
		g.Tags = make(map[string]string)
	}
	change(g.Tags)
	if len(g.Tags) > maxTags {
		return nil, schedulerError(http.StatusPaymentRequired, "ServiceQuotaExceededException", "A schedule group may have %d tags.", maxTags)
	}
	if err := s.store.putGroup(c.Context(), g); err != nil {
		return nil, err
	}
	s.groups[g.Name] = g
	return struct{}{}, nil
}

// groupOf returns the group of an ARN: only groups have tags. s.mu is held.
func (s *Service) groupOf(arn string) (*Group, error) {
	name, ok := strings.CutPrefix(arn, s.groupARN(""))
	if !ok {
		return nil, badSchedule("%s is not the ARN of a schedule group, which alone have tags.", arn)
	}
	g, ok := s.groups[name]
	if !ok {
		return nil, noSuchGroup(name)
	}
	return g, nil
}

func (s *Service) tagGroup(c *awshttp.Call, arn string) (any, error) {
	var in struct{ Tags []tagJSON }
	if err := decodeSchedule(c, &in); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return s.changeTags(c, "TagResource", arn, func(tags map[string]string) { maps.Copy(tags, tagMap(in.Tags)) })
}

func (s *Service) untagGroup(c *awshttp.Call, arn string) (any, error) {
	return s.changeTags(c, "UntagResource", arn, func(tags map[string]string) {
		for _, k := range c.Request.URL.Query()["TagKeys"] {
			delete(tags, k)
		}
	})
}

func (s *Service) listGroupTags(c *awshttp.Call, arn string) (any, error) {
	if err := c.Authorize("scheduler:ListTagsForResource", arn); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.groupOf(arn)
	if err != nil {
		return nil, err
	}
	tags := []tagJSON{}
	for _, k := range slices.Sorted(maps.Keys(g.Tags)) {
		tags = append(tags, tagJSON{k, g.Tags[k]})
	}
	return struct{ Tags []tagJSON }{tags}, nil
}
