package usage

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
)

// Pages of lists, as AWS documents them.
const (
	defaultPage = 25
	maxPage     = 500
)

// The wire's words, with AWS's spelling.

type keyOutput struct {
	Id              string            `json:"id"`
	Value           string            `json:"value,omitempty"`
	Name            string            `json:"name,omitempty"`
	CustomerId      string            `json:"customerId,omitempty"`
	Description     string            `json:"description,omitempty"`
	Enabled         bool              `json:"enabled"`
	CreatedDate     int64             `json:"createdDate"`
	LastUpdatedDate int64             `json:"lastUpdatedDate"`
	StageKeys       []string          `json:"stageKeys"`
	Tags            map[string]string `json:"tags,omitempty"`
}

type keyInput struct {
	Name               string            `json:"name"`
	Description        string            `json:"description"`
	Enabled            bool              `json:"enabled"`
	GenerateDistinctId bool              `json:"generateDistinctId"` // ids are always their own
	Value              string            `json:"value"`
	StageKeys          []any             `json:"stageKeys"`
	CustomerId         string            `json:"customerId"`
	Tags               map[string]string `json:"tags"`
}

type stageKey struct {
	ApiId    string         `json:"apiId"`
	Stage    string         `json:"stage"`
	Throttle map[string]any `json:"throttle,omitempty"`
}

type throttleSettings struct {
	BurstLimit *int     `json:"burstLimit,omitempty"`
	RateLimit  *float64 `json:"rateLimit,omitempty"`
}

type quotaSettings struct {
	Limit  int    `json:"limit"`
	Offset int    `json:"offset"`
	Period string `json:"period"`
}

type planOutput struct {
	Id          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	ApiStages   []stageKey        `json:"apiStages"`
	Throttle    *throttleSettings `json:"throttle,omitempty"`
	Quota       *quotaSettings    `json:"quota,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

type planInput struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	ApiStages   []stageKey        `json:"apiStages"`
	Throttle    *throttleSettings `json:"throttle"`
	Quota       *quotaSettings    `json:"quota"`
	Tags        map[string]string `json:"tags"`
}

type planKeyInput struct {
	KeyId   string `json:"keyId"`
	KeyType string `json:"keyType"`
}

type planKeyOutput struct {
	Id    string `json:"id"`
	Type  string `json:"type"`
	Value string `json:"value,omitempty"`
	Name  string `json:"name,omitempty"`
}

type usageOutput struct {
	UsagePlanId string             `json:"usagePlanId"`
	StartDate   string             `json:"startDate"`
	EndDate     string             `json:"endDate"`
	Values      map[string][][]int `json:"values"`
}

type patch struct {
	PatchOperations []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	} `json:"patchOperations"`
}

type list[T any] struct {
	Position string `json:"position,omitempty"`
	Item     []T    `json:"item"`
}

// face answers calls.
type face struct {
	*Service
	protocol awshttp.Protocol
	mux      *http.ServeMux
}

// Handler returns the handler of /apikeys, /usageplans and /account.
func (s *Service) Handler(gate *awshttp.Gate) http.Handler {
	f := &face{Service: s, protocol: awshttp.Protocol{Gate: gate, Service: "apigateway"}, mux: http.NewServeMux()}
	f.on("GET /account", 200, f.getAccount)
	f.on("PATCH /account", 200, f.updateAccount)
	f.on("POST /apikeys", 201, f.createKey)
	f.on("GET /apikeys", 200, f.listKeys)
	f.on("GET /apikeys/{id}", 200, f.getKey)
	f.on("PATCH /apikeys/{id}", 200, f.updateKey)
	f.on("DELETE /apikeys/{id}", 202, func(c *awshttp.Call) (any, error) { return nil, f.deleteKey(c.Context(), pathID(c)) })
	f.on("POST /usageplans", 201, f.createPlan)
	f.on("GET /usageplans", 200, f.listPlans)
	f.on("GET /usageplans/{id}", 200, f.getPlan)
	f.on("PATCH /usageplans/{id}", 200, f.updatePlan)
	f.on("DELETE /usageplans/{id}", 202, func(c *awshttp.Call) (any, error) { return nil, f.deletePlan(c.Context(), pathID(c)) })
	f.on("POST /usageplans/{id}/keys", 201, f.addKey)
	f.on("GET /usageplans/{id}/keys", 200, f.planKeys)
	f.on("GET /usageplans/{id}/keys/{key}", 200, f.planKey)
	f.on("DELETE /usageplans/{id}/keys/{key}", 202, func(c *awshttp.Call) (any, error) {
		return nil, f.removeFromPlan(c.Context(), pathID(c), c.Request.PathValue("key"))
	})
	f.on("GET /usageplans/{id}/usage", 200, f.usage)
	f.on("PATCH /usageplans/{id}/keys/{key}/usage", 200, f.updateUsage)
	f.mux.Handle("/", f.protocol.REST(func(c *awshttp.Call) (any, error) {
		return nil, badRequest("Tidegate does not serve %s %s of API Gateway's version 1", c.Request.Method, c.Request.URL.Path)
	}))
	return f.mux
}

// on serves an operation; those that change run one at a time.
func (f *face) on(pattern string, status int, fn awshttp.HandlerFunc) {
	method, _, _ := strings.Cut(pattern, " ")
	f.mux.Handle(pattern, f.protocol.REST(func(c *awshttp.Call) (any, error) {
		if err := c.Authorize("apigateway:"+method, "arn:aws:apigateway:"+c.Region+"::"+c.Request.URL.Path); err != nil {
			return nil, err
		}
		if method != "GET" {
			f.write.Lock()
			defer f.write.Unlock()
		}
		v, err := fn(c)
		if err != nil {
			return nil, translate(err)
		}
		return &awshttp.Response{Status: status, Value: v}, nil
	}))
}

// translate gives refusals their codes and statuses.
func translate(err error) error {
	for _, k := range []struct {
		kind   error
		status int
		code   string
	}{
		{errNotFound, 404, "NotFoundException"}, {errConflict, 409, "ConflictException"},
		{errInvalid, 400, "BadRequestException"}, {errTooMany, 429, "LimitExceededException"},
	} {
		if errors.Is(err, k.kind) {
			return awshttp.Errorf(k.status, k.code, "%s", strings.TrimPrefix(err.Error(), k.kind.Error()+": "))
		}
	}
	return err
}

func badRequest(format string, args ...any) error {
	return awshttp.Errorf(http.StatusBadRequest, "BadRequestException", format, args...)
}

func pathID(c *awshttp.Call) string { return c.Request.PathValue("id") }

// page returns the part of the items that the call asks for; they are sorted by
// id, and position holds the last one sent.
func page[T, W any](c *awshttp.Call, items []T, id func(T) string, wire func(T) W) (any, error) {
	q := c.Request.URL.Query()
	size := defaultPage
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return nil, badRequest("Invalid limit specified: it must be a number from 1 to %d", maxPage)
		}
		size = n
	}
	after, err := base64.RawURLEncoding.DecodeString(q.Get("position"))
	if err != nil {
		return nil, badRequest("Invalid position specified")
	}
	out := list[W]{Item: []W{}}
	last := ""
	for _, item := range items {
		if len(after) > 0 && id(item) <= string(after) {
			continue
		}
		if len(out.Item) == size {
			out.Position = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		out.Item, last = append(out.Item, wire(item)), id(item)
	}
	return out, nil
}

func wireKey(k *Key, withValue bool) keyOutput {
	out := keyOutput{Id: k.ID, Name: k.Name, CustomerId: k.CustomerID, Description: k.Description, Enabled: k.Enabled,
		CreatedDate: k.Created.Unix(), LastUpdatedDate: k.Updated.Unix(), StageKeys: []string{}, Tags: k.Tags}
	if withValue {
		out.Value = k.Value
	}
	return out
}

func checkLengths(name, description, customer string) error {
	if utf8.RuneCountInString(name) > 1024 || len(description) > 4096 || len(customer) > 1024 {
		return badRequest("a name has at most 1024 characters, a description 4096 bytes, a customerId 1024")
	}
	return nil
}

func (f *face) createKey(c *awshttp.Call) (any, error) {
	if c.Request.URL.Query().Has("mode") {
		return nil, badRequest("Tidegate does not serve ImportApiKeys; create the keys one by one")
	}
	var in keyInput
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	if len(in.StageKeys) > 0 {
		return nil, badRequest("stageKeys is deprecated in favor of usage plans, and not served")
	}
	if err := checkLengths(in.Name, in.Description, in.CustomerId); err != nil {
		return nil, err
	}
	if in.Value == "" {
		in.Value = newID(40)
	}
	if len(in.Value) < 20 || len(in.Value) > 128 {
		return nil, badRequest("API Key value should be at least 20 characters and at most 128 characters")
	}
	if len(in.Tags) > apigw.MaxTags {
		return nil, badRequest("a key has at most %d tags", apigw.MaxTags)
	}
	all := f.allKeys()
	if len(all) >= f.most.keys {
		return nil, fmt.Errorf("%w: the account has %d API keys, which is the quota", errTooMany, f.most.keys)
	}
	if slices.ContainsFunc(all, func(k *Key) bool { return k.Value == in.Value }) {
		return nil, fmt.Errorf("%w: API Key already exists", errConflict)
	}
	now := f.now().UTC().Round(0)
	k := &Key{ID: newID(10), Name: in.Name, Description: in.Description, CustomerID: in.CustomerId, Value: in.Value, Enabled: in.Enabled,
		Tags: in.Tags, Created: now, Updated: now}
	if err := f.putKey(c.Context(), k); err != nil {
		return nil, err
	}
	return wireKey(k, true), nil
}

func (f *face) listKeys(c *awshttp.Call) (any, error) {
	q := c.Request.URL.Query()
	keys := slices.DeleteFunc(f.allKeys(), func(k *Key) bool {
		return !strings.HasPrefix(k.Name, q.Get("name")) || q.Get("customerId") != "" && k.CustomerID != q.Get("customerId")
	})
	return page(c, keys, func(k *Key) string { return k.ID }, func(k *Key) keyOutput { return wireKey(k, q.Get("includeValues") == "true") })
}

func (f *face) getKey(c *awshttp.Call) (any, error) {
	k, err := f.key(pathID(c))
	if err != nil {
		return nil, err
	}
	return wireKey(k, c.Request.URL.Query().Get("includeValue") == "true"), nil
}

func (f *face) updateKey(c *awshttp.Call) (any, error) {
	k, err := f.key(pathID(c))
	if err != nil {
		return nil, err
	}
	var in patch
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	for _, op := range in.PatchOperations {
		if op.Op != "replace" {
			return nil, badRequest("Invalid patch operation %.40q specified for %.80q: only replace is", op.Op, op.Path)
		}
		switch op.Path {
		case "/name":
			k.Name = op.Value
		case "/description":
			k.Description = op.Value
		case "/customerId":
			k.CustomerID = op.Value
		case "/enabled":
			if k.Enabled, err = strconv.ParseBool(op.Value); err != nil {
				return nil, badRequest("Invalid value for /enabled: it is true or false")
			}
		default:
			return nil, badRequest("Invalid patch path %.80q specified for op 'replace'. Must be one of: [/name, /description, /enabled, /customerId]", op.Path)
		}
	}
	if err := checkLengths(k.Name, k.Description, k.CustomerID); err != nil {
		return nil, err
	}
	k.Updated = f.now().UTC().Round(0)
	return wireKey(k, false), f.putKey(c.Context(), k)
}

func wirePlan(p *Plan) planOutput {
	out := planOutput{Id: p.ID, Name: p.Name, Description: p.Description, ApiStages: []stageKey{}, Tags: p.Tags}
	for _, s := range p.Stages {
		out.ApiStages = append(out.ApiStages, stageKey{ApiId: s.APIID, Stage: string(s.Stage)})
	}
	if p.RateLimit != nil || p.BurstLimit != nil {
		out.Throttle = &throttleSettings{BurstLimit: p.BurstLimit, RateLimit: p.RateLimit}
	}
	if q := p.Quota; q != nil {
		out.Quota = &quotaSettings{Limit: q.Limit, Offset: q.Offset, Period: q.Period}
	}
	return out
}

// check refuses plans that can't be.
func (p *Plan) check() error {
	switch q := p.Quota; {
	case p.Name == "":
		return badRequest("Usage Plan name cannot be blank")
	case p.RateLimit != nil && !(*p.RateLimit >= 0), p.BurstLimit != nil && *p.BurstLimit < 0:
		return badRequest("Usage Plan throttle limits must not be negative")
	case q != nil && q.Period != Day && q.Period != Week && q.Period != Month:
		return badRequest("Usage Plan quota period must be one of [DAY, WEEK, MONTH]")
	case q != nil && (q.Limit < 0 || q.Offset < 0 || q.Offset > q.Limit):
		return badRequest("Usage Plan quota limit and offset must not be negative, and the offset not above the limit")
	case q != nil && (q.Period == Day && q.Offset > 0 || q.Period == Week && q.Offset > 6 || q.Offset > 27):
		return badRequest("Usage Plan quota offset must be 0 for DAY, 0 to 6 for WEEK and 0 to 27 for MONTH")
	}
	return checkLengths(p.Name, p.Description, "")
}

func (f *face) createPlan(c *awshttp.Call) (any, error) {
	var in planInput
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	p := &Plan{ID: newID(6), Name: in.Name, Description: in.Description, Tags: in.Tags}
	if in.Throttle != nil {
		p.RateLimit, p.BurstLimit = in.Throttle.RateLimit, in.Throttle.BurstLimit
	}
	if in.Quota != nil {
		p.Quota = &Quota{Limit: in.Quota.Limit, Offset: in.Quota.Offset, Period: in.Quota.Period}
	}
	for _, s := range in.ApiStages {
		if len(s.Throttle) > 0 {
			return nil, badRequest("Tidegate does not serve a throttle for single methods of an API stage: a plan's throttle is for all")
		}
		if err := p.addStage(s.ApiId, s.Stage); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(f.allPlans()) >= f.most.plans {
		return nil, fmt.Errorf("%w: the account has %d usage plans, which is the quota", errTooMany, f.most.plans)
	}
	return wirePlan(p), f.putPlan(c.Context(), p)
}

func (p *Plan) addStage(apiID, stage string) error {
	s := Stage{apiID, apigw.StageName(stage)}
	switch {
	case apiID == "" || stage == "":
		return badRequest("an API stage has an apiId and a stage")
	case slices.Contains(p.Stages, s):
		return badRequest("the API stage %.140s:%.140s is in the usage plan already", apiID, stage)
	case len(p.Stages) >= apigw.MaxAPIs:
		return badRequest("a usage plan has at most %d API stages here", apigw.MaxAPIs)
	}
	p.Stages = append(p.Stages, s)
	return nil
}

func (f *face) listPlans(c *awshttp.Call) (any, error) {
	plans := f.allPlans()
	if key := c.Request.URL.Query().Get("keyId"); key != "" {
		plans = slices.DeleteFunc(plans, func(p *Plan) bool { return !slices.Contains(p.Keys, key) })
	}
	return page(c, plans, func(p *Plan) string { return p.ID }, wirePlan)
}

func (f *face) getPlan(c *awshttp.Call) (any, error) {
	p, err := f.plan(pathID(c))
	if err != nil {
		return nil, err
	}
	return wirePlan(p), nil
}

func (f *face) updatePlan(c *awshttp.Call) (any, error) {
	p, err := f.plan(pathID(c))
	if err != nil {
		return nil, err
	}
	var in patch
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	for _, op := range in.PatchOperations {
		if err := p.patch(op.Op, op.Path, op.Value); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return wirePlan(p), f.putPlan(c.Context(), p)
}

// patch applies one operation.
func (p *Plan) patch(op, path, value string) error {
	whole := func(n *int) error {
		v, err := strconv.Atoi(value)
		if err != nil {
			return badRequest("Invalid value for %s: it must be a whole number", path)
		}
		*n = v
		return nil
	}
	quota := func() *Quota {
		if p.Quota == nil {
			p.Quota = &Quota{}
		}
		return p.Quota
	}
	switch op + " " + path {
	case "replace /name":
		p.Name = value
	case "replace /description":
		p.Description = value
	case "add /apiStages":
		api, stage, _ := strings.Cut(value, ":")
		return p.addStage(api, stage)
	case "remove /apiStages":
		api, stage, _ := strings.Cut(value, ":")
		i := slices.Index(p.Stages, Stage{api, apigw.StageName(stage)})
		if i < 0 {
			return badRequest("the usage plan has no API stage %.280s", value)
		}
		p.Stages = slices.Delete(p.Stages, i, i+1)
	case "replace /throttle/rateLimit", "add /throttle/rateLimit":
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return badRequest("Invalid value for %s: it must be a number", path)
		}
		p.RateLimit = &v
	case "replace /throttle/burstLimit", "add /throttle/burstLimit":
		p.BurstLimit = new(int)
		return whole(p.BurstLimit)
	case "remove /throttle":
		p.RateLimit, p.BurstLimit = nil, nil
	case "replace /quota/limit", "add /quota/limit":
		return whole(&quota().Limit)
	case "replace /quota/offset", "add /quota/offset":
		return whole(&quota().Offset)
	case "replace /quota/period", "add /quota/period":
		quota().Period = value
	case "remove /quota":
		p.Quota = nil
	default:
		return badRequest("Invalid patch operation specified: op %.40q, path %.80q", op, path)
	}
	return nil
}

func (f *face) addKey(c *awshttp.Call) (any, error) {
	var in planKeyInput
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	p, err := f.plan(pathID(c))
	if err != nil {
		return nil, err
	}
	if in.KeyType != "API_KEY" {
		return nil, badRequest("Invalid keyType specified: only API_KEY is")
	}
	k, err := f.key(in.KeyId)
	if err != nil {
		return nil, err
	}
	of := 0
	for _, other := range f.allPlans() {
		if !slices.Contains(other.Keys, k.ID) {
			continue
		}
		of++
		if other.ID == p.ID || slices.ContainsFunc(other.Stages, func(s Stage) bool { return slices.Contains(p.Stages, s) }) {
			return nil, fmt.Errorf("%w: Usage Plan %s and key %s already exist, or share an API stage with a plan of the key", errConflict, other.ID, k.ID)
		}
	}
	if of >= apigw.MaxPlansPerKey {
		return nil, fmt.Errorf("%w: the key is in %d usage plans, which is the quota", errTooMany, apigw.MaxPlansPerKey)
	}
	p.Keys = append(p.Keys, k.ID)
	return wirePlanKey(k), f.putPlan(c.Context(), p)
}

func wirePlanKey(k *Key) planKeyOutput {
	return planKeyOutput{Id: k.ID, Type: "API_KEY", Value: k.Value, Name: k.Name}
}

func (f *face) planKeys(c *awshttp.Call) (any, error) {
	p, err := f.plan(pathID(c))
	if err != nil {
		return nil, err
	}
	name := c.Request.URL.Query().Get("name")
	keys := slices.DeleteFunc(f.allKeys(), func(k *Key) bool { return !slices.Contains(p.Keys, k.ID) || !strings.HasPrefix(k.Name, name) })
	return page(c, keys, func(k *Key) string { return k.ID }, wirePlanKey)
}

// inPlan returns the plan and the key that the path names.
func (f *face) inPlan(c *awshttp.Call) (*Plan, *Key, error) {
	p, err := f.plan(pathID(c))
	if err != nil {
		return nil, nil, err
	}
	k, err := f.key(c.Request.PathValue("key"))
	if err == nil && !slices.Contains(p.Keys, k.ID) {
		err = fmt.Errorf("%w: Invalid API Key identifier specified", errNotFound)
	}
	return p, k, err
}

func (f *face) planKey(c *awshttp.Call) (any, error) {
	_, k, err := f.inPlan(c)
	if err != nil {
		return nil, err
	}
	return wirePlanKey(k), nil
}

// usage tells, by key and day, what was used and what was left.
func (f *face) usage(c *awshttp.Call) (any, error) {
	p, err := f.plan(pathID(c))
	if err != nil {
		return nil, err
	}
	q := c.Request.URL.Query()
	from, err1 := time.Parse(time.DateOnly, q.Get("startDate"))
	to, err2 := time.Parse(time.DateOnly, q.Get("endDate"))
	if err1 != nil || err2 != nil || to.Before(from) || to.Sub(from) > keptDays*24*time.Hour {
		return nil, badRequest("startDate and endDate are dates (2006-01-02), %d days apart at most", keptDays)
	}
	out := usageOutput{UsagePlanId: p.ID, StartDate: q.Get("startDate"), EndDate: q.Get("endDate"), Values: map[string][][]int{}}
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range p.Keys {
		if only := q.Get("keyId"); only != "" && only != id {
			continue
		}
		n := f.counted(p.ID+"."+id, p, now)
		for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
			used, left := n.Days[day.Format(time.DateOnly)], 0
			if p.Quota != nil {
				// What was left on a day gone by is not kept: it is what is left of the
				// day's own use, and today's is exact.
				left = max(0, p.Quota.Limit-used)
				if day.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
					left = max(0, p.Quota.Limit-n.Used)
				}
			}
			out.Values[id] = append(out.Values[id], []int{used, left})
		}
	}
	return out, nil
}

// updateUsage gives a key more, or less, of what is left of the present period.
func (f *face) updateUsage(c *awshttp.Call) (any, error) {
	p, k, err := f.inPlan(c)
	if err != nil {
		return nil, err
	}
	var in patch
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	if p.Quota == nil {
		return nil, badRequest("Usage Plan %s has no quota", p.ID)
	}
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.counted(p.ID+"."+k.ID, p, now)
	for _, op := range in.PatchOperations {
		left, err := strconv.Atoi(op.Value)
		if op.Op != "replace" || op.Path != "/remaining" || err != nil || left < 0 {
			return nil, badRequest("Invalid patch operation specified: only replace of /remaining with a whole number is")
		}
		n.Used, n.Changed = p.Quota.Limit-left, true
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	today := now.UTC().Format(time.DateOnly)
	return usageOutput{UsagePlanId: p.ID, StartDate: today, EndDate: today,
		Values: map[string][][]int{k.ID: {{n.Days[today], max(0, p.Quota.Limit-n.Used)}}}}, nil
}
