package stack

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/sigv4"
)

var testKeys = sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}

// A fake stands in for the services behind one endpoint: it keeps what it is
// told, answers as AWS does where it matters here, and writes down every call.
type fake struct {
	t *testing.T
	sync.Mutex
	calls     []string // operations, in order
	bodies    map[string][]map[string]any
	things    map[string]map[string]any // by path or service/name
	records   map[string]json.RawMessage
	next      int
	unbuilt   map[string]bool // operations that answer that they don't exist
	failOn    func(operation string, body map[string]any) *APIError
	afterCall func(operation string)
}

func newFake(t *testing.T) (*fake, *Deployer) {
	f := &fake{t: t, bodies: map[string][]map[string]any{}, things: map[string]map[string]any{}, records: map[string]json.RawMessage{}, unbuilt: map[string]bool{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return f, &Deployer{Endpoint: srv.URL, Client: srv.Client(), Credentials: testKeys}
}

// reset forgets the calls, not the state.
func (f *fake) reset() {
	f.Lock()
	defer f.Unlock()
	f.calls, f.bodies = nil, map[string][]map[string]any{}
}

// count returns how often an operation was called.
func (f *fake) count(operation string) int {
	n := 0
	for _, c := range f.calls {
		if c == operation {
			n++
		}
	}
	return n
}

// mutations lists the calls that change something.
func (f *fake) mutations() []string {
	return slices.DeleteFunc(slices.Clone(f.calls), func(c string) bool {
		return strings.HasPrefix(c, "Get") || strings.HasPrefix(c, "Describe") || strings.HasPrefix(c, "List")
	})
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	auth, err := sigv4.Parse(r)
	if err == nil {
		err = auth.Verify(r, body, testKeys.SecretAccessKey, time.Now())
	}
	if err != nil {
		f.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	f.Lock()
	defer f.Unlock()
	in := map[string]any{}
	form := url.Values{}
	switch {
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		form, _ = url.ParseQuery(string(body))
		for k := range form {
			in[k] = form.Get(k)
		}
	case len(body) > 0:
		if err := json.Unmarshal(body, &in); err != nil {
			f.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
	}
	target := r.Header.Get("X-Amz-Target")
	operation, status, out := "", 200, any(map[string]any{})
	switch {
	case strings.HasPrefix(r.URL.Path, "/_tidegate/stacks/"):
		f.record(w, r, body)
		return
	case target != "":
		_, operation, _ = strings.Cut(target, ".")
		f.wants(auth, map[bool]string{true: "events", false: "dynamodb"}[strings.HasPrefix(target, "AWSEvents")])
		f.note(operation, in)
		status, out = f.target(operation, in)
	case form.Has("Action"):
		operation = form.Get("Action")
		f.wants(auth, "iam")
		f.note(operation, in)
		status, out = f.iam(operation, in)
	case strings.HasPrefix(r.URL.Path, "/v2/"):
		f.wants(auth, "apigateway")
		operation, status, out = f.apigateway(r, in)
	default:
		f.wants(auth, "lambda")
		operation, status, out = f.lambda(r, in)
	}
	if f.afterCall != nil {
		f.afterCall(operation)
	}
	if e, ok := out.(*APIError); ok {
		w.Header().Set("X-Amzn-Errortype", e.Code)
		w.WriteHeader(e.Status)
		if form.Has("Action") {
			fmt.Fprintf(w, "<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", e.Code, e.Message)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws#" + e.Code, "message": e.Message})
		return
	}
	if s, ok := out.(string); ok {
		w.Header().Set("Content-Type", "text/xml")
		io.WriteString(w, s)
		return
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		json.NewEncoder(w).Encode(out)
	}
}

func (f *fake) wants(a *sigv4.Authorization, service string) {
	if a != nil && a.Service != service {
		f.t.Errorf("signed for %s, want %s", a.Service, service)
	}
}

func (f *fake) note(operation string, in map[string]any) {
	f.calls = append(f.calls, operation)
	f.bodies[operation] = append(f.bodies[operation], in)
}

// refused returns the error that a test wants for the call, or nil.
func (f *fake) refused(operation string, in map[string]any) *APIError {
	if f.unbuilt[operation] {
		return &APIError{Status: 400, Code: "UnknownOperationException", Message: "no operation " + operation}
	}
	if f.failOn != nil {
		return f.failOn(operation, in)
	}
	return nil
}

func (f *fake) record(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method == http.MethodPut {
		f.records[r.URL.Path] = body
		return
	}
	if f.records[r.URL.Path] == nil {
		http.NotFound(w, r)
		return
	}
	w.Write(f.records[r.URL.Path])
}

func missing(code string) *APIError { return &APIError{Status: 404, Code: code, Message: "not there"} }

// apigateway serves /v2/apis and below generically: a collection's members by
// path, ids made up.
func (f *fake) apigateway(r *http.Request, in map[string]any) (string, int, any) {
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i])
	}
	names := map[string]string{"apis": "Api", "routes": "Route", "integrations": "Integration", "routeresponses": "RouteResponse",
		"integrationresponses": "IntegrationResponse", "deployments": "Deployment", "stages": "Stage", "tags": "Resource",
		"routesettings": "RouteSettings", "requestparameters": "RouteRequestParameter"}
	whole := len(parts)%2 == 0 // v2/apis is even: a collection
	kind := parts[len(parts)-1]
	if !whole {
		kind = parts[len(parts)-2]
	}
	verb := map[string]string{"POST": "Create", "GET": "Get", "PATCH": "Update", "DELETE": "Delete"}[r.Method]
	operation := verb + names[kind]
	if whole && verb == "Get" {
		operation += "s"
	}
	f.note(operation, in)
	if e := f.refused(operation, in); e != nil {
		return operation, 0, e
	}
	path := strings.Join(parts, "/")
	if kind == "tags" || kind == "routesettings" || kind == "requestparameters" {
		return operation, 200, map[string]any{}
	}
	if len(parts) > 3 {
		if parent := strings.Join(parts[:3], "/"); f.things[parent] == nil {
			return operation, 0, missing("NotFoundException")
		}
	}
	if whole {
		return f.apiCollection(operation, path, names[kind], verb, in)
	}
	thing := f.things[path]
	if thing == nil {
		return operation, 0, missing("NotFoundException")
	}
	switch verb {
	case "Update":
		maps.Copy(thing, in)
	case "Delete":
		for k := range f.things {
			if k == path || strings.HasPrefix(k, path+"/") {
				delete(f.things, k)
			}
		}
		return operation, 204, nil
	}
	return operation, 200, thing
}

func (f *fake) apiCollection(operation, path, name, verb string, in map[string]any) (string, int, any) {
	if verb == "Get" {
		items := []any{}
		for _, k := range keys(f.things) {
			if strings.HasPrefix(k, path+"/") && !strings.Contains(k[len(path)+1:], "/") {
				items = append(items, f.things[k])
			}
		}
		return operation, 200, map[string]any{"items": items}
	}
	for k, other := range f.things {
		if name == "Route" && strings.HasPrefix(k, path+"/") && other["routeKey"] == in["routeKey"] {
			return operation, 0, &APIError{Status: 409, Code: "ConflictException", Message: "Route with key already exists for this API"}
		}
	}
	f.next++
	id := fmt.Sprintf("%s%d", strings.ToLower(name[:1]), f.next)
	if tags, ok := in["tags"].(map[string]any); ok && name == "Api" {
		id, _ = tags["_custom_id_"].(string)
	}
	if name == "Stage" {
		id, _ = in["stageName"].(string)
	}
	if f.things[path+"/"+id] != nil {
		return operation, 0, &APIError{Status: 409, Code: "ConflictException", Message: name + " already exists"}
	}
	thing := maps.Clone(in)
	thing[lowerFirst(name)+"Id"] = id
	if name == "Api" {
		thing["apiEndpoint"] = "wss://" + id + ".execute-api.us-east-1.amazonaws.com"
	}
	f.things[path+"/"+id] = thing
	return operation, 201, thing
}

func (f *fake) lambda(r *http.Request, in map[string]any) (string, int, any) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	name := ""
	if len(parts) > 2 {
		name = parts[2]
	}
	operation := ""
	switch {
	case parts[1] == "tags":
		operation = map[string]string{"GET": "ListTags", "POST": "TagResource", "DELETE": "UntagResource"}[r.Method]
		name = strings.TrimPrefix(name[strings.LastIndexByte(name, ':')+1:], ":")
	case len(parts) == 2:
		operation, name = "CreateFunction", in["FunctionName"].(string)
	case len(parts) == 3:
		operation = map[string]string{"GET": "GetFunction", "DELETE": "DeleteFunction"}[r.Method]
	case parts[3] == "policy":
		operation = map[string]string{"POST": "AddPermission", "DELETE": "RemovePermission"}[r.Method]
	default:
		verb := map[string]string{"GET": "Get", "PUT": "Update"}[r.Method]
		operation = verb + "Function" + map[string]string{"code": "Code", "configuration": "Configuration"}[parts[3]]
	}
	f.note(operation, in)
	if e := f.refused(operation, in); e != nil {
		return operation, 0, e
	}
	key := "function/" + name
	arn := map[string]any{"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:" + name}
	switch {
	case operation == "CreateFunction" && f.things[key] != nil:
		return operation, 0, &APIError{Status: 409, Code: "ResourceConflictException", Message: "Function already exist: " + name}
	case operation == "CreateFunction":
		f.things[key] = in
		return operation, 201, arn
	case f.things[key] == nil:
		return operation, 0, missing("ResourceNotFoundException")
	case operation == "DeleteFunction":
		delete(f.things, key)
		return operation, 204, nil
	case operation == "AddPermission":
		sid := key + "/policy/" + in["StatementId"].(string)
		if f.things[sid] != nil {
			return operation, 0, &APIError{Status: 409, Code: "ResourceConflictException", Message: "The statement id already exists"}
		}
		f.things[sid] = in
		return operation, 201, map[string]any{"Statement": "{}"}
	case operation == "RemovePermission":
		sid := key + "/policy/" + parts[4]
		if f.things[sid] == nil {
			return operation, 0, missing("ResourceNotFoundException")
		}
		delete(f.things, sid)
		return operation, 204, nil
	}
	maps.Copy(f.things[key], in)
	return operation, 200, arn
}

func (f *fake) target(operation string, in map[string]any) (int, any) {
	if e := f.refused(operation, in); e != nil {
		return 0, e
	}
	name := orEmpty(in["Name"]) + orEmpty(in["Rule"]) + orEmpty(in["TableName"])
	rule, table := "rule/"+name, "table/"+name
	switch operation {
	case "PutRule":
		if f.things[rule] == nil {
			f.things[rule] = map[string]any{"targets": map[string]any{}}
		}
		f.things[rule]["rule"] = in
		return 200, map[string]any{"RuleArn": "arn:aws:events:us-east-1:000000000000:rule/" + name}
	case "DescribeRule", "DeleteRule", "ListTargetsByRule", "PutTargets", "RemoveTargets":
		return f.rule(operation, rule, in)
	case "CreateTable":
		if f.things[table] != nil {
			return 0, &APIError{Status: 400, Code: "ResourceInUseException", Message: "Table already exists: " + name}
		}
		f.things[table] = maps.Clone(in)
		f.things[table]["TableArn"] = "arn:aws:dynamodb:us-east-1:000000000000:table/" + name
		f.things[table]["TableStatus"] = "ACTIVE"
		if in["BillingMode"] != nil {
			f.things[table]["BillingModeSummary"] = map[string]any{"BillingMode": in["BillingMode"]}
		}
		out := maps.Clone(f.things[table])
		out["TableStatus"] = "CREATING"
		return 200, map[string]any{"TableDescription": out}
	}
	if operation != "TagResource" && f.things[table] == nil {
		return 0, &APIError{Status: 400, Code: "ResourceNotFoundException", Message: "no table " + name}
	}
	switch operation {
	case "DescribeTable":
		return 200, map[string]any{"Table": f.things[table]}
	case "DeleteTable":
		delete(f.things, table)
	case "UpdateTable":
		f.updateTable(f.things[table], in)
	}
	return 200, map[string]any{}
}

// updateTable changes the description as DynamoDB does.
func (f *fake) updateTable(d, in map[string]any) {
	for _, name := range []string{"ProvisionedThroughput", "DeletionProtectionEnabled"} {
		if v, ok := in[name]; ok {
			d[name] = v
		}
	}
	if mode, ok := in["BillingMode"]; ok {
		d["BillingModeSummary"] = map[string]any{"BillingMode": mode}
	}
	indexes, _ := d["GlobalSecondaryIndexes"].([]any)
	updates, _ := in["GlobalSecondaryIndexUpdates"].([]any)
	for _, u := range updates {
		for action, x := range u.(map[string]any) {
			name := x.(map[string]any)["IndexName"]
			at := slices.IndexFunc(indexes, func(i any) bool { return i.(map[string]any)["IndexName"] == name })
			switch action {
			case "Create":
				indexes = append(indexes, x)
			case "Delete":
				indexes = slices.Delete(slices.Clone(indexes), at, at+1)
			case "Update":
				indexes[at].(map[string]any)["ProvisionedThroughput"] = x.(map[string]any)["ProvisionedThroughput"]
			}
		}
	}
	d["GlobalSecondaryIndexes"] = indexes
}

func (f *fake) rule(operation, key string, in map[string]any) (int, any) {
	r := f.things[key]
	if r == nil {
		return 0, &APIError{Status: 400, Code: "ResourceNotFoundException", Message: "no rule"}
	}
	targets := r["targets"].(map[string]any)
	switch operation {
	case "DeleteRule":
		if len(targets) > 0 {
			return 0, &APIError{Status: 400, Code: "ValidationException", Message: "Rule can't be deleted since it has targets."}
		}
		delete(f.things, key)
	case "ListTargetsByRule":
		items := []any{}
		for _, id := range keys(targets) {
			items = append(items, targets[id])
		}
		return 200, map[string]any{"Targets": items}
	case "PutTargets":
		for _, t := range in["Targets"].([]any) {
			targets[t.(map[string]any)["Id"].(string)] = t
		}
	case "RemoveTargets":
		for _, id := range in["Ids"].([]any) {
			delete(targets, id.(string))
		}
	}
	return 200, map[string]any{"FailedEntryCount": 0}
}

func (f *fake) iam(operation string, in map[string]any) (int, any) {
	if e := f.refused(operation, in); e != nil {
		return 0, e
	}
	name := orEmpty(in["RoleName"])
	key := "role/" + name
	if f.things[key] == nil && operation != "CreateRole" {
		return 0, missing("NoSuchEntity")
	}
	switch operation {
	case "CreateRole":
		if f.things[key] != nil {
			return 0, &APIError{Status: 409, Code: "EntityAlreadyExists", Message: "Role with name " + name + " already exists."}
		}
		f.things[key] = map[string]any{}
	case "PutRolePolicy":
		f.things[key][orEmpty(in["PolicyName"])] = in["PolicyDocument"]
	case "DeleteRolePolicy":
		delete(f.things[key], orEmpty(in["PolicyName"]))
	case "AttachRolePolicy":
		f.things[key][orEmpty(in["PolicyArn"])] = true
	case "DetachRolePolicy":
		delete(f.things[key], orEmpty(in["PolicyArn"]))
	case "DeleteRole":
		if len(f.things[key]) > 0 {
			return 0, &APIError{Status: 409, Code: "DeleteConflict", Message: "the role has policies"}
		}
		delete(f.things, key)
	}
	type role struct {
		XMLName xml.Name `xml:"Response"`
		Arn     string   `xml:"Result>Role>Arn"`
		RoleID  string   `xml:"Result>Role>RoleId"`
	}
	b, _ := xml.Marshal(role{Arn: "arn:aws:iam::000000000000:role/" + name, RoleID: "AROA" + strings.ToUpper(name)})
	return 200, string(b)
}
