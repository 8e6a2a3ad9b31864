package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// An Action is what happens to a resource.
type Action string

// The actions of a plan.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace" // a new one is made, the old one deleted
	Delete  Action = "delete"
	Keep    Action = "keep"   // nothing changed
	Retain  Action = "retain" // it left the template and is kept all the same
)

// A Step is what happens, or happened, to one resource.
type Step struct {
	Action     Action
	LogicalID  string
	Type       string
	PhysicalID string   // when it is known
	Changed    []string // the properties that differ from the record
	// Err and Took are set once the step was tried.
	Err  error
	Took time.Duration
}

// String returns the step in one line: update ChatFunction (AWS::Lambda::Function): Timeout.
func (s Step) String() string {
	line := fmt.Sprintf("%s %s (%s)", s.Action, s.LogicalID, s.Type)
	if len(s.Changed) > 0 && s.Action != Create {
		line += ": " + strings.Join(s.Changed, ", ")
	}
	return line
}

// A Plan is what applying a stack would do, in order.
type Plan struct {
	Steps []Step
	Notes []Note
}

// Changes reports whether the plan does anything.
func (p Plan) Changes() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action != Keep && s.Action != Retain })
}

// Plan compares the stack with the record of what was applied; nil is an empty
// record. Values that only other resources will have count as changed.
func (s *Stack) Plan(record *Record) (Plan, error) {
	if record == nil {
		record = &Record{}
	}
	v := newValues(s)
	var p Plan
	for _, res := range s.order {
		if res.schema == nil {
			continue
		}
		c, err := v.resolve(res)
		if err != nil {
			return p, err
		}
		c.compare(record)
		p.Steps = append(p.Steps, c.step())
		if c.action == Keep || c.action == Update {
			v.known[res.id] = *c.old
		} else {
			v.known[res.id] = s.predict(res, c)
		}
	}
	for _, gone := range s.leaving(record) {
		old := record.Resources[gone]
		action := Delete
		if s.retains(old) {
			action = Retain
		}
		p.Steps = append(p.Steps, Step{Action: action, LogicalID: gone, Type: old.Type, PhysicalID: old.PhysicalID})
	}
	p.Notes = s.staleNotes(p.Steps)
	return p, nil
}

// leaving lists the recorded resources that the template no longer has, in the
// order in which they can be deleted.
func (s *Stack) leaving(record *Record) []string {
	var gone []string
	for id, old := range record.Resources {
		if res := s.byID[id]; res == nil || res.typ != old.Type {
			gone = append(gone, id)
		}
	}
	sortForDeletion(gone, record)
	return gone
}

// deletionOrder lists types so that users come before what they use.
var deletionOrder = []string{
	"AWS::ApiGatewayV2::ApiMapping", "AWS::ApiGatewayV2::DomainName",
	"AWS::ApiGatewayV2::Stage", "AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::RouteResponse", "AWS::ApiGatewayV2::Route",
	"AWS::ApiGatewayV2::IntegrationResponse", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Api",
	"AWS::Events::Rule", "AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup", "AWS::Lambda::Permission", "AWS::Lambda::Alias", "AWS::Lambda::Version", "AWS::Lambda::Function", "AWS::Lambda::LayerVersion", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::DynamoDB::Table",
}

func sortForDeletion(ids []string, record *Record) {
	slices.SortFunc(ids, func(a, b string) int {
		ra, rb := slices.Index(deletionOrder, record.Resources[a].Type), slices.Index(deletionOrder, record.Resources[b].Type)
		if ra != rb {
			return ra - rb
		}
		return strings.Compare(a, b)
	})
}

// retains reports whether a resource that leaves the template is kept: tables
// unless they may be deleted, others when their policy says so.
func (s *Stack) retains(old RecordedResource) bool { return retains(old, s.Prune) }

func retains(old RecordedResource, prune bool) bool {
	if old.Type == "AWS::DynamoDB::Table" {
		return old.DeletionPolicy != "Delete" && !prune
	}
	return old.DeletionPolicy != "" && old.DeletionPolicy != "Delete"
}

// staleNotes says which stages go on serving an old deployment although routes
// changed, as they do on AWS.
func (s *Stack) staleNotes(steps []Step) []Note {
	changed, kept, auto := map[string]bool{}, map[string]*resource{}, map[string]bool{}
	for _, step := range steps {
		res := s.byID[step.LogicalID]
		if res == nil {
			continue
		}
		key := apiKey(res)
		switch {
		case slices.Contains(frozen, res.typ) && step.Action != Keep:
			changed[key] = true
		case res.typ == "AWS::ApiGatewayV2::Deployment" && step.Action == Keep:
			kept[key] = res
		case res.typ == "AWS::ApiGatewayV2::Deployment":
			auto[key] = true // a new deployment holds the change
		case autoDeploys(res):
			auto[key] = true
		}
	}
	r := s.reporter()
	for _, key := range keys(kept) {
		if changed[key] && !auto[key] {
			res := kept[key]
			r.notef(res.place(), "routes or integrations changed, but the stage keeps serving this deployment, as on AWS: "+
				"rename the deployment's logical id, or set AutoDeploy on the stage instead")
		}
	}
	return r.sortedNotes()
}

// A change is a resource with its properties evaluated, beside what is
// recorded of it.
type change struct {
	res        *resource
	name       string // the physical name, for types that have one
	properties *value // in the forms of the type
	code       *codePayload
	hashes     map[string]string
	hash       string

	action  Action
	old     *RecordedResource
	changed []string
	removed []string // the changed properties that are no longer given
}

func (c *change) step() Step {
	s := Step{Action: c.action, LogicalID: c.res.id, Type: c.res.typ, Changed: c.changed, PhysicalID: c.name}
	if c.old != nil {
		s.PhysicalID = c.old.PhysicalID
	}
	return s
}

// get returns a property's text, or "".
func (c *change) get(name string) string {
	s, _ := c.properties.get(name).scalar()
	return s
}

// has reports whether the property differs from the record.
func (c *change) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.changed, n) })
}

// recorded returns the resource as it is to be recorded.
func (c *change) recorded(physicalID, arn string) RecordedResource {
	return RecordedResource{
		Type: c.res.typ, PhysicalID: physicalID, ARN: arn, Hash: c.hash, Properties: c.hashes, DeletionPolicy: c.res.deletionPolicy,
		Attributes: map[string]string{}, Details: map[string]string{},
	}
}

// compare decides what happens to the resource.
func (c *change) compare(record *Record) {
	old, ok := record.Resources[c.res.id]
	if !ok || old.Type != c.res.typ {
		c.action = Create
		return
	}
	c.old = &old
	known := c.res.schema.properties
	for _, name := range keys(c.hashes) {
		if c.hashes[name] != old.Properties[name] {
			c.changed = append(c.changed, name)
		}
	}
	for _, name := range keys(old.Properties) {
		if _, given := c.hashes[name]; !given {
			c.changed = append(c.changed, name)
			c.removed = append(c.removed, name)
		}
	}
	slices.Sort(c.changed)
	switch {
	case len(c.changed) == 0:
		c.action = Keep
	case slices.ContainsFunc(c.changed, func(n string) bool { return known[n].replace }),
		slices.Contains(frozen, c.res.typ) && slices.ContainsFunc(c.removed, func(n string) bool { return !resettable(known[n]) }):
		c.action = Replace
	default:
		c.action = Update
	}
}

// resettable reports whether a PATCH can bring a property of apigatewayv2 back
// to what it is when it isn't given: an empty text clears most members.
func resettable(p property) bool {
	return p.form == aText && len(p.values) == 0 || p.form == aBoolean || p.form == textMap
}

// values evaluates properties with the values of the resources known so far.
type values struct {
	s     *Stack
	known map[string]RecordedResource
	notes []Note // what only evaluating with resources brought up
	// codeless leaves the code of functions and layers alone.
	codeless bool
}

func newValues(s *Stack) *values {
	return &values{s: s, known: map[string]RecordedResource{}}
}

// evaluator returns an evaluator that sees the resources known so far.
func (v *values) evaluator(r *reporter) *evaluator {
	env := *v.s.env
	env.spent = 0
	return &evaluator{env: &env, r: r, lookup: v.lookup}
}

// lookup returns the value of a Ref or GetAtt; a value that isn't known yet has
// the kind unknown.
func (v *values) lookup(id, attribute string) (*value, bool) {
	res, attribute := v.s.target(id, attribute)
	if res == nil {
		return nil, false
	}
	if res.known() == nil {
		r := &reporter{}
		properties := v.evaluator(r).eval(res.properties, res.place())
		if r.err() != nil || properties == nil {
			return nil, false
		}
		return &value{kind: text, placeholder: true, text: placeholder{v.s, res, properties}.answer(attribute)}, true
	}
	known, ok := v.known[res.id]
	if !ok {
		return nil, false
	}
	if attribute == "StreamArn" && known.ARN != "" {
		return &value{kind: text, placeholder: true, text: known.ARN + streamLabel}, true
	}
	s := known.PhysicalID
	if attribute != "" {
		s = known.Attributes[attribute]
	}
	if s == "" {
		return &value{kind: unknown, text: "?"}, true
	}
	return &value{kind: text, text: s}, true
}

// resolve evaluates a resource's properties and their hashes.
func (v *values) resolve(res *resource) (*change, error) {
	r := v.s.reporter()
	e := v.evaluator(r)
	properties := e.dynamic(e.eval(res.properties, res.propertyPlace("")), res.propertyPlace(""))
	if properties == nil {
		properties = (&value{kind: object}).placed(res.properties)
	}
	if res.typ == "AWS::Lambda::Function" {
		properties = v.s.withVariables(res, properties)
	}
	v.notes = append(v.notes, r.notes...) // conforming tells what loading told
	checked := conformObject(properties, res.schema.properties, res.propertyPlace(""), r)
	if err := r.err(); err != nil {
		return nil, err
	}
	c := &change{res: res, properties: checked.value, hashes: map[string]string{}}
	if p := res.schema.nameProperty; p != "" {
		if c.name = c.get(p); c.name == "" {
			c.name = v.s.generatedName(res.id, res.schema.nameLimit)
		}
	}
	if !v.codeless && (res.typ == "AWS::Lambda::Function" || res.typ == "AWS::Lambda::LayerVersion") {
		if err := v.s.loadCode(c); err != nil {
			return nil, err
		}
	}
	h := sha256.New()
	for _, name := range keysOf(c.properties) {
		x := c.properties.get(name)
		hash := hashText(x.json())
		if (name == "Code" || name == "Content") && c.code != nil {
			hash = c.code.hash
		}
		if x.has(unknown) {
			hash = "unknown"
		}
		c.hashes[name] = hash
		fmt.Fprintf(h, "%s=%s\n", name, hash)
	}
	c.hash = hex.EncodeToString(h.Sum(nil))[:32]
	return c, nil
}

func keysOf(v *value) []string {
	names := v.names()
	slices.Sort(names)
	return names
}

func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:32]
}

// A codePayload is a function's code as Lambda's API takes it.
type codePayload struct {
	zip    []byte // or
	folder string
	build  map[string]any // of the folder's code, or nil
	hash   string
}

// loadCode reads what the code of a function is made of.
func (s *Stack) loadCode(c *change) error {
	source := c.res.code
	c.code = &codePayload{}
	switch {
	case source.folder != "":
		c.code.folder, c.code.hash = source.folder, hashText("folder "+source.folder)
		if source.build != nil {
			c.code.build = source.build.payload(c.res.id)
			text, err := json.Marshal(c.code.build)
			if err != nil {
				return s.failure(c.res, "Code", err)
			}
			c.code.hash = hashText("folder " + source.folder + " " + string(text))
		}
	case source.file != "":
		data, err := os.ReadFile(source.file)
		if err != nil {
			return s.failure(c.res, "Code", err)
		}
		if len(data) > maxZipBytes {
			return s.failure(c.res, "Code", fmt.Errorf("%s has more than %d bytes", source.file, maxZipBytes))
		}
		c.code.zip, c.code.hash = data, hashText("zip "+string(data))
	default:
		inline := c.properties.get("Code").get("ZipFile")
		if inline.kind == unknown {
			c.code.hash = "unknown"
			return nil
		}
		program, _ := inline.scalar()
		file, kind := "index.js", "inline "
		runtime, _ := c.properties.get("Runtime").scalar()
		if l := languageOf(runtime); l != nil && l.inline != file {
			file, kind = l.inline, "inline "+l.inline+" "
		}
		c.code.zip, c.code.hash = zipOf(file, program), hashText(kind+program)
	}
	return nil
}

// predict returns what is known of a resource before it exists.
func (s *Stack) predict(res *resource, c *change) RecordedResource {
	out := RecordedResource{Type: res.typ, PhysicalID: c.name, Attributes: map[string]string{}}
	switch res.typ {
	case "AWS::ApiGatewayV2::Api":
		out.PhysicalID = s.apiID(res.id)
		if id, ok := c.properties.get("Tags").get(customIDTag).scalar(); ok {
			out.PhysicalID = id
		}
		out.Attributes["ApiId"] = out.PhysicalID
		out.Attributes["ApiEndpoint"] = s.apiEndpoint(out.PhysicalID)
	case "AWS::ApiGatewayV2::Stage":
		out.PhysicalID = c.get("StageName")
	case "AWS::Lambda::Function":
		out.ARN = fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", s.Region, s.Account, c.name)
	case "AWS::DynamoDB::Table":
		out.ARN = fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", s.Region, s.Account, c.name)
	case "AWS::Events::Rule":
		out.ARN = fmt.Sprintf("arn:aws:events:%s:%s:rule/%s", s.Region, s.Account, c.name)
	case "AWS::Scheduler::Schedule":
		group := c.get("GroupName")
		if group == "" {
			group = "default"
		}
		out.ARN = s.scheduleARN(group, c.name)
	case "AWS::Scheduler::ScheduleGroup":
		out.ARN = s.scheduleGroupARN(c.name)
		out.Attributes["State"] = "ACTIVE"
	case "AWS::IAM::Role":
		out.ARN = s.roleARN(c)
	case "AWS::Lambda::Permission", "AWS::IAM::Policy":
		out.PhysicalID = s.generatedName(res.id, 100)
	}
	if out.ARN != "" {
		out.Attributes["Arn"] = out.ARN
	}
	return out
}

// apiEndpoint is the endpoint that API Gateway gives a WebSocket API.
func (s *Stack) apiEndpoint(id string) string {
	return "wss://" + id + ".execute-api." + s.Region + ".amazonaws.com"
}

// roleARN builds a role's ARN from its path and name.
func (s *Stack) roleARN(c *change) string {
	path := c.get("Path")
	if path == "" {
		path = "/"
	}
	return "arn:aws:iam::" + s.Account + ":role" + path + c.name
}

// failure is an error about a resource, with its place in the template.
func (s *Stack) failure(res *resource, propertyName string, err error) *ApplyError {
	at := res.place()
	if propertyName != "" {
		at = res.propertyPlace(propertyName)
	}
	told := s.reporter().traced(at)
	return &ApplyError{
		Position:  s.env.file.position(at.line, at.column),
		LogicalID: told.resource, Type: res.typ, Property: strings.TrimPrefix(told.property, "Properties."), Err: err,
	}
}
