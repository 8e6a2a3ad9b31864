package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"time"

	"tidegate/internal/awshttp"
)

// versionPrefix begins the bucket's keys of published versions:
// versions/NAME/NUMBER.
const versionPrefix = "versions/"

// key tells a function's version from all others: NAME for $LATEST, NAME:NUMBER
// for a published one.
func (r *record) key() string {
	if r.Version == "" {
		return r.Name
	}
	return r.Name + ":" + r.Version
}

// bucketKey is where the record is kept.
func (r *record) bucketKey() string {
	if r.Version == "" {
		return r.Name
	}
	return versionPrefix + r.Name + "/" + r.Version
}

// version is $LATEST or a number.
func (r *record) version() string {
	if r.Version == "" {
		return latest
	}
	return r.Version
}

// versionsOf returns the published versions, the oldest first.
func (s *Service) versionsOf(name string) []*function {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*function
	for _, fn := range s.functions {
		if fn.Name == name && fn.Version != "" {
			out = append(out, fn)
		}
	}
	sort.Slice(out, func(i, j int) bool { return number(out[i].Version) < number(out[j].Version) })
	return out
}

// number is a version's; it was checked when it was made.
func number(version string) int {
	n, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return n
}

type publishInput struct {
	CodeSha256, Description, RevisionId string
	PublishTo                           string
}

func (s *Service) publishVersion(c *awshttp.Call, text, _ string) (any, error) {
	fn, err := s.unqualified(c, text, "PublishVersion")
	if err != nil {
		return nil, err
	}
	var in publishInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if in.PublishTo != "" {
		return nil, invalidParameter("PublishTo: Tidegate publishes numbered versions only.")
	}
	if len(in.Description) > maxDescription {
		return nil, constraint(in.Description, "description", "Member must have length less than or equal to 256")
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if fn, err = s.find(reference{name: fn.Name}, false); err != nil {
		return nil, err
	}
	switch {
	case in.RevisionId != "" && in.RevisionId != fn.RevisionID:
		return nil, preconditionFailed()
	case in.CodeSha256 != "" && in.CodeSha256 != fn.Code.SHA256:
		return nil, invalidParameter(fmt.Sprintf("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", in.CodeSha256, fn.Code.SHA256))
	}
	v, err := s.publish(c, fn, in.Description)
	if err != nil {
		return nil, err
	}
	return &awshttp.Response{Status: http.StatusCreated, Value: s.describe(v)}, nil
}

// publish makes a version of the function as it is, or returns the last one when
// nothing has changed since. A version of a folder follows the folder. The caller
// holds s.writes.
func (s *Service) publish(c *awshttp.Call, fn *function, description string) (*function, error) {
	published := s.versionsOf(fn.Name)
	if n := len(published); n > 0 && number(published[n-1].Version) == fn.LastVersion && sameFunction(&fn.record, &published[n-1].record) {
		return published[n-1], nil
	}
	parent := fn.record
	parent.LastVersion++
	r := parent
	r.Version = strconv.Itoa(parent.LastVersion)
	r.LastVersion, r.Aliases, r.Tags, r.Policy, r.PolicyRevision, r.Reserved, r.Asynchronous = 0, nil, nil, nil, "", nil, nil
	if description != "" {
		r.Description = description
	}
	r.RevisionID = awshttp.NewRequestID()
	// The counter first: a number is never given out twice.
	if _, err := s.save(c.Context(), parent); err != nil {
		return nil, err
	}
	return s.save(c.Context(), r)
}

// sameFunction says whether two records run the same.
func sameFunction(a, b *record) bool {
	plain := func(r record) []byte {
		r.Version, r.LastVersion, r.Aliases, r.Tags, r.Policy, r.PolicyRevision, r.Reserved, r.Asynchronous = "", 0, nil, nil, nil, "", nil, nil
		r.Description, r.RevisionID, r.LastModified = "", "", time.Time{}
		if r.Code.Folder != "" {
			// Its files change without a call, in the version too.
			r.Code.SHA256, r.Code.Size = "", 0
		}
		b, err := json.Marshal(r)
		if err != nil {
			return nil
		}
		return b
	}
	return bytes.Equal(plain(*a), plain(*b))
}

type versionsOutput struct {
	Versions   []configuration
	NextMarker string `json:",omitempty"`
}

func (s *Service) listVersions(c *awshttp.Call, text, _ string) (any, error) {
	fn, err := s.unqualified(c, text, "ListVersionsByFunction")
	if err != nil {
		return nil, err
	}
	all := append([]*function{fn}, s.versionsOf(fn.Name)...)
	out := versionsOutput{Versions: []configuration{}}
	page, next, err := page(c, all, (*function).key)
	if err != nil {
		return nil, err
	}
	for _, v := range page {
		cfg := s.describe(v)
		cfg.FunctionArn = s.arn(v.Name) + ":" + v.version()
		cfg.State, cfg.LastUpdateStatus = "", ""
		out.Versions = append(out.Versions, cfg)
	}
	out.NextMarker = next
	return out, nil
}

// page returns the part of a list that Marker and MaxItems ask for. A marker is
// the key of the last entry that was returned.
func page[T any](c *awshttp.Call, all []T, key func(T) string) (part []T, next string, err error) {
	q := c.Request.URL.Query()
	limit := 50
	if text := q.Get("MaxItems"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 10000 {
			return nil, "", constraint(text, "maxItems", "Member must have value between 1 and 10000")
		}
		limit = min(n, 50)
	}
	if marker := q.Get("Marker"); marker != "" {
		i := slices.IndexFunc(all, func(v T) bool { return key(v) == marker })
		if i < 0 {
			return nil, "", invalidParameter("The pagination token is invalid.")
		}
		all = all[i+1:]
	}
	if len(all) > limit {
		return all[:limit], key(all[limit-1]), nil
	}
	return all, "", nil
}

// deleteVersion removes one published version. The caller holds s.writes.
func (s *Service) deleteVersion(c *awshttp.Call, name, qualifier string) (any, error) {
	switch {
	case qualifier == latest:
		return nil, invalidParameter("$LATEST version cannot be deleted without deleting the function.")
	case !versionPattern.MatchString(qualifier):
		return nil, invalidParameter("Deletion of aliases is not currently supported.")
	}
	parent, err := s.find(reference{name: name}, false)
	if err != nil {
		return nil, err
	}
	var users []string
	for alias, a := range parent.Aliases {
		if _, weighed := a.Weights[qualifier]; weighed || a.Version == qualifier {
			users = append(users, alias)
		}
	}
	if len(users) > 0 {
		sort.Strings(users)
		return nil, userError(http.StatusConflict, "ResourceConflictException", fmt.Sprintf("Unable to delete version because the following aliases reference it: %v", users))
	}
	s.mu.Lock()
	v := s.functions[name+":"+qualifier]
	s.mu.Unlock()
	if v != nil { // AWS deletes what isn't there, too
		if err := s.drop(c.Context(), v); err != nil {
			return nil, err
		}
	}
	return &awshttp.Response{Status: http.StatusNoContent}, nil
}

// listAllVersions is ListFunctions with FunctionVersion ALL.
func (s *Service) listAllVersions(c *awshttp.Call) (any, error) {
	var all []*function
	for _, fn := range s.list() {
		all = append(append(all, fn), s.versionsOf(fn.Name)...)
	}
	part, next, err := page(c, all, (*function).key)
	if err != nil {
		return nil, err
	}
	out := listOutput{Functions: []configuration{}, NextMarker: next}
	for _, fn := range part {
		cfg := s.describe(fn)
		cfg.FunctionArn = s.arn(fn.Name) + ":" + fn.version()
		cfg.State, cfg.LastUpdateStatus = "", ""
		out.Functions = append(out.Functions, cfg)
	}
	return out, nil
}

// versionARN is the function's ARN with its version, $LATEST or a number.
func (fn *function) versionARN() string {
	if fn.Version == "" {
		return fn.arn + ":" + latest
	}
	return fn.arn
}
