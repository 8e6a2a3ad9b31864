package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tidegate/sigv4"
)

// A Deployer applies stacks through the public APIs at an endpoint.
type Deployer struct {
	Endpoint    string       // http://localhost:8420
	Client      *http.Client // nil means http.DefaultClient
	Credentials sigv4.Credentials
	Region      string // signed for; empty means us-east-1
	// Progress, when set, is told of every step after it was tried, in order.
	Progress func(Step)
}

func (d *Deployer) client() *client {
	return &client{
		endpoint:    strings.TrimRight(d.Endpoint, "/"),
		http:        cmp.Or(d.Client, http.DefaultClient),
		credentials: d.Credentials,
		region:      cmp.Or(d.Region, "us-east-1"),
	}
}

// An ApplyError is a resource that could not be made, changed or deleted. Err
// is usually an *APIError.
type ApplyError struct {
	Position
	LogicalID string
	Type      string
	Property  string // that the API complained about, when its message names one
	Err       error
}

// Error returns the place, the resource and what the API said.
func (e *ApplyError) Error() string {
	d := Diagnostic{Position: e.Position, Resource: e.LogicalID, Message: e.Err.Error()}
	if e.Property != "" {
		d.Property = joinPath("Properties", e.Property)
	}
	return d.Error()
}

// Unwrap returns Err.
func (e *ApplyError) Unwrap() error { return e.Err }

// A Result is what an applied stack consists of.
type Result struct {
	APIs      []API
	Functions []Named
	Rules     []Named
	Schedules []Named
	Tables    []Named
	Outputs   map[string]string
	// Notes are the stack's and those that came up while applying.
	Notes []Note
	// Steps is what was done.
	Steps []Step
}

// An API is a WebSocket API of an applied stack.
type API struct {
	LogicalID string
	ID        string
	Name      string
	Stages    []Stage
}

// A Stage is a stage of an API.
type Stage struct{ LogicalID, Name string }

// A Named is a function, rule, schedule or table of an applied stack.
type Named struct{ LogicalID, Name, ARN string }

// An applier is one run of Apply or Delete.
type applier struct {
	*client
	s      *Stack
	values *values
	record *Record
	r      *reporter // for notes
	steps  []Step
	told   func(Step)
	// fresh are the ids of APIs made in this run: they hold nothing yet that
	// could be found again.
	fresh map[string]bool
	// late are replaced resources, deleted once everything else is done.
	late []recordedAs
}

type recordedAs struct {
	id  string
	old RecordedResource
}

// A handler makes, changes and deletes the resources of one type.
type handler interface {
	create(ctx context.Context, a *applier, c *change) (RecordedResource, error)
	update(ctx context.Context, a *applier, c *change) (RecordedResource, error)
	remove(ctx context.Context, a *applier, old RecordedResource) error
}

// A prober is a handler whose resources can be checked for being there, which
// is done before a recorded one is trusted.
type prober interface {
	exists(ctx context.Context, a *applier, old RecordedResource) (bool, error)
}

// handlerOf returns the handler of a type, or nil.
func handlerOf(typ string) handler {
	switch typ {
	case "AWS::ApiGatewayV2::Api":
		return apiHandler{}
	case "AWS::ApiGatewayV2::Stage":
		return stageHandler{}
	case "AWS::ApiGatewayV2::DomainName":
		return domainHandler{}
	case "AWS::ApiGatewayV2::ApiMapping":
		return apiMappingHandler{}
	case "AWS::Lambda::Function":
		return functionHandler{}
	case "AWS::Lambda::Permission":
		return permissionHandler{}
	case "AWS::Lambda::LayerVersion":
		return layerHandler{}
	case "AWS::Lambda::Version":
		return versionHandler{}
	case "AWS::Lambda::Alias":
		return aliasHandler{}
	case "AWS::Lambda::EventInvokeConfig":
		return eventInvokeHandler{}
	case "AWS::DynamoDB::Table":
		return tableHandler{}
	case "AWS::ApiGateway::ApiKey":
		return apiKeyHandler{}
	case "AWS::ApiGateway::UsagePlan":
		return usagePlanHandler{}
	case "AWS::ApiGateway::UsagePlanKey":
		return usagePlanKeyHandler{}
	case "AWS::Events::Rule":
		return ruleHandler{}
	case "AWS::Scheduler::Schedule":
		return scheduleHandler{}
	case "AWS::Scheduler::ScheduleGroup":
		return scheduleGroupHandler{}
	case "AWS::IAM::Role":
		return roleHandler{}
	case "AWS::IAM::Policy":
		return policyHandler{}
	}
	if child, ok := childHandlers[typ]; ok {
		return child
	}
	return nil
}

// Apply makes the stack so: it creates, changes and deletes what differs from
// the record, in order, and records the result. After an error what was done so
// far is recorded, and applying again goes on from there; so it does after a
// crash, since what is there already is taken over.
func (d *Deployer) Apply(ctx context.Context, s *Stack) (*Result, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	record, err := d.Record(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	a := d.applier(s, record)
	before := encodeJSON(record)
	if err = a.run(ctx); err == nil {
		record.Outputs = a.outputs()
	}
	if encodeJSON(record) != before {
		// What was done must be recorded even when the caller gave up.
		saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, d.save(saving, a.record))
	}
	if err != nil {
		return nil, err
	}
	return a.result(), nil
}

func (d *Deployer) applier(s *Stack, record *Record) *applier {
	return &applier{
		client: d.client(), s: s, values: newValues(s), record: record,
		r: s.reporter(), told: d.Progress, fresh: map[string]bool{},
	}
}

func (a *applier) run(ctx context.Context) error {
	if err := a.forgetElsewhere(ctx); err != nil {
		return err
	}
	if err := a.forgetLost(ctx); err != nil {
		return err
	}
	for _, res := range a.s.order {
		if res.schema == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return a.s.failure(res, "", err)
		}
		if err := a.apply(ctx, res); err != nil {
			return err
		}
	}
	if err := a.deleteRest(ctx); err != nil {
		return err
	}
	return a.settle(ctx)
}

// forgetElsewhere deletes what the record has of another region or account, whose
// names and ARNs are others, but for tables: on AWS the stack there would stay as
// it is, with its items, and one of its name be made here.
func (a *applier) forgetElsewhere(ctx context.Context) error {
	region, account := a.record.place()
	if (region == "" || region == a.s.Region) && (account == "" || account == a.s.Account) {
		a.record.Region, a.record.Account = a.s.Region, a.s.Account
		return nil
	}
	var gone []recordedAs
	var tables []string
	for _, id := range keys(a.record.Resources) {
		old := a.record.Resources[id]
		if old.Type == "AWS::DynamoDB::Table" {
			tables = append(tables, old.PhysicalID)
			delete(a.record.Resources, id)
			continue
		}
		old.DeletionPolicy = "Delete"
		gone = append(gone, recordedAs{id, old})
	}
	where := "of account " + account
	if region != "" {
		where = "in " + region + " " + where
	}
	said := "the stack " + where + " is deleted, as there is one region and account at a time"
	if len(tables) > 0 {
		said += "; its tables are kept with their items: " + strings.Join(tables, ", ")
	}
	a.r.notef(place{}, "%s", said)
	if err := a.deleteAll(ctx, gone); err != nil {
		return err
	}
	a.record.Region, a.record.Account = a.s.Region, a.s.Account
	return nil
}

// forgetLost drops from the record what is no longer there, so that it is made
// again: somebody may have deleted it by hand.
func (a *applier) forgetLost(ctx context.Context) error {
	for _, id := range keys(a.record.Resources) {
		old := a.record.Resources[id]
		p, ok := handlerOf(old.Type).(prober)
		if !ok {
			continue
		}
		there, err := p.exists(ctx, a, old)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		delete(a.record.Resources, id)
		for child, c := range a.record.Resources {
			if c.Details["ApiId"] == old.PhysicalID && old.Type == "AWS::ApiGatewayV2::Api" ||
				c.Details["FunctionName"] == old.PhysicalID && old.Type == "AWS::Lambda::Function" {
				delete(a.record.Resources, child)
			}
		}
	}
	return nil
}

// apply brings one resource to what the template says.
func (a *applier) apply(ctx context.Context, res *resource) error {
	c, err := a.values.resolve(res)
	if err != nil {
		return err
	}
	c.compare(a.record)
	if old, ok := a.record.Resources[res.id]; ok && old.Type != res.typ {
		a.late = append(a.late, recordedAs{res.id, old})
		delete(a.record.Resources, res.id)
	}
	began := time.Now()
	step := c.step()
	now, err := a.act(ctx, c)
	step.Err, step.Took = err, time.Since(began)
	if err == nil {
		step.PhysicalID = now.PhysicalID
		a.values.known[res.id] = now
		a.record.Resources[res.id] = now
	}
	a.tell(step)
	if err != nil {
		return a.s.failure(res, a.complainedProperty(c, err), err)
	}
	return nil
}

// act does what the change asks for.
func (a *applier) act(ctx context.Context, c *change) (RecordedResource, error) {
	h := handlerOf(c.res.typ)
	switch c.action {
	case Keep:
		now := *c.old
		now.DeletionPolicy = c.res.deletionPolicy
		return now, nil
	case Update:
		return h.update(ctx, a, c)
	case Replace:
		if err := a.prepareReplace(ctx, h, c); err != nil {
			return RecordedResource{}, err
		}
	}
	return h.create(ctx, a, c)
}

// prepareReplace deletes the old resource when the new one takes its name or
// key, and otherwise leaves it for the end, as CloudFormation does.
func (a *applier) prepareReplace(ctx context.Context, h handler, c *change) error {
	sameName := c.name != "" && c.name == c.old.PhysicalID
	if c.res.typ == "AWS::DynamoDB::Table" {
		if !sameName {
			if retains(*c.old, a.s.Prune) {
				a.r.notef(c.res.place(), "table %s is kept with its items; the resource is now table %s", c.old.PhysicalID, c.name)
				return nil
			}
		} else if retains(*c.old, a.s.Prune) {
			return fmt.Errorf("table %s must be replaced since %s changed, and its items would be lost: set DeletionPolicy: Delete, use --prune, or give it another TableName",
				c.name, strings.Join(c.changed, ", "))
		}
	}
	if sameName || slices.Contains(frozen, c.res.typ) && c.res.typ != "AWS::ApiGatewayV2::Integration" || c.res.typ == "AWS::Lambda::Permission" || c.res.typ == "AWS::IAM::Policy" {
		if err := h.remove(ctx, a, *c.old); err != nil && !isNotFound(err) {
			return err
		}
		delete(a.record.Resources, c.res.id)
		return nil
	}
	a.late = append(a.late, recordedAs{c.res.id, *c.old})
	return nil
}

// deleteRest deletes what left the template and what was replaced.
func (a *applier) deleteRest(ctx context.Context) error {
	gone := a.late
	for _, id := range a.s.leaving(a.record) {
		gone = append(gone, recordedAs{id, a.record.Resources[id]})
	}
	return a.deleteAll(ctx, gone)
}

// deleteAll deletes what is gone, what depends on another before that.
func (a *applier) deleteAll(ctx context.Context, gone []recordedAs) error {
	rank := func(x recordedAs) int { return slices.Index(deletionOrder, x.old.Type) }
	slices.SortStableFunc(gone, func(x, y recordedAs) int { return rank(x) - rank(y) })
	deletedAPIs := map[string]bool{}
	for _, g := range gone {
		if g.old.Type == "AWS::ApiGatewayV2::Api" {
			deletedAPIs[g.old.PhysicalID] = true
		}
	}
	var failures []error
	for _, g := range gone {
		if err := a.remove(ctx, g, deletedAPIs, a.s.Prune); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// remove deletes one recorded resource, or keeps it and says so.
func (a *applier) remove(ctx context.Context, g recordedAs, deletedAPIs map[string]bool, prune bool) error {
	step := Step{Action: Delete, LogicalID: g.id, Type: g.old.Type, PhysicalID: g.old.PhysicalID}
	forget := func() {
		if now, ok := a.record.Resources[g.id]; ok && now.PhysicalID == g.old.PhysicalID && now.Type == g.old.Type {
			delete(a.record.Resources, g.id)
		}
	}
	h := handlerOf(g.old.Type)
	if heir := a.heir(g); heir != "" {
		a.r.notef(place{resource: heir}, "took over %s from %s, which left the template; CloudFormation would refuse to make it while the other is there", g.old.PhysicalID, g.id)
		forget()
		return nil
	}
	switch {
	case h == nil || deletedAPIs[g.old.Details["ApiId"]]:
		forget() // goes with its API
		return nil
	case retains(g.old, prune):
		step.Action = Retain
		a.r.notef(place{resource: g.id}, "left the template; %s %s is kept", g.old.Type, g.old.PhysicalID)
		forget()
		a.tell(step)
		return nil
	}
	began := time.Now()
	err := h.remove(ctx, a, g.old)
	if isNotFound(err) {
		err = nil
	}
	step.Err, step.Took = err, time.Since(began)
	a.tell(step)
	if err != nil {
		return &ApplyError{Position: a.r.file.position(0, 0), LogicalID: g.id, Type: g.old.Type, Err: err}
	}
	forget()
	return nil
}

// heir returns the logical id of another resource of the template that now is
// what g was: somebody renamed the logical id of a route or of a function that
// has a name. It must not be deleted under its new one.
func (a *applier) heir(g recordedAs) string {
	for _, id := range keys(a.values.known) {
		now := a.values.known[id]
		if id != g.id && now.Type == g.old.Type && now.PhysicalID == g.old.PhysicalID && now.Details["ApiId"] == g.old.Details["ApiId"] {
			return id
		}
	}
	return ""
}

func (a *applier) tell(s Step) {
	a.steps = append(a.steps, s)
	if a.told != nil {
		a.told(s)
	}
}

// outputs evaluates the stack's outputs; a value that can't be known is left
// out.
func (a *applier) outputs() map[string]string {
	out := map[string]string{}
	r := &reporter{}
	e := a.values.evaluator(r)
	for _, o := range a.s.outputs {
		v := e.eval(o.value, place{})
		if s, ok := v.scalar(); ok {
			out[o.name] = s
		} else if v != nil && v.kind != unknown {
			out[o.name] = v.json()
		}
	}
	return out
}

// complainedProperty returns the property that an API's message names, or "".
func (a *applier) complainedProperty(c *change, err error) string {
	var e *APIError
	if !errors.As(err, &e) {
		return ""
	}
	message, best := strings.ToLower(e.Message), ""
	for _, name := range c.properties.names() {
		if len(name) > len(best) && containsWord(message, strings.ToLower(name)) {
			best = name
		}
	}
	return best
}

// containsWord reports whether s has w with no letter beside it.
func containsWord(s, w string) bool {
	letter := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= 'a' && s[i] <= 'z' }
	for from := 0; ; {
		i := strings.Index(s[from:], w)
		if i < 0 {
			return false
		}
		i += from
		if !letter(i-1) && !letter(i+len(w)) {
			return true
		}
		from = i + 1
	}
}

// optional calls an operation that a service may not have built; then there is
// a note that names the property.
func (a *applier) optional(c *change, propertyName string, err error) error {
	if !isUnbuilt(err) {
		return err
	}
	a.r.notef(c.res.propertyPlace(propertyName), "has no effect here yet: %v", err)
	return nil
}

// result tells what the stack consists of now.
func (a *applier) result() *Result {
	out := &Result{Outputs: a.record.Outputs, Steps: a.steps}
	out.Notes = append(append(out.Notes, a.s.Notes...), a.r.sortedNotes()...)
	for _, n := range a.values.notes {
		if !slices.Contains(out.Notes, n) {
			out.Notes = append(out.Notes, n)
		}
	}
	out.Notes = append(out.Notes, a.s.staleNotes(a.steps)...)
	for _, res := range a.s.resources {
		now, ok := a.values.known[res.id]
		if !ok {
			continue
		}
		named := Named{LogicalID: res.id, Name: now.PhysicalID, ARN: now.ARN}
		switch res.typ {
		case "AWS::ApiGatewayV2::Api":
			api := API{LogicalID: res.id, ID: now.PhysicalID, Name: now.Details["Name"]}
			for _, other := range a.s.resources {
				stage := a.values.known[other.id]
				if other.typ == "AWS::ApiGatewayV2::Stage" && stage.Details["ApiId"] == api.ID {
					api.Stages = append(api.Stages, Stage{LogicalID: other.id, Name: stage.PhysicalID})
				}
			}
			out.APIs = append(out.APIs, api)
		case "AWS::Lambda::Function":
			out.Functions = append(out.Functions, named)
		case "AWS::Events::Rule":
			out.Rules = append(out.Rules, named)
		case "AWS::Scheduler::Schedule":
			if now.Details["LeftOut"] == "" {
				out.Schedules = append(out.Schedules, named)
			}
		case "AWS::DynamoDB::Table":
			out.Tables = append(out.Tables, named)
		}
	}
	return out
}

// Delete deletes everything that is recorded of a stack and the record's
// content. Tables are kept unless their DeletionPolicy is Delete or prune is
// set.
func (d *Deployer) Delete(ctx context.Context, record *Record, prune bool) error {
	s := &Stack{Name: record.Name, env: &environment{}, byID: map[string]*resource{}, Prune: prune}
	a := d.applier(s, record)
	err := a.deleteRest(ctx)
	record.Outputs = map[string]string{}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, d.save(saving, a.record))
}
