package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// build makes the script's API: each part is one call of apigatewayv2.
func (r *run) build(d *definition) error {
	r.stage = "prod"
	api := maps.Clone(d.api)
	if api["name"] == nil {
		api["name"] = "conformance " + r.script.id
	}
	out, err := r.create("/v2/apis", api)
	if err != nil {
		return err
	}
	r.apiID, _ = out["apiId"].(string)
	r.values["apiId"], r.values["host"] = r.apiID, r.target.host(r.apiID)
	if err := r.bind(d); err != nil {
		return err
	}
	base := "/v2/apis/" + r.apiID
	for _, name := range slices.Sorted(maps.Keys(d.models)) {
		members := map[string]any{"name": name, "contentType": "application/json"}
		maps.Copy(members, d.models[name])
		if schema, ok := members["schema"].(map[string]any); ok {
			members["schema"] = asJSON(schema)
		}
		if _, err := r.create(base+"/models", members); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.authorizers)) {
		members := maps.Clone(d.authorizers[name].members)
		if members["authorizerUri"] == nil {
			members["authorizerUri"] = r.invocation(d.authorizers[name].function)
		}
		if err := r.createNamed(base+"/authorizers", members, "authorizerId", name); err != nil {
			return err
		}
	}
	if err := r.buildIntegrations(d, base); err != nil {
		return err
	}
	if err := r.buildRoutes(d, base); err != nil {
		return err
	}
	if d.stage == nil {
		return nil
	}
	return r.buildStage(d, base)
}

// bind gives every backend of the script its place: a function a relay, an HTTP
// backend a path.
func (r *run) bind(d *definition) error {
	for _, name := range slices.Sorted(maps.Keys(d.backends)) {
		b := newBackend(name, d.backends[name])
		r.named[name] = b
		if !b.function {
			if service := d.services[name]; service != "" {
				r.backends.taken[service].Lock() // others wait: a service has one address
				r.services = append(r.services, service)
				r.segments = append(r.segments, serviceSegment(service))
				r.backends.bind(serviceSegment(service), b, r.apiID)
				continue
			}
			segment := strings.ToLower(r.script.id) + "-" + r.apiID + "-" + name
			r.segments = append(r.segments, segment)
			r.backends.bind(segment, b, r.apiID)
			url := r.backends.base + "/" + segment
			r.values["backendUrl."+name] = url
			r.values["backendScheme."+name], r.values["backendHost."+name], _ = strings.Cut(url, "://")
			continue
		}
		relay, err := r.relays.lease(r.ctx)
		if err != nil {
			return fmt.Errorf("make a function: %w", err)
		}
		r.leased = append(r.leased, relay)
		r.backends.bind(relay.segment, b, r.apiID)
		r.values["functionArn."+name] = relay.arn
	}
	return nil
}

// invocation is the URI by which API Gateway invokes a function.
func (r *run) invocation(function string) string {
	return fmt.Sprintf("arn:aws:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", r.target.region, r.values["functionArn."+function])
}

func (r *run) buildIntegrations(d *definition, base string) error {
	for _, name := range slices.Sorted(maps.Keys(d.integrations)) {
		i := d.integrations[name]
		members := maps.Clone(i.members)
		if members["integrationUri"] == nil && i.backend != "" {
			if r.named[i.backend].function {
				members["integrationUri"] = r.invocation(i.backend)
			} else {
				members["integrationUri"] = r.values["backendUrl."+i.backend] + i.path
			}
		}
		if err := r.createNamed(base+"/integrations", members, "integrationId", name); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(i.responses)) {
			response := map[string]any{"integrationResponseKey": key}
			maps.Copy(response, i.responses[key])
			if _, err := r.create(base+"/integrations/"+r.values["integrationId."+name]+"/integrationresponses", response); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) buildRoutes(d *definition, base string) error {
	for _, key := range slices.Sorted(maps.Keys(d.routes)) {
		route := d.routes[key]
		members := maps.Clone(route.members)
		if route.target != "" {
			members["target"] = "integrations/" + r.values["integrationId."+route.target]
		}
		if route.authorizer != "" {
			members["authorizationType"], members["authorizerId"] = "CUSTOM", r.values["authorizerId."+route.authorizer]
		}
		if err := r.createNamed(base+"/routes", members, "routeId", key); err != nil {
			return err
		}
		if route.response != nil {
			if _, err := r.create(base+"/routes/"+r.values["routeId."+key]+"/routeresponses", route.response); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) buildStage(d *definition, base string) error {
	stage := maps.Clone(d.stage)
	r.stage, _ = stage["stageName"].(string)
	if stage["autoDeploy"] != true {
		if err := r.createNamed(base+"/deployments", map[string]any{}, "deploymentId", ""); err != nil {
			return err
		}
		stage["deploymentId"] = r.values["deploymentId"]
	}
	if log, ok := stage["accessLogSettings"].(map[string]any); ok && log["destinationArn"] == nil {
		r.logGroup = "/conformance/" + r.apiID
		if _, err := r.target.logs(r.ctx, "CreateLogGroup", map[string]any{"logGroupName": r.logGroup}); err != nil {
			return err
		}
		log = maps.Clone(log)
		log["destinationArn"] = "arn:aws:logs:" + r.target.region + ":" + r.target.account + ":log-group:" + r.logGroup
		stage["accessLogSettings"] = log
	}
	if _, err := r.create(base+"/stages", stage); err != nil {
		return err
	}
	r.values["stage"] = r.stage
	r.settle()
	return nil
}

// settle waits until a deployment is everywhere, where that takes a while.
func (r *run) settle() {
	select {
	case <-time.After(r.target.settle):
	case <-r.ctx.Done():
	}
}

// create makes a resource; AWS asks for patience, two hundred calls later.
func (r *run) create(path string, members map[string]any) (map[string]any, error) {
	filled := fillAll(r.values, members)
	for attempt := 0; ; attempt++ {
		resp, err := r.target.call(r.ctx, "apigateway", http.MethodPost, path, filled)
		if err != nil {
			return nil, err
		}
		if resp.status == http.StatusTooManyRequests && attempt < 8 && r.target.isAWS() {
			time.Sleep(time.Second << min(attempt, 4))
			continue
		}
		if resp.status/100 != 2 {
			return nil, fmt.Errorf("POST %s %s: %d %s", path, asJSON(filled), resp.status, resp.body)
		}
		var out map[string]any
		return out, json.Unmarshal([]byte(resp.body), &out)
	}
}

// createNamed makes a resource and remembers its id as <field.name>.
func (r *run) createNamed(path string, members map[string]any, field, name string) error {
	out, err := r.create(path, members)
	if err != nil {
		return err
	}
	id, ok := out[field].(string)
	if !ok {
		return fmt.Errorf("POST %s answered no %s: %s", path, field, asJSON(out))
	}
	if name != "" {
		field += "." + name
	}
	r.values[field] = id
	return nil
}

// deploy deploys the API to its stage again.
func (r *run) deploy(*step) error {
	resp, err := r.target.call(r.ctx, "apigateway", http.MethodPost, "/v2/apis/"+r.apiID+"/deployments", map[string]any{"stageName": r.stage})
	if err != nil {
		return err
	}
	if resp.status != http.StatusCreated {
		return fmt.Errorf("the deployment was answered %d %s", resp.status, resp.body)
	}
	r.settle()
	return nil
}

// logged looks at the next line of the stage's access log.
func (r *run) logged(s *step) error {
	if r.logGroup == "" {
		return errors.New("the stage has no accessLogSettings of its own")
	}
	return r.watchLog(r.logGroup, s.args[0], func(lines []string) (bool, error) {
		if len(lines) <= r.logLines {
			return false, nil
		}
		r.logLines++
		return true, differs(r.values.matchText(s.args[0], lines[r.logLines-1]))
	})
}

// traced wants a line of the stage's execution log to have a text.
func (r *run) traced(s *step) error {
	group := "API-Gateway-Execution-Logs_" + r.apiID + "/" + r.stage
	return r.watchLog(group, s.args[0], func(lines []string) (bool, error) {
		for _, line := range lines {
			found, err := r.values.matchText("<any>"+s.args[0]+"<any>", line)
			if err != nil || len(found) == 0 {
				return true, err
			}
		}
		return false, nil
	})
}

// watchLog shows look all lines of a log group, again and again until it has seen
// enough.
func (r *run) watchLog(group, want string, look func(lines []string) (bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var lines []string
		got, err := r.target.logs(r.ctx, "FilterLogEvents", map[string]any{"logGroupName": group})
		if err == nil {
			var out struct{ Events []struct{ Message string } }
			if err := json.Unmarshal([]byte(got), &out); err != nil {
				return err
			}
			for _, e := range out.Events {
				lines = append(lines, strings.TrimSuffix(e.Message, "\n"))
			}
		} else if !strings.Contains(err.Error(), "ResourceNotFoundException") { // it isn't there before its first line
			return err
		}
		if seen, err := look(lines); seen || err != nil {
			return err
		}
		if time.Now().After(end) {
			return &failure{mismatches: []mismatch{{"", want, fmt.Sprintf("(no such line in %v; the log is)\n%s", patience, strings.Join(lines, "\n"))}}}
		}
	}
}

// counted waits for a line of Tidegate's own metrics.
func (r *run) counted(s *step) error {
	sign, err := r.signing("signed for the service tidegate")
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, err := r.target.request(r.ctx, "localhost", http.MethodGet, "/_tidegate/metrics", nil, "", sign)
		if err != nil {
			return err
		}
		var ours []string // of this API
		for line := range strings.Lines(got.body) {
			line = strings.TrimSpace(line)
			if found, err := r.values.matchText(s.args[0], line); err != nil || len(found) == 0 {
				return err
			}
			if strings.Contains(line, r.apiID) {
				ours = append(ours, line)
			}
		}
		if time.Now().After(end) {
			return &failure{mismatches: []mismatch{{"", s.args[0], strings.Join(ours, " ")}}}
		}
	}
}

// operate sends a control plane's request as the script writes it.
func (r *run) operate(s *step) error {
	path, err := r.values.fill(s.args[1])
	if err != nil {
		return err
	}
	var body any
	if text := s.bodyOf(2); text != "" {
		if body, err = parseValue(text); err != nil {
			return err
		}
		body = fillAll(r.values, body)
	}
	service := "apigateway"
	if strings.HasPrefix(path, "/2015-03-31/functions") {
		service = "lambda"
	}
	r.operator, err = r.target.call(r.ctx, service, s.args[0], path, body)
	return err
}

// operateTimes sends a request so many times, each answered 2xx but perhaps the
// last. <n> counts them.
func (r *run) operateTimes(s *step) error {
	times, err := strconv.Atoi(s.args[2])
	if err != nil || times < 1 || times > 1000 {
		return errors.New("once at least, and a thousand times at most")
	}
	once := &step{block: s.block, args: []string{s.args[0], s.args[1], ""}}
	defer delete(r.values, "n")
	for n := range times {
		r.values["n"] = strconv.Itoa(n + 1)
		if err := r.operate(once); err != nil {
			return err
		}
		if got := r.operator; n+1 < times && got.status/100 != 2 {
			return &failure{mismatches: []mismatch{{fmt.Sprintf("status, the %d. time", n+1), "2xx", fmt.Sprintf("%d %s", got.status, got.body)}}}
		}
	}
	return nil
}

// taken returns an answer that is looked at now.
func taken(from **reply, who string) (*reply, error) {
	got := *from
	if got == nil {
		return nil, fmt.Errorf("%s has asked nothing since it was last answered", who)
	}
	*from = nil
	return got, nil
}

func (r *run) operated(s *step) error {
	got, err := taken(&r.operator, "operator")
	if err != nil {
		return err
	}
	return r.matchReply(s, got, strings.Contains(s.verb.form, "exactly"))
}

// matchReply wants a status and a JSON body that has at least some members, or
// when whole no others.
func (r *run) matchReply(s *step, got *reply, whole bool) error {
	if strconv.Itoa(got.status) != s.args[0] {
		return &failure{mismatches: []mismatch{{"status", s.args[0], fmt.Sprintf("%d %s", got.status, got.body)}}}
	}
	text := s.bodyOf(1)
	if text == "" {
		return nil
	}
	pattern, err := parseValue(text)
	if err != nil {
		return err
	}
	var body any
	if json.Unmarshal([]byte(got.body), &body) != nil {
		return &failure{mismatches: []mismatch{{"body", asJSON(pattern), got.body}}}
	}
	return differs(r.values.matchJSON(pattern, body, whole, ""))
}

func (r *run) operatorRefused(s *step) error {
	got, err := taken(&r.operator, "operator")
	if err != nil {
		return err
	}
	var body struct{ Message string }
	json.Unmarshal([]byte(got.body), &body) // what isn't JSON has no message
	kind, _, _ := strings.Cut(got.header.Get("x-amzn-ErrorType"), ":")
	want, have := s.args[0]+" "+s.args[1], fmt.Sprintf("%d %s", got.status, kind)
	if s.args[2] != "" {
		want, have = want+": "+s.args[2], have+": "+body.Message
	}
	return differs(r.values.matchText(want, have))
}

// post pushes a text to a connection.
func (r *run) post(s *step) error {
	body, err := r.values.fill(s.bodyOf(1))
	if err != nil {
		return err
	}
	return r.push(s.args[0], body)
}

// push posts bytes as they are.
func (r *run) push(id, body string) error { return r.manage(http.MethodPost, id, body) }

// manage calls @connections on a connection's id.
func (r *run) manage(method, id, body string) error {
	id, err := r.values.fill(id)
	if err != nil {
		return err
	}
	sign, err := r.signing("")
	if err != nil {
		return err
	}
	path := "/" + r.stage + "/@connections/" + strings.ReplaceAll(id, "=", "%3D")
	r.caller, err = r.target.request(r.ctx, r.target.host(r.apiID), method, path, nil, body, sign)
	return err
}

// request sends any request to the API's host.
func (r *run) request(s *step) error {
	path, err := r.values.fill(s.args[1])
	if err != nil {
		return err
	}
	m, err := s.message("")
	if err != nil {
		return err
	}
	host := r.target.host(r.apiID)
	var header []headerLine
	for _, line := range m.header {
		if line.value, err = r.values.fill(line.value); err != nil {
			return err
		}
		if strings.EqualFold(line.name, "Host") {
			host = line.value
			continue
		}
		header = append(header, line)
	}
	if m.body, err = r.values.fill(m.body); err != nil {
		return err
	}
	sign, err := r.signing(s.args[2])
	if err != nil {
		return err
	}
	r.caller, err = r.target.request(r.ctx, host, s.args[0], path, header, m.body, sign)
	return err
}

func (r *run) answered(s *step) error {
	got, err := taken(&r.caller, "caller")
	if err != nil {
		return err
	}
	if strconv.Itoa(got.status) != s.args[0] {
		return &failure{mismatches: []mismatch{{"status", s.args[0], fmt.Sprintf("%d %s", got.status, got.body)}}}
	}
	return r.matchHead(s, s.args[1], got.header, got.body)
}

func (r *run) answeredJSON(s *step) error {
	got, err := taken(&r.caller, "caller")
	if err != nil {
		return err
	}
	return r.matchReply(s, got, false)
}
