package schedules

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tidegate/internal/awshttp"
)

// maxRequest bounds a request's body: 100 targets, each with its Input.
const maxRequest = 2 << 20

// The wire structs keep EventBridge's spelling.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html

type tagJSON struct{ Key, Value string }

type putRuleInput struct {
	Name, ScheduleExpression, EventPattern, State, Description, RoleArn, EventBusName string
	Tags                                                                              []tagJSON
}

type ruleJSON struct {
	Name               string
	Arn                string
	State              State
	Description        string `json:",omitempty"`
	ScheduleExpression string
	RoleArn            string `json:",omitempty"`
	EventBusName       string
	CreatedBy          string `json:",omitempty"` // DescribeRule only
}

type targetJSON struct {
	ID          string       `json:"Id"`
	Arn         string       `json:"Arn"`
	Input       string       `json:"Input,omitempty"`
	RetryPolicy *RetryPolicy `json:"RetryPolicy,omitempty"`

	InputPath        string            `json:",omitempty"`
	InputTransformer *InputTransformer `json:",omitempty"`
	DeadLetterConfig *deadLetterJSON   `json:",omitempty"`

	// What EventBridge knows and Tidegate doesn't, refused by name.
	RoleArn                     json.RawMessage `json:",omitempty"`
	KinesisParameters           json.RawMessage `json:",omitempty"`
	RunCommandParameters        json.RawMessage `json:",omitempty"`
	EcsParameters               json.RawMessage `json:",omitempty"`
	BatchParameters             json.RawMessage `json:",omitempty"`
	SqsParameters               json.RawMessage `json:",omitempty"`
	HTTPParameters              json.RawMessage `json:"HttpParameters,omitempty"`
	RedshiftDataParameters      json.RawMessage `json:",omitempty"`
	SageMakerPipelineParameters json.RawMessage `json:",omitempty"`
	AppSyncParameters           json.RawMessage `json:",omitempty"`
}

// nameInput is the input of the operations on one rule.
type nameInput struct {
	Name, EventBusName string
	Force              bool
}

type failedJSON struct {
	FailedEntryCount int
	FailedEntries    []struct{}
}

// noneFailed is the answer when every entry was taken: what is wrong with one
// refuses the whole call.
var noneFailed = failedJSON{FailedEntries: []struct{}{}}

// refusedOperations are EventBridge's that Tidegate hasn't; the answer names
// them.
const refusedOperations = "PutEvents TestEventPattern PutPermission RemovePermission PutPartnerEvents " +
	"CreateEventBus DeleteEventBus DescribeEventBus ListEventBuses UpdateEventBus " +
	"CreateArchive DeleteArchive DescribeArchive ListArchives UpdateArchive StartReplay CancelReplay DescribeReplay ListReplays " +
	"CreateApiDestination DeleteApiDestination DescribeApiDestination ListApiDestinations UpdateApiDestination " +
	"CreateConnection DeleteConnection DescribeConnection ListConnections UpdateConnection DeauthorizeConnection " +
	"CreateEndpoint DeleteEndpoint DescribeEndpoint ListEndpoints UpdateEndpoint"

func (s *Service) operations() map[string]awshttp.HandlerFunc {
	ops := map[string]awshttp.HandlerFunc{
		"PutRule":               s.putRule,
		"DescribeRule":          s.describeRule,
		"ListRules":             s.listRules,
		"EnableRule":            func(c *awshttp.Call) (any, error) { return s.setState(c, "EnableRule", Enabled) },
		"DisableRule":           func(c *awshttp.Call) (any, error) { return s.setState(c, "DisableRule", Disabled) },
		"DeleteRule":            s.deleteRule,
		"PutTargets":            s.putTargets,
		"RemoveTargets":         s.removeTargets,
		"ListTargetsByRule":     s.listTargetsByRule,
		"ListRuleNamesByTarget": s.listRuleNamesByTarget,
		"ListTagsForResource":   s.listTagsForResource,
		"TagResource":           s.tagResource,
		"UntagResource":         s.untagResource,
	}
	for _, name := range strings.Fields(refusedOperations) {
		ops[name] = func(*awshttp.Call) (any, error) {
			return nil, awshttp.Errorf(http.StatusBadRequest, "UnknownOperationException", "Tidegate's events has no %s: it has scheduled rules of the default event bus only", name)
		}
	}
	return ops
}

// decode reads the call's JSON; a member that the operation doesn't have is an
// error that names it.
func decode(c *awshttp.Call, v any) error {
	dec := json.NewDecoder(bytes.NewReader(c.Body))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil || errors.Is(err, io.EOF) && len(bytes.TrimSpace(c.Body)) == 0 {
		return nil
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid("Tidegate doesn't know the parameter %s", field)
	}
	return awshttp.Errorf(http.StatusBadRequest, "SerializationException", "the request's JSON could not be read: %v", err)
}

func invalid(format string, args ...any) error {
	return awshttp.Errorf(http.StatusBadRequest, "ValidationException", format, args...)
}

func constraint(member, value, want string) error {
	return invalid("1 validation error detected: Value '%.100s' at '%s' failed to satisfy constraint: %s", value, member, want)
}

func limitExceeded() error {
	return awshttp.Errorf(http.StatusBadRequest, "LimitExceededException", "The requested resource exceeds the maximum number allowed.")
}

func noSuchRule(name string) error {
	return awshttp.Errorf(http.StatusBadRequest, "ResourceNotFoundException", "Rule %s does not exist on EventBus default.", name)
}

func (s *Service) ruleARN(name string) string {
	return "arn:aws:events:" + s.region + ":" + s.account + ":rule/" + name
}

// isDefaultBus reports whether a bus, by name or ARN, is the default one.
func (s *Service) isDefaultBus(bus string) bool {
	return bus == "" || bus == "default" || bus == "arn:aws:events:"+s.region+":"+s.account+":event-bus/default"
}

// open checks the name of a rule and the bus, and that the caller may do the
// action on the rule.
func (s *Service) open(c *awshttp.Call, action, member, name, bus string) error {
	switch {
	case name == "" || len(name) > maxName:
		return constraint(member, name, fmt.Sprintf("Member must have length between 1 and %d", maxName))
	case !namePattern.MatchString(name):
		return constraint(member, name, `Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+`)
	case !s.isDefaultBus(bus):
		return awshttp.Errorf(http.StatusBadRequest, "ResourceNotFoundException", "Event bus %s does not exist.", bus)
	}
	return c.Authorize("events:"+action, s.ruleARN(name))
}

func (s *Service) putRule(c *awshttp.Call) (any, error) {
	var in putRuleInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.ScheduleExpression != "" && !s.isDefaultBus(in.EventBusName) {
		return nil, invalid("ScheduleExpression is supported only on the default event bus.")
	}
	if err := s.open(c, "PutRule", "name", in.Name, in.EventBusName); err != nil {
		return nil, err
	}
	switch {
	case in.EventPattern != "" && len(in.EventPattern) <= maxPattern:
		return nil, invalid("Rule %s has an EventPattern: Tidegate fires scheduled rules only; leave it out, or give a ScheduleExpression instead", in.Name)
	case in.EventPattern != "":
		return nil, constraint("eventPattern", in.EventPattern, fmt.Sprintf("Member must have length less than or equal to %d", maxPattern))
	case in.ScheduleExpression == "":
		return nil, invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	case len(in.Description) > maxDescription:
		return nil, constraint("description", in.Description, fmt.Sprintf("Member must have length less than or equal to %d", maxDescription))
	case len(in.RoleArn) > maxARN:
		return nil, constraint("roleArn", in.RoleArn, fmt.Sprintf("Member must have length less than or equal to %d", maxARN))
	case len(in.Tags) > 50:
		return nil, constraint("tags", "", "Member must have length less than or equal to 50")
	}
	switch State(in.State) {
	case "":
		in.State = string(Enabled)
	case Enabled, Disabled:
	case "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS":
		return nil, invalid("Tidegate has no CloudTrail events: the State of rule %s must be ENABLED or DISABLED", in.Name)
	default:
		return nil, constraint("state", in.State, "Member must satisfy enum value set: [ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]")
	}
	if _, err := Parse(in.ScheduleExpression); err != nil {
		// AWS's words, and beside them what is wrong.
		e := awshttp.Errorf(http.StatusBadRequest, "ValidationException", "Parameter ScheduleExpression is not valid.")
		e.Fields = map[string]any{"Reason": err.Error()}
		return nil, e
	}
	err := s.put(c.Context(), in.Name, func(old *Rule) (*Rule, error) {
		r := &Rule{
			Name: in.Name, ARN: s.ruleARN(in.Name), Description: in.Description, ScheduleExpression: in.ScheduleExpression,
			State: State(in.State), RoleARN: in.RoleArn, Anchor: s.clock.Now().UTC().Truncate(time.Second),
		}
		if old != nil { // AWS ignores the tags of an update
			r.Targets, r.Tags = old.Targets, old.Tags
			if old.ScheduleExpression == r.ScheduleExpression && old.State == r.State {
				r.Anchor = old.Anchor
			}
			return r, nil
		}
		r.Tags = tagMap(in.Tags)
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return struct{ RuleArn string }{s.ruleARN(in.Name)}, nil
}

func tagMap(tags []tagJSON) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

func (r *Rule) json() ruleJSON {
	return ruleJSON{Name: r.Name, Arn: r.ARN, State: r.State, Description: r.Description, ScheduleExpression: r.ScheduleExpression, RoleArn: r.RoleARN, EventBusName: "default"}
}

func (s *Service) describeRule(c *awshttp.Call) (any, error) {
	var in nameInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "DescribeRule", "name", in.Name, in.EventBusName); err != nil {
		return nil, err
	}
	r, ok := s.rule(in.Name)
	if !ok {
		return nil, noSuchRule(in.Name)
	}
	out := r.json()
	out.CreatedBy = s.account
	return out, nil
}

func (s *Service) setState(c *awshttp.Call, action string, state State) (any, error) {
	var in nameInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, action, "name", in.Name, in.EventBusName); err != nil {
		return nil, err
	}
	return nil, s.put(c.Context(), in.Name, func(r *Rule) (*Rule, error) {
		if r == nil {
			return nil, noSuchRule(in.Name)
		}
		if r.State != state {
			r.State, r.Anchor = state, s.clock.Now().UTC().Truncate(time.Second)
		}
		return r, nil
	})
}

func (s *Service) deleteRule(c *awshttp.Call) (any, error) {
	var in nameInput // Force is for rules that an AWS service manages; there are none
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "DeleteRule", "name", in.Name, in.EventBusName); err != nil {
		return nil, err
	}
	return nil, s.remove(c.Context(), in.Name)
}

// paginate cuts a sorted list as Limit (100 unless given) and NextToken say.
// The token is the last key that was returned.
func paginate[T any](items []T, limit *int, token string, key func(T) string) ([]T, string, error) {
	n := 100
	if limit != nil {
		if n = *limit; n < 1 || n > 100 {
			return nil, "", constraint("limit", fmt.Sprint(n), "Member must have value between 1 and 100")
		}
	}
	if token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", invalid("Parameter NextToken is not valid.")
		}
		i, found := slices.BinarySearchFunc(items, string(last), func(t T, k string) int { return strings.Compare(key(t), k) })
		if found {
			i++
		}
		items = items[i:]
	}
	if len(items) <= n {
		return items, "", nil
	}
	return items[:n], base64.RawURLEncoding.EncodeToString([]byte(key(items[n-1]))), nil
}

func (s *Service) listRules(c *awshttp.Call) (any, error) {
	var in struct {
		NamePrefix, EventBusName, NextToken string
		Limit                               *int
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if !s.isDefaultBus(in.EventBusName) {
		return nil, awshttp.Errorf(http.StatusBadRequest, "ResourceNotFoundException", "Event bus %s does not exist.", in.EventBusName)
	}
	if err := c.Authorize("events:ListRules", s.ruleARN("*")); err != nil {
		return nil, err
	}
	rules := s.sorted(func(r *Rule) bool { return strings.HasPrefix(r.Name, in.NamePrefix) })
	rules, token, err := paginate(rules, in.Limit, in.NextToken, func(r *Rule) string { return r.Name })
	if err != nil {
		return nil, err
	}
	out := struct {
		Rules     []ruleJSON
		NextToken string `json:",omitempty"`
	}{make([]ruleJSON, len(rules)), token}
	for i, r := range rules {
		out.Rules[i] = r.json()
	}
	return out, nil
}

// sorted returns the rules that fit, by name.
func (s *Service) sorted(fits func(*Rule) bool) []*Rule {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*Rule
	for _, state := range s.rules {
		if fits(state.rule) {
			out = append(out, state.rule)
		}
	}
	slices.SortFunc(out, func(a, b *Rule) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (s *Service) putTargets(c *awshttp.Call) (any, error) {
	var in struct {
		Rule, EventBusName string
		Targets            []targetJSON
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "PutTargets", "rule", in.Rule, in.EventBusName); err != nil {
		return nil, err
	}
	if len(in.Targets) == 0 || len(in.Targets) > maxBatch {
		return nil, constraint("targets", "", fmt.Sprintf("Member must have length between 1 and %d", maxBatch))
	}
	for _, t := range in.Targets {
		if err := t.check(); err != nil {
			return nil, err
		}
	}
	err := s.put(c.Context(), in.Rule, func(r *Rule) (*Rule, error) {
		if r == nil {
			return nil, noSuchRule(in.Rule)
		}
		for _, t := range in.Targets {
			target := Target{ID: t.ID, ARN: t.Arn, Input: t.Input, InputPath: t.InputPath, Transformer: t.InputTransformer, Retry: t.RetryPolicy}
			if t.DeadLetterConfig != nil {
				target.DeadLetter = t.DeadLetterConfig.Arn
			}
			i, found := slices.BinarySearchFunc(r.Targets, t.ID, func(t Target, id string) int { return strings.Compare(t.ID, id) })
			if found {
				r.Targets[i] = target
			} else {
				r.Targets = slices.Insert(r.Targets, i, target)
			}
		}
		if len(r.Targets) > maxTargets {
			return nil, limitExceeded()
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return noneFailed, nil
}

// check refuses a target that Tidegate couldn't invoke as asked.
func (t *targetJSON) check() error {
	switch {
	case t.ID == "" || len(t.ID) > maxName || !namePattern.MatchString(t.ID):
		return constraint("targets.member.id", t.ID, fmt.Sprintf(`Member must have length between 1 and %d and satisfy regular expression pattern: [\.\-_A-Za-z0-9]+`, maxName))
	case t.Arn == "" || len(t.Arn) > maxARN:
		return constraint("targets.member.arn", t.Arn, fmt.Sprintf("Member must have length between 1 and %d", maxARN))
	case len(t.Input) > maxInput:
		return constraint("targets.member.input", t.Input, fmt.Sprintf("Member must have length less than or equal to %d", maxInput))
	}
	if parts := strings.SplitN(t.Arn, ":", 6); len(parts) < 6 || parts[0] != "arn" {
		return invalid("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", t.Arn)
	} else if !lambdaPattern.MatchString(t.Arn) {
		return invalid("Parameter %s is not valid. Reason: target %s is of service %s, and Tidegate's rules invoke Lambda functions only (arn:aws:lambda:REGION:ACCOUNT:function:NAME).", t.Arn, t.ID, parts[2])
	}
	for _, p := range []struct {
		name  string
		value json.RawMessage
	}{
		{"RoleArn", t.RoleArn},
		{"KinesisParameters", t.KinesisParameters}, {"RunCommandParameters", t.RunCommandParameters}, {"EcsParameters", t.EcsParameters},
		{"BatchParameters", t.BatchParameters}, {"SqsParameters", t.SqsParameters}, {"HttpParameters", t.HTTPParameters},
		{"RedshiftDataParameters", t.RedshiftDataParameters}, {"SageMakerPipelineParameters", t.SageMakerPipelineParameters}, {"AppSyncParameters", t.AppSyncParameters},
	} {
		if len(p.value) > 0 && string(p.value) != "null" {
			return invalid("Target %s has %s, which Tidegate doesn't have; a target may have Id, Arn, Input, InputPath, InputTransformer, RetryPolicy and DeadLetterConfig", t.ID, p.name)
		}
	}
	if err := t.checkInput(); err != nil {
		return err
	}
	if p := t.RetryPolicy; p != nil {
		if n := p.MaximumRetryAttempts; n != nil && (*n < 0 || *n > defaultRetries) {
			return constraint("targets.member.retryPolicy.maximumRetryAttempts", fmt.Sprint(*n), "Member must have value between 0 and 185")
		}
		if n := p.MaximumEventAgeInSeconds; n != nil && (*n < 60 || *n > 86400) {
			return constraint("targets.member.retryPolicy.maximumEventAgeInSeconds", fmt.Sprint(*n), "Member must have value between 60 and 86400")
		}
	}
	return nil
}

// checkInput refuses what a target's input can't be made of.
func (t *targetJSON) checkInput() error {
	given := 0
	for _, has := range []bool{t.Input != "", t.InputPath != "", t.InputTransformer != nil} {
		if has {
			given++
		}
	}
	switch {
	case given > 1:
		return invalid("Only one of Input, InputPath, or InputTransformer must be provided for target %s.", t.ID)
	case t.Input != "" && !json.Valid([]byte(t.Input)):
		return invalid("Parameter Input of target %s is not valid JSON.", t.ID)
	case t.InputPath != "":
		if _, err := parsePath(t.InputPath); err != nil {
			return invalid("Parameter InputPath of target %s is not valid: %v.", t.ID, err)
		}
	case t.InputTransformer != nil:
		if err := t.InputTransformer.check(); err != nil {
			return invalid("Parameter InputTransformer of target %s is not valid: %v.", t.ID, err)
		}
	}
	return nil
}

func (s *Service) removeTargets(c *awshttp.Call) (any, error) {
	var in struct {
		Rule, EventBusName string
		Ids                []string
		Force              bool
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "RemoveTargets", "rule", in.Rule, in.EventBusName); err != nil {
		return nil, err
	}
	if len(in.Ids) == 0 || len(in.Ids) > maxBatch {
		return nil, constraint("ids", "", fmt.Sprintf("Member must have length between 1 and %d", maxBatch))
	}
	err := s.put(c.Context(), in.Rule, func(r *Rule) (*Rule, error) {
		if r == nil {
			return nil, noSuchRule(in.Rule)
		}
		r.Targets = slices.DeleteFunc(r.Targets, func(t Target) bool { return slices.Contains(in.Ids, t.ID) })
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return noneFailed, nil
}

func (s *Service) listTargetsByRule(c *awshttp.Call) (any, error) {
	var in struct {
		Rule, EventBusName, NextToken string
		Limit                         *int
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "ListTargetsByRule", "rule", in.Rule, in.EventBusName); err != nil {
		return nil, err
	}
	r, ok := s.rule(in.Rule)
	if !ok {
		return nil, noSuchRule(in.Rule)
	}
	targets, token, err := paginate(r.Targets, in.Limit, in.NextToken, func(t Target) string { return t.ID })
	if err != nil {
		return nil, err
	}
	out := struct {
		Targets   []targetJSON
		NextToken string `json:",omitempty"`
	}{make([]targetJSON, len(targets)), token}
	for i, t := range targets {
		out.Targets[i] = targetJSON{ID: t.ID, Arn: t.ARN, Input: t.Input, InputPath: t.InputPath, InputTransformer: t.Transformer, RetryPolicy: t.Retry}
		if t.DeadLetter != "" {
			out.Targets[i].DeadLetterConfig = &deadLetterJSON{t.DeadLetter}
		}
	}
	return out, nil
}

func (s *Service) listRuleNamesByTarget(c *awshttp.Call) (any, error) {
	var in struct {
		TargetArn, EventBusName, NextToken string
		Limit                              *int
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.TargetArn == "" || len(in.TargetArn) > maxARN {
		return nil, constraint("targetArn", in.TargetArn, fmt.Sprintf("Member must have length between 1 and %d", maxARN))
	}
	if !s.isDefaultBus(in.EventBusName) {
		return nil, awshttp.Errorf(http.StatusBadRequest, "ResourceNotFoundException", "Event bus %s does not exist.", in.EventBusName)
	}
	if err := c.Authorize("events:ListRuleNamesByTarget", s.ruleARN("*")); err != nil {
		return nil, err
	}
	rules := s.sorted(func(r *Rule) bool {
		return slices.ContainsFunc(r.Targets, func(t Target) bool { return t.ARN == in.TargetArn })
	})
	rules, token, err := paginate(rules, in.Limit, in.NextToken, func(r *Rule) string { return r.Name })
	if err != nil {
		return nil, err
	}
	out := struct {
		RuleNames []string
		NextToken string `json:",omitempty"`
	}{make([]string, len(rules)), token}
	for i, r := range rules {
		out.RuleNames[i] = r.Name
	}
	return out, nil
}

// tagged returns the name of the rule that a ResourceARN is.
func (s *Service) tagged(c *awshttp.Call, action, arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, s.ruleARN(""))
	if !ok {
		return "", awshttp.Errorf(http.StatusBadRequest, "ResourceNotFoundException", "Resource %s does not exist.", arn)
	}
	return name, s.open(c, action, "resourceARN", name, "")
}

func (s *Service) listTagsForResource(c *awshttp.Call) (any, error) {
	var in struct{ ResourceARN string }
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	name, err := s.tagged(c, "ListTagsForResource", in.ResourceARN)
	if err != nil {
		return nil, err
	}
	r, ok := s.rule(name)
	if !ok {
		return nil, noSuchRule(name)
	}
	tags := []tagJSON{}
	for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
		tags = append(tags, tagJSON{k, r.Tags[k]})
	}
	return struct{ Tags []tagJSON }{tags}, nil
}

func (s *Service) tagResource(c *awshttp.Call) (any, error) {
	var in struct {
		ResourceARN string
		Tags        []tagJSON
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	return s.retag(c, "TagResource", in.ResourceARN, func(tags map[string]string) {
		maps.Copy(tags, tagMap(in.Tags))
	})
}

func (s *Service) untagResource(c *awshttp.Call) (any, error) {
	var in struct {
		ResourceARN string
		TagKeys     []string
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	return s.retag(c, "UntagResource", in.ResourceARN, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

// retag stores the tags that change makes.
func (s *Service) retag(c *awshttp.Call, action, arn string, change func(map[string]string)) (any, error) {
	name, err := s.tagged(c, action, arn)
	if err != nil {
		return nil, err
	}
	return nil, s.put(c.Context(), name, func(r *Rule) (*Rule, error) {
		if r == nil {
			return nil, noSuchRule(name)
		}
		tags := make(map[string]string)
		maps.Copy(tags, r.Tags)
		change(tags)
		if len(tags) > 50 {
			return nil, limitExceeded()
		}
		r.Tags = tags
		return r, nil
	})
}
