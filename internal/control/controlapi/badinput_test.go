package controlapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
)

// An operation is one of AWS's, with a body that it takes. {names} in path and
// body stand for what the API under test has.
type operation struct {
	method, path string
	body         string // "" for none
	required     string // members, apart from those in the path
	input        any    // the SDK's, which knows all members
}

const (
	anAPI       = "/v2/apis/{api}"
	aRoute      = anAPI + "/routes/{route}"
	anInt       = anAPI + "/integrations/{integration}"
	aStage      = anAPI + "/stages/{stage}"
	functionURI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
)

// operations are all that serve WebSocket APIs and name or make something.
var operations = []operation{
	{"POST", "/v2/apis", `{"name":"x","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action"}`, "name protocolType", sdk.CreateApiInput{}},
	{"GET", anAPI, "", "", nil},
	{"PATCH", anAPI, `{"name":"y"}`, "", sdk.UpdateApiInput{}},
	{"POST", anAPI + "/authorizers", `{"name":"other","authorizerType":"REQUEST","authorizerUri":"` + functionURI + `","identitySource":["route.request.header.A"]}`, "name authorizerType", sdk.CreateAuthorizerInput{}},
	{"GET", anAPI + "/authorizers", "", "", nil},
	{"GET", anAPI + "/authorizers/{authorizer}", "", "", nil},
	{"PATCH", anAPI + "/authorizers/{authorizer}", `{"name":"y"}`, "", sdk.UpdateAuthorizerInput{}},
	{"DELETE", anAPI + "/authorizers/{authorizer}", "", "", nil},
	{"POST", anAPI + "/deployments", `{"description":"d"}`, "", sdk.CreateDeploymentInput{}},
	{"GET", anAPI + "/deployments", "", "", nil},
	{"GET", anAPI + "/deployments/{deployment}", "", "", nil},
	{"PATCH", anAPI + "/deployments/{deployment}", `{"description":"d"}`, "", sdk.UpdateDeploymentInput{}},
	{"DELETE", anAPI + "/deployments/{deployment}", "", "", nil},
	{"POST", anAPI + "/integrations", `{"integrationType":"MOCK"}`, "integrationType", sdk.CreateIntegrationInput{}},
	{"GET", anAPI + "/integrations", "", "", nil},
	{"GET", anInt, "", "", nil},
	{"PATCH", anInt, `{"description":"d"}`, "", sdk.UpdateIntegrationInput{}},
	{"DELETE", anInt, "", "", nil},
	{"POST", anInt + "/integrationresponses", `{"integrationResponseKey":"/5../"}`, "integrationResponseKey", sdk.CreateIntegrationResponseInput{}},
	{"GET", anInt + "/integrationresponses", "", "", nil},
	{"GET", anInt + "/integrationresponses/{integrationresponse}", "", "", nil},
	{"PATCH", anInt + "/integrationresponses/{integrationresponse}", `{"integrationResponseKey":"/4../"}`, "", sdk.UpdateIntegrationResponseInput{}},
	{"DELETE", anInt + "/integrationresponses/{integrationresponse}", "", "", nil},
	{"POST", anAPI + "/models", `{"name":"Other","schema":"{}"}`, "name schema", sdk.CreateModelInput{}},
	{"GET", anAPI + "/models", "", "", nil},
	{"GET", anAPI + "/models/{model}", "", "", nil},
	{"PATCH", anAPI + "/models/{model}", `{"description":"d"}`, "", sdk.UpdateModelInput{}},
	{"DELETE", anAPI + "/models/{model}", "", "", nil},
	{"GET", anAPI + "/models/{model}/template", "", "", nil},
	{"POST", anAPI + "/routes", `{"routeKey":"other"}`, "routeKey", sdk.CreateRouteInput{}},
	{"GET", anAPI + "/routes", "", "", nil},
	{"GET", aRoute, "", "", nil},
	{"PATCH", aRoute, `{"operationName":"o"}`, "", sdk.UpdateRouteInput{}},
	{"DELETE", aRoute, "", "", nil},
	{"DELETE", aRoute + "/requestparameters/route.request.querystring.q", "", "", nil},
	{"POST", anAPI + "/routes/{plain}/routeresponses", `{"routeResponseKey":"$default"}`, "routeResponseKey", sdk.CreateRouteResponseInput{}},
	{"GET", aRoute + "/routeresponses", "", "", nil},
	{"GET", aRoute + "/routeresponses/{routeresponse}", "", "", nil},
	{"PATCH", aRoute + "/routeresponses/{routeresponse}", `{"modelSelectionExpression":"x"}`, "", sdk.UpdateRouteResponseInput{}},
	{"DELETE", aRoute + "/routeresponses/{routeresponse}", "", "", nil},
	{"POST", anAPI + "/stages", `{"stageName":"other"}`, "stageName", sdk.CreateStageInput{}},
	{"GET", anAPI + "/stages", "", "", nil},
	{"GET", aStage, "", "", nil},
	{"PATCH", aStage, `{"description":"d"}`, "", sdk.UpdateStageInput{}},
	{"DELETE", aStage + "/accesslogsettings", "", "", nil},
	{"DELETE", aStage + "/routesettings/$default", "", "", nil},
	{"DELETE", aStage, "", "", nil},
	{"POST", "/v2/tags/arn:aws:apigateway:us-east-1::/apis/{api}/stages/{stage}", `{"tags":{"a":"b"}}`, "", sdk.TagResourceInput{}},
	{"GET", "/v2/tags/arn:aws:apigateway:us-east-1::/apis/{api}", "", "", nil},
	{"DELETE", "/v2/tags/arn:aws:apigateway:us-east-1::/apis/{api}?tagKeys=a", "", "", nil},
	{"POST", "/v2/vpclinks", `{"name":"x","subnetIds":["s"]}`, "name subnetIds", sdk.CreateVpcLinkInput{}},
	{"GET", "/v2/vpclinks/{vpclink}", "", "", nil},
	{"PATCH", "/v2/vpclinks/{vpclink}", `{"name":"y"}`, "", sdk.UpdateVpcLinkInput{}},
	{"DELETE", "/v2/vpclinks/{vpclink}", "", "", nil},
	{"DELETE", anAPI, "", "", nil},
}

// A world is an API with one of everything; ids by the names in operations.
type world struct {
	t   *testing.T
	p   *plane
	ids map[string]string
}

func newWorld(t *testing.T, p *plane) *world {
	t.Helper()
	w := &world{t: t, p: p, ids: map[string]string{"stage": "dev"}}
	make := func(name, member, path, body string) {
		t.Helper()
		status, _, text := call(t, "POST", p.url+w.fill(path), w.fill(body))
		var out map[string]any
		if err := json.Unmarshal([]byte(text), &out); err != nil || status != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, status, text)
		}
		w.ids[name], _ = out[member].(string)
	}
	make("api", "apiId", "/v2/apis", operations[0].body)
	make("authorizer", "authorizerId", anAPI+"/authorizers", `{"name":"a","authorizerType":"REQUEST","authorizerUri":"`+functionURI+`","identitySource":["route.request.header.A"]}`)
	make("integration", "integrationId", anAPI+"/integrations", `{"integrationType":"MOCK"}`)
	make("integrationresponse", "integrationResponseId", anInt+"/integrationresponses", `{"integrationResponseKey":"$default"}`)
	make("model", "modelId", anAPI+"/models", `{"name":"M","schema":"{}"}`)
	make("route", "routeId", anAPI+"/routes", `{"routeKey":"$default","requestParameters":{"route.request.querystring.q":{"required":true}}}`)
	make("routeresponse", "routeResponseId", aRoute+"/routeresponses", `{"routeResponseKey":"$default"}`)
	make("plain", "routeId", anAPI+"/routes", `{"routeKey":"plain"}`)
	make("deployment", "deploymentId", anAPI+"/deployments", `{}`)
	make("stage", "stageName", anAPI+"/stages", `{"stageName":"dev","routeSettings":{"$default":{}}}`)
	make("vpclink", "vpcLinkId", "/v2/vpclinks", `{"name":"x","subnetIds":["s"]}`)
	return w
}

// fill puts ids in the place of names.
func (w *world) fill(text string) string {
	for name, id := range w.ids {
		text = strings.ReplaceAll(text, "{"+name+"}", id)
	}
	return text
}

// state is all that the API and its neighbours are.
func (w *world) state() string {
	var b strings.Builder
	for _, path := range []string{"/v2/apis", "/v2/vpclinks", anAPI, anAPI + "/authorizers", anAPI + "/deployments", anAPI + "/integrations", anInt + "/integrationresponses",
		anAPI + "/models", anAPI + "/routes", aRoute + "/routeresponses", anAPI + "/stages"} {
		_, _, body := call(w.t, "GET", w.p.url+w.fill(path), "")
		b.WriteString(body + "\n")
	}
	return b.String()
}

// refuses calls the operation and wants the refusal, in AWS's shape, with the
// text in it.
func (w *world) refuses(what string, op operation, body string, status int, errorType, text string) {
	w.t.Helper()
	got, header, answer := call(w.t, op.method, w.p.url+w.fill(op.path), w.fill(body))
	var shape struct{ Message string }
	err := json.Unmarshal([]byte(answer), &shape)
	if got != status || header.Get("X-Amzn-Errortype") != errorType || err != nil || shape.Message == "" || !strings.Contains(shape.Message, text) {
		w.t.Errorf("%s: %s %s %.200s gave %d %s %.300s; want %d %s with %q", what, op.method, op.path, body, got, header.Get("X-Amzn-Errortype"), answer, status, errorType, text)
	}
	if len(answer) > 2000 {
		w.t.Errorf("%s: the answer has %d bytes", what, len(answer))
	}
}

// without returns the body less a member.
func without(body, member string) string {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return body
	}
	delete(m, member)
	b, _ := json.Marshal(m) // what was JSON is
	return string(b)
}

func TestMissingMembers(t *testing.T) {
	w := newWorld(t, start(t, awshttp.Warn, nil))
	before := w.state()
	for _, op := range operations {
		for _, member := range strings.Fields(op.required) {
			name := strings.ToUpper(member[:1]) + member[1:]
			if member == "protocolType" {
				name = "protocol"
			}
			w.refuses("without "+member, op, without(op.body, member), 400, "BadRequestException", name)
			w.refuses("null "+member, op, setMember(op.body, member, "null"), 400, "BadRequestException", name)
		}
	}
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Errorf("refused calls changed (-before +after):\n%s", diff)
	}
}

// setMember returns the body with a member set to JSON.
func setMember(body, member, value string) string {
	m := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return body
	}
	m[member] = json.RawMessage(value)
	names := slices.Sorted(maps.Keys(m))
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%q:%s", name, m[name])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestUnreadableBodies(t *testing.T) {
	w := newWorld(t, start(t, awshttp.Warn, nil))
	before := w.state()
	bodies := map[string]string{
		"cut off":    `{"name":"x`,
		"no JSON":    `name=x`,
		"two values": `{} {}`,
		"null":       `null`,
		"a list":     `[]`,
		"a string":   `"x"`,
		"not UTF-8":  "{\"description\":\"\xff\"}",
		"deep":       strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000),
		"deep lists": `{"tags":` + strings.Repeat("[", 200000),
		"a BOM":      "\ufeff{}",
	}
	for _, op := range operations {
		if op.body == "" {
			continue
		}
		for what, body := range bodies {
			w.refuses(what, op, body, 400, "SerializationException", "the request's JSON could not be read")
		}
	}
	huge := operation{method: "POST", path: "/v2/apis"}
	status, header, _ := call(t, huge.method, w.p.url+huge.path, `{"name":"`+strings.Repeat("x", 8<<20)+`"}`)
	if status != http.StatusRequestEntityTooLarge || header.Get("X-Amzn-Errortype") != "RequestEntityTooLargeException" {
		t.Errorf("8 MiB: %d %s", status, header.Get("X-Amzn-Errortype"))
	}
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Errorf("refused calls changed (-before +after):\n%s", diff)
	}
}

// eachMember calls fn with each member of the operations' bodies, its name in
// JSON and its type in the SDK.
func eachMember(fn func(op operation, member string, t reflect.Type)) {
	inPath := []string{"apiId", "authorizerId", "integrationId", "integrationResponseId", "modelId", "routeId", "routeResponseId", "resourceArn", "vpcLinkId"}
	for _, op := range operations {
		if op.input == nil {
			continue
		}
		typ := reflect.TypeOf(op.input)
		for i := range typ.NumField() {
			f := typ.Field(i)
			member := strings.ToLower(f.Name[:1]) + f.Name[1:]
			own := strings.Contains(typ.Name(), "Deployment") && member == "deploymentId" || typ.Name() == "UpdateStageInput" && member == "stageName"
			if !f.IsExported() || slices.Contains(inPath, member) || own {
				continue
			}
			t := f.Type
			if t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
			fn(op, member, t)
		}
	}
}

// What may come in the place of a value of the type.
func wrongTypes(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.String:
		return []string{`5`, `true`, `{}`, `[]`}
	case reflect.Bool:
		return []string{`5`, `"true"`, `{}`}
	case reflect.Int32:
		return []string{`"5"`, `true`, `1.5`, `1e400`, `99999999999999999999`}
	case reflect.Map:
		return []string{`5`, `"x"`, `[]`, `{"k":5}`, `{"k":[]}`}
	case reflect.Slice:
		return []string{`5`, `"x"`, `[5]`, `[{}]`}
	}
	return []string{`5`, `"x"`, `[]`}
}

func TestWrongTypes(t *testing.T) {
	w := newWorld(t, start(t, awshttp.Warn, nil))
	before := w.state()
	// What belongs to HTTP APIs is refused whatever it holds.
	refused := []string{"corsConfiguration", "jwtConfiguration", "tlsConfig", "responseParameters"}
	eachMember(func(op operation, member string, typ reflect.Type) {
		if slices.Contains(refused, member) && (member != "responseParameters" || strings.HasSuffix(op.path, "/integrations") || op.path == anInt) {
			w.refuses(member, op, setMember(op.body, member, `"x"`), 400, "BadRequestException", "HTTP APIs")
			return
		}
		for _, value := range wrongTypes(typ) {
			w.refuses(member, op, setMember(op.body, member, value), 400, "SerializationException", member)
		}
	})
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Errorf("refused calls changed (-before +after):\n%s", diff)
	}
}

// Values of the right type that are too much: every member has a bound.
func TestOversizedMembers(t *testing.T) {
	w := newWorld(t, start(t, awshttp.Warn, nil))
	before := w.state()
	long := `"` + strings.Repeat("x", 512<<10) + `"`
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `"k%d":{},`, i)
	}
	eachMember(func(op operation, member string, typ reflect.Type) {
		var values []string
		switch typ.Kind() {
		case reflect.String:
			values = []string{long}
		case reflect.Int32:
			values = []string{"-1", "2147483648", "9007199254740993"}
		case reflect.Slice:
			values = []string{"[" + strings.Repeat(`"x",`, 1000) + `"x"]`, "[" + long + "]"}
		case reflect.Map:
			element := `"v"`
			if typ.Elem().Kind() == reflect.Struct {
				element = `{}`
			} else {
				values = []string{`{"k":` + long + `}`}
			}
			values = append(values, `{`+long+`:`+element+`}`, `{`+strings.ReplaceAll(strings.TrimSuffix(many.String(), ","), "{}", element)+`}`)
		case reflect.Struct:
			switch member {
			case "accessLogSettings":
				values = []string{`{"format":` + long + `}`, `{"destinationArn":` + long + `}`}
			case "defaultRouteSettings":
				values = []string{`{"throttlingBurstLimit":-1}`, `{"throttlingBurstLimit":2147483648}`, `{"throttlingRateLimit":-0.5}`, `{"loggingLevel":"LOUD"}`}
			}
		}
		for _, value := range values {
			got, header, answer := call(t, op.method, w.p.url+w.fill(op.path), setMember(op.body, member, value))
			errorType := header.Get("X-Amzn-Errortype")
			if got < 400 || got > 499 || !slices.Contains([]string{"BadRequestException", "NotFoundException", "TooManyRequestsException", "SerializationException"}, errorType) || len(answer) > 2000 {
				t.Errorf("%s: %s %s %.80s gave %d %s %.300s", member, op.method, op.path, value, got, errorType, answer)
			}
		}
	})
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Errorf("refused calls changed (-before +after):\n%s", diff)
	}
}

// Ids of another API, of nothing, and of odd looks name nothing here.
func TestForeignIDs(t *testing.T) {
	p := start(t, awshttp.Warn, nil)
	w, other := newWorld(t, p), newWorld(t, p)
	before := w.state() + other.state()
	for _, op := range operations {
		for _, name := range []string{"api", "route", "plain", "routeresponse", "integration", "integrationresponse", "authorizer", "model", "deployment", "stage", "vpclink"} {
			if !strings.Contains(op.path, "{"+name+"}") {
				continue
			}
			ids := []string{"none", "%20", "a%2fb", "%00", strings.Repeat("x", 3000)}
			if strings.Contains(op.path, "/tags/") {
				ids = slices.Delete(ids, 2, 3) // another ARN
			}
			if name != "api" && name != "stage" && name != "vpclink" {
				ids = append(ids, other.ids[name])
			}
			for _, id := range ids {
				mine := w.ids[name]
				w.ids[name] = id
				w.refuses("the "+name+" "+id[:min(len(id), 20)], op, op.body, 404, "NotFoundException", "specified")
				w.ids[name] = mine
			}
		}
	}
	// And in bodies.
	for _, c := range []struct{ path, body, errorType string }{
		{anAPI + "/routes", `{"routeKey":"x","target":"integrations/` + other.ids["integration"] + `"}`, "NotFoundException"},
		{anAPI + "/routes", `{"routeKey":"$connect","authorizationType":"CUSTOM","authorizerId":"` + other.ids["authorizer"] + `"}`, "NotFoundException"},
		{anAPI + "/routes", `{"routeKey":"x","requestModels":{"a":"Foreign"}}`, "BadRequestException"},
		{anAPI + "/routes/{plain}/routeresponses", `{"routeResponseKey":"$default","responseModels":{"a":"Foreign"}}`, "BadRequestException"},
		{anAPI + "/stages", `{"stageName":"x","deploymentId":"` + other.ids["deployment"] + `"}`, "NotFoundException"},
		{anAPI + "/deployments", `{"stageName":"none"}`, "NotFoundException"},
	} {
		status := map[string]int{"NotFoundException": 404, "BadRequestException": 400}[c.errorType]
		w.refuses("in a body", operation{method: "POST", path: c.path}, c.body, status, c.errorType, "specified")
	}
	if diff := cmp.Diff(before, w.state()+other.state()); diff != "" {
		t.Errorf("refused calls changed (-before +after):\n%s", diff)
	}
}

// As on AWS, members that nobody knows do nothing, and names are as they are
// spelled.
func TestUnknownMembers(t *testing.T) {
	w := newWorld(t, start(t, awshttp.Warn, nil))
	for _, op := range operations {
		if op.body == "" {
			continue
		}
		status, _, answer := call(t, op.method, w.p.url+w.fill(op.path), setMember(setMember(op.body, "someday", `{"a":[1]}`), "Description", `{"a":5}`))
		if status > 299 {
			t.Errorf("%s %s with members unknown: %d %s", op.method, op.path, status, answer)
		}
	}
	status, _, answer := call(t, "POST", w.p.url+"/v2/apis", `{"Name":"x","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action"}`)
	if status != 400 || !strings.Contains(answer, "Name is required") {
		t.Errorf("a member in other letters: %d %s", status, answer)
	}
}
