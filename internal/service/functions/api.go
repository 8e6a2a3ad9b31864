package functions

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"tidegate/internal/awshttp"
)

// maxManagement bounds a management request: Lambda's own limit, room for a
// 50 MB archive in base64.
const maxManagement = 70_167_211

func (s *Service) routes() {
	p := awshttp.Protocol{Gate: s.cfg.Gate, Service: "lambda", MaxBody: maxManagement, InternalCode: "ServiceException"}
	s.manage = p.REST(s.route)
	p.MaxBody = maxInvokeBody
	s.invoker = p.REST(s.route)
}

// isInvocation tells the requests that carry an event from all others, before
// their body is read.
func isInvocation(r *http.Request) bool {
	return strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/invocations")
}

// An operation serves one call; text is what the path holds behind the
// function's name.
type operation struct {
	name  string // Lambda's, and the IAM action's unless action is set
	serve func(s *Service, c *awshttp.Call, function, last string) (any, error)
}

// operations by method and path: F is the function's name, * any other segment.
var operations = map[string]operation{
	"GET /2015-03-31/functions":                             {"ListFunctions", (*Service).listFunctions},
	"POST /2015-03-31/functions":                            {"CreateFunction", (*Service).createFunction},
	"GET /2015-03-31/functions/F":                           {"GetFunction", (*Service).getFunction},
	"DELETE /2015-03-31/functions/F":                        {"DeleteFunction", (*Service).deleteFunction},
	"GET /2015-03-31/functions/F/configuration":             {"GetFunctionConfiguration", (*Service).getConfiguration},
	"PUT /2015-03-31/functions/F/configuration":             {"UpdateFunctionConfiguration", (*Service).updateConfiguration},
	"PUT /2015-03-31/functions/F/code":                      {"UpdateFunctionCode", (*Service).updateCode},
	"POST /2015-03-31/functions/F/invocations":              {"InvokeFunction", (*Service).invokeFunction},
	"GET /2015-03-31/functions/F/policy":                    {"GetPolicy", (*Service).policy},
	"POST /2015-03-31/functions/F/policy":                   {"AddPermission", (*Service).policy},
	"DELETE /2015-03-31/functions/F/policy/*":               {"RemovePermission", (*Service).policy},
	"GET /2019-09-25/functions/F/event-invoke-config":       {"GetFunctionEventInvokeConfig", (*Service).eventInvoke},
	"PUT /2019-09-25/functions/F/event-invoke-config":       {"PutFunctionEventInvokeConfig", (*Service).eventInvoke},
	"POST /2019-09-25/functions/F/event-invoke-config":      {"UpdateFunctionEventInvokeConfig", (*Service).eventInvoke},
	"DELETE /2019-09-25/functions/F/event-invoke-config":    {"DeleteFunctionEventInvokeConfig", (*Service).eventInvoke},
	"GET /2019-09-25/functions/F/event-invoke-config/*":     {"ListFunctionEventInvokeConfigs", (*Service).listEventInvoke},
	"POST /2015-03-31/functions/F/versions":                 {"PublishVersion", (*Service).publishVersion},
	"GET /2015-03-31/functions/F/versions":                  {"ListVersionsByFunction", (*Service).listVersions},
	"GET /2015-03-31/functions/F/aliases":                   {"ListAliases", (*Service).aliases},
	"POST /2015-03-31/functions/F/aliases":                  {"CreateAlias", (*Service).aliases},
	"GET /2015-03-31/functions/F/aliases/*":                 {"GetAlias", (*Service).aliases},
	"PUT /2015-03-31/functions/F/aliases/*":                 {"UpdateAlias", (*Service).aliases},
	"DELETE /2015-03-31/functions/F/aliases/*":              {"DeleteAlias", (*Service).aliases},
	"GET /2019-09-30/functions/F/concurrency":               {"GetFunctionConcurrency", (*Service).reserved},
	"PUT /2017-10-31/functions/F/concurrency":               {"PutFunctionConcurrency", (*Service).reserved},
	"DELETE /2017-10-31/functions/F/concurrency":            {"DeleteFunctionConcurrency", (*Service).reserved},
	"GET /2018-10-31/layers":                                {"ListLayers", (*Service).listLayers},
	"GET /2018-10-31/layers/F/versions":                     {"ListLayerVersions", (*Service).listLayerVersions},
	"POST /2018-10-31/layers/F/versions":                    {"PublishLayerVersion", (*Service).publishLayer},
	"GET /2018-10-31/layers/F/versions/*":                   {"GetLayerVersion", (*Service).layerVersion},
	"DELETE /2018-10-31/layers/F/versions/*":                {"DeleteLayerVersion", (*Service).layerVersion},
	"GET /2017-03-31/tags/F":                                {"ListTags", (*Service).tags},
	"GET /2016-08-19/account-settings":                      {"GetAccountSettings", (*Service).accountSettings},
	"GET /2015-03-31/event-source-mappings":                 {"ListEventSourceMappings", (*Service).listMappings},
	"GET /2015-03-31/event-source-mappings/F":               {"GetEventSourceMapping", (*Service).mapping},
	"GET /2021-10-31/functions/F/urls":                      {"ListFunctionUrlConfigs", (*Service).unused},
	"GET /2021-10-31/functions/F/url":                       {"GetFunctionUrlConfig", (*Service).unused},
	"GET /2019-09-30/functions/F/provisioned-concurrency":   {"GetProvisionedConcurrencyConfig", (*Service).unused},
	"GET /2020-06-30/functions/F/code-signing-config":       {"GetFunctionCodeSigningConfig", (*Service).unused},
	"GET /2021-07-20/functions/F/runtime-management-config": {"GetRuntimeManagementConfig", (*Service).unused},
	"GET /2024-08-31/functions/F/recursion-config":          {"GetFunctionRecursionConfig", (*Service).unused},
	"POST /2017-03-31/tags/F":                               {"TagResource", (*Service).tags},
	"DELETE /2017-03-31/tags/F":                             {"UntagResource", (*Service).tags},
}

// missing names the operations of Lambda's that Tidegate doesn't have, so that
// a refusal can say which one was called.
var missing = map[string]string{
	"POST /2018-10-31/layers/F/versions/*/policy":                 "AddLayerVersionPermission",
	"GET /2018-10-31/layers/F/versions/*/policy":                  "GetLayerVersionPolicy",
	"POST /2014-11-13/functions/F/invoke-async":                   "InvokeAsync",
	"POST /2021-11-15/functions/F/response-streaming-invocations": "InvokeWithResponseStream",
	"POST /2015-03-31/event-source-mappings":                      "CreateEventSourceMapping",
	"PUT /2015-03-31/event-source-mappings/F":                     "UpdateEventSourceMapping",
	"DELETE /2015-03-31/event-source-mappings/F":                  "DeleteEventSourceMapping",
	"POST /2021-10-31/functions/F/url":                            "CreateFunctionUrlConfig",
	"PUT /2021-10-31/functions/F/url":                             "UpdateFunctionUrlConfig",
	"DELETE /2021-10-31/functions/F/url":                          "DeleteFunctionUrlConfig",
	"PUT /2019-09-30/functions/F/provisioned-concurrency":         "PutProvisionedConcurrencyConfig",
	"PUT /2021-07-20/functions/F/runtime-management-config":       "PutRuntimeManagementConfig",
	"PUT /2024-08-31/functions/F/recursion-config":                "PutFunctionRecursionConfig",
}

// route finds the operation that a path names and serves it.
func (s *Service) route(c *awshttp.Call) (any, error) {
	key, function, last, err := splitPath(c.Request)
	if err != nil {
		return nil, err
	}
	if op, ok := operations[key]; ok {
		return op.serve(s, c, function, last)
	}
	if name, ok := missing[key]; ok {
		return nil, awshttp.Errorf(http.StatusBadRequest, "UnknownOperationException", "Tidegate's Lambda doesn't have %s yet", name)
	}
	return nil, awshttp.Errorf(http.StatusBadRequest, "UnknownOperationException", "Tidegate's Lambda has no operation %s %.200s", c.Request.Method, c.Request.URL.Path)
}

// splitPath splits a path by its escaped form, since an ARN in it may hold
// slashes as %2F.
func splitPath(r *http.Request) (key, function, last string, err error) {
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	if len(parts) > 6 {
		parts = parts[:6]
	}
	var b strings.Builder
	b.WriteString(r.Method + " ")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return "", "", "", awshttp.Errorf(http.StatusBadRequest, "ValidationException", "the path holds a bad escape: %v", err)
		}
		b.WriteByte('/')
		switch i {
		case 2:
			function = plain
			b.WriteByte('F')
		case 4:
			last = plain
			b.WriteByte('*')
		default:
			b.WriteString(plain)
		}
	}
	return b.String(), function, last, nil
}

// target finds the function that the path names and asks whether the caller may
// perform the action on it.
func (s *Service) target(c *awshttp.Call, text, action string) (*function, error) {
	ref, err := s.parseReference(text, c.Request.URL.Query().Get("Qualifier"))
	if err != nil {
		return nil, err
	}
	if err := c.Authorize("lambda:"+action, s.arn(ref.name)); err != nil {
		return nil, err
	}
	return s.find(ref, false)
}

// unqualified is target for the operations that are about the function as a
// whole.
func (s *Service) unqualified(c *awshttp.Call, text, action string) (*function, error) {
	ref, err := s.parseReference(text, "")
	if err != nil {
		return nil, err
	}
	if ref.qualifier != "" && ref.qualifier != latest {
		return nil, invalidParameter("Unsupported: " + action + " takes a function's name or ARN without a version or alias.")
	}
	if err := c.Authorize("lambda:"+action, s.arn(ref.name)); err != nil {
		return nil, err
	}
	return s.find(reference{name: ref.name}, false)
}

func (s *Service) createFunction(c *awshttp.Call, _, _ string) (any, error) {
	var in createInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	ref, err := s.parseReference(in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	if err := c.Authorize("lambda:CreateFunction", s.arn(ref.name)); err != nil {
		return nil, err
	}
	switch {
	case in.Code == nil:
		return nil, constraint("null", "code", "Member must not be null")
	case in.topLevelCode():
		return nil, invalidParameter("ZipFile, S3Bucket, S3Key and ImageUri belong into Code.")
	case in.Runtime == nil || in.Handler == nil:
		return nil, invalidParameter("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	case in.Role == nil:
		return nil, constraint("null", "role", "Member must not be null")
	case len(in.Tags) > maxTags:
		return nil, invalidParameter("A function has at most 50 tags.")
	}
	if err := s.checkLayers(in.Layers); err != nil {
		return nil, err
	}
	r := record{Name: ref.name, Timeout: defaultTimeout, MemorySize: defaultMemory, Tags: in.Tags}
	if err := in.apply(&r); err != nil {
		return nil, err
	}
	if err := languageOf(r.Runtime).installed(s, r.Runtime); err != nil {
		// The machine's lack, not the caller's mistake: who deploys tells them apart.
		return nil, userError(http.StatusBadRequest, "InvalidRuntimeException", err.Error())
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if _, err := s.find(reference{name: r.Name}, false); err == nil {
		return nil, userError(http.StatusConflict, "ResourceConflictException", "Function already exist: "+r.Name)
	}
	if r.Code, err = s.take(filepath.Join("code", r.Name), *in.Code); err != nil {
		return nil, err
	}
	r.touch()
	fn, err := s.save(c.Context(), r)
	if err != nil {
		return nil, err
	}
	s.prepare(fn)
	if in.Publish {
		if fn, err = s.publish(c, fn, ""); err != nil {
			return nil, err
		}
	}
	return &awshttp.Response{Status: http.StatusCreated, Value: s.describe(fn).settling(true)}, nil
}

func (in *createInput) topLevelCode() bool {
	c := in.codeInput
	return len(c.ZipFile) > 0 || c.S3Bucket != "" || c.S3Key != "" || c.S3ObjectVersion != "" || c.ImageUri != "" || c.SourceKMSKeyArn != ""
}

func (s *Service) updateCode(c *awshttp.Call, text, _ string) (any, error) {
	fn, err := s.unqualified(c, text, "UpdateFunctionCode")
	if err != nil {
		return nil, err
	}
	var in createInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.Code != nil || in.Runtime != nil || in.Handler != nil || in.Environment != nil || in.Timeout != nil || in.MemorySize != nil || in.Role != nil {
		return nil, invalidParameter("UpdateFunctionCode takes the code only; UpdateFunctionConfiguration takes the rest.")
	}
	return s.update(c, fn.Name, in.RevisionId, in.DryRun, in.Publish, func(r *record) error {
		if err := in.apply(r); err != nil {
			return err
		}
		taken, err := s.take(filepath.Join("code", r.Name), in.codeInput)
		if err != nil {
			return err
		}
		r.Code = taken
		return nil
	})
}

func (s *Service) updateConfiguration(c *awshttp.Call, text, _ string) (any, error) {
	fn, err := s.unqualified(c, text, "UpdateFunctionConfiguration")
	if err != nil {
		return nil, err
	}
	var in createInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.Code != nil || in.topLevelCode() || in.Tags != nil || in.DryRun {
		return nil, invalidParameter("UpdateFunctionConfiguration takes neither code, Tags nor DryRun.")
	}
	if err := s.checkLayers(in.Layers); err != nil {
		return nil, err
	}
	return s.update(c, fn.Name, in.RevisionId, false, false, in.apply)
}

// update changes a record under the lock and answers with the new
// configuration.
func (s *Service) update(c *awshttp.Call, name, revision string, dry, publish bool, change func(*record) error) (any, error) {
	s.writes.Lock()
	defer s.writes.Unlock()
	fn, err := s.find(reference{name: name}, false)
	if err != nil {
		return nil, err
	}
	if revision != "" && revision != fn.RevisionID {
		return nil, preconditionFailed()
	}
	r := fn.record
	r.Kept = make(map[string]json.RawMessage, len(fn.Kept))
	for k, v := range fn.Kept {
		r.Kept[k] = v
	}
	if err := change(&r); err != nil {
		return nil, err
	}
	if dry {
		return s.describe(fn), nil
	}
	r.touch()
	if fn, err = s.save(c.Context(), r); err != nil {
		return nil, err
	}
	s.prepare(fn)
	if publish {
		if fn, err = s.publish(c, fn, ""); err != nil {
			return nil, err
		}
	}
	return s.describe(fn).settling(false), nil
}

func (s *Service) getFunction(c *awshttp.Call, text, _ string) (any, error) {
	fn, err := s.target(c, text, "GetFunction")
	if err != nil {
		return nil, err
	}
	return getOutput{
		Configuration: s.named(c, text, fn),
		Code:          codeOutput{RepositoryType: "S3", Location: (&url.URL{Scheme: "file", Path: fn.codeDir}).String()},
		Tags:          fn.Tags,
		Concurrency:   s.concurrencyOf(fn),
	}, nil
}

func (s *Service) getConfiguration(c *awshttp.Call, text, _ string) (any, error) {
	fn, err := s.target(c, text, "GetFunctionConfiguration")
	if err != nil {
		return nil, err
	}
	return s.named(c, text, fn), nil
}

// named is the present configuration under the ARN by which the caller named the
// function.
func (s *Service) named(c *awshttp.Call, text string, fn *function) configuration {
	out := s.present(fn)
	if ref, err := s.parseReference(text, c.Request.URL.Query().Get("Qualifier")); err == nil {
		out.FunctionArn = s.qualifiedARN(ref)
	}
	return out
}

// present is the configuration with the state that the function is in now: it
// is pending while what it needs is being built or installed.
func (s *Service) present(fn *function) configuration {
	out := s.describe(fn)
	p := s.preparationOf(fn)
	if p == nil {
		return out
	}
	if p.installing() {
		out.State, out.StateReason, out.StateReasonCode = "Pending", "What the function needs is being built or installed.", "Creating"
		out.LastUpdateStatus, out.LastUpdateStatusReason, out.LastUpdateStatusReasonCode = "InProgress", out.StateReason, "Creating"
		return out
	}
	select {
	case <-p.done:
		if p.err != nil {
			out.StateReason = p.err.Error()
		}
	default: // it needs no SDK, and is about to say so
	}
	return out
}

func (s *Service) listFunctions(c *awshttp.Call, _, _ string) (any, error) {
	if err := c.Authorize("lambda:ListFunctions", "*"); err != nil {
		return nil, err
	}
	q := c.Request.URL.Query()
	limit := 50
	if text := q.Get("MaxItems"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 10000 {
			return nil, constraint(text, "maxItems", "Member must have value between 1 and 10000")
		}
		limit = min(n, 50)
	}
	out := listOutput{Functions: []configuration{}}
	switch q.Get("FunctionVersion") {
	case "":
	case "ALL":
		return s.listAllVersions(c)
	default:
		return nil, constraint(q.Get("FunctionVersion"), "functionVersion", "Member must satisfy enum value set: [ALL]")
	}
	for _, fn := range s.list() {
		// A marker is the last name that was returned.
		if fn.Name <= q.Get("Marker") {
			continue
		}
		if len(out.Functions) == limit {
			out.NextMarker = out.Functions[limit-1].FunctionName
			break
		}
		cfg := s.describe(fn)
		cfg.State, cfg.LastUpdateStatus = "", ""
		out.Functions = append(out.Functions, cfg)
	}
	return out, nil
}

func (s *Service) deleteFunction(c *awshttp.Call, text, _ string) (any, error) {
	ref, err := s.parseReference(text, c.Request.URL.Query().Get("Qualifier"))
	if err != nil {
		return nil, err
	}
	fn, err := s.unqualified(c, ref.name, "DeleteFunction")
	if err != nil {
		return nil, err
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if ref.qualifier != "" {
		return s.deleteVersion(c, ref.name, ref.qualifier)
	}
	if fn, err = s.find(reference{name: fn.Name}, false); err != nil {
		return nil, err
	}
	if err := s.remove(c.Context(), fn); err != nil {
		return nil, err
	}
	return &awshttp.Response{Status: http.StatusNoContent}, nil
}

// policy serves GetPolicy, AddPermission and RemovePermission.
func (s *Service) policy(c *awshttp.Call, text, sid string) (any, error) {
	action := map[string]string{"GET": "GetPolicy", "POST": "AddPermission", "DELETE": "RemovePermission"}[c.Request.Method]
	if _, err := s.target(c, text, action); err != nil {
		return nil, err
	}
	ref, err := s.parseReference(text, c.Request.URL.Query().Get("Qualifier"))
	if err != nil {
		return nil, err
	}
	if ref.qualifier == latest {
		return nil, invalidParameter("We currently do not support adding policies for $LATEST.")
	}
	fn, err := s.byKey(ref.name) // the policies of all qualifiers are kept with it
	if err != nil {
		return nil, err
	}
	switch action {
	case "AddPermission":
		return s.addPermission(c, fn, s.qualifiedARN(ref))
	case "RemovePermission":
		return s.removePermission(c, fn, s.qualifiedARN(ref), sid)
	}
	return s.getPolicy(fn, s.qualifiedARN(ref))
}

// tags serves ListTags, TagResource and UntagResource.
func (s *Service) tags(c *awshttp.Call, text, _ string) (any, error) {
	action := map[string]string{"GET": "ListTags", "POST": "TagResource", "DELETE": "UntagResource"}[c.Request.Method]
	fn, err := s.target(c, text, action)
	if err != nil {
		return nil, err
	}
	if action == "ListTags" {
		tags := fn.Tags
		if tags == nil {
			tags = map[string]string{}
		}
		return map[string]any{"Tags": tags}, nil
	}
	var in struct{ Tags map[string]string }
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if fn, err = s.find(reference{name: fn.Name}, false); err != nil {
		return nil, err
	}
	r := fn.record
	r.Tags = map[string]string{}
	for k, v := range fn.Tags {
		r.Tags[k] = v
	}
	for k, v := range in.Tags {
		r.Tags[k] = v
	}
	for _, k := range c.Request.URL.Query()["tagKeys"] {
		delete(r.Tags, k)
	}
	if len(r.Tags) > maxTags {
		return nil, invalidParameter("A function has at most 50 tags.")
	}
	if _, err := s.save(c.Context(), r); err != nil {
		return nil, err
	}
	return &awshttp.Response{Status: http.StatusNoContent}, nil
}
