package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/awshttp"
)

// Quotas of CloudWatch Logs:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
const (
	maxBatch      = 10000   // events of PutLogEvents, and of an answer
	maxBatchBytes = 1 << 20 // of messages, each with eventOverhead
	maxAnswer     = 1 << 20 // bytes of messages in an answer
	eventOverhead = 26      // bytes that an event counts beside its message
	maxName       = 512
	maxRequest    = 4 << 20 // a batch as JSON, escaped
)

// The wire structs keep CloudWatch Logs' spelling.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html

type groupInput struct {
	LogGroupName              string            `json:"logGroupName"`
	Tags                      map[string]string `json:"tags"`
	LogGroupClass             string            `json:"logGroupClass"`
	KMSKeyID                  string            `json:"kmsKeyId"`
	DeletionProtectionEnabled bool              `json:"deletionProtectionEnabled"`
	RetentionInDays           int               `json:"retentionInDays"`
}

type streamInput struct {
	LogGroupName  string `json:"logGroupName"`
	LogStreamName string `json:"logStreamName"`
}

type describeGroupsInput struct {
	LogGroupNamePrefix  string   `json:"logGroupNamePrefix"`
	LogGroupNamePattern string   `json:"logGroupNamePattern"`
	LogGroupClass       string   `json:"logGroupClass"`
	LogGroupIdentifiers []string `json:"logGroupIdentifiers"`
	AccountIdentifiers  []string `json:"accountIdentifiers"`
	IncludeLinked       bool     `json:"includeLinkedAccounts"`
	Limit               *int     `json:"limit"`
	NextToken           string   `json:"nextToken"`
}

type groupJSON struct {
	LogGroupName      string `json:"logGroupName"`
	CreationTime      int64  `json:"creationTime"`
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
	MetricFilterCount int    `json:"metricFilterCount"`
	ARN               string `json:"arn"`
	StoredBytes       int64  `json:"storedBytes"`
	LogGroupClass     string `json:"logGroupClass"`
	LogGroupARN       string `json:"logGroupArn"`
}

type describeStreamsInput struct {
	LogGroupName        string `json:"logGroupName"`
	LogGroupIdentifier  string `json:"logGroupIdentifier"`
	LogStreamNamePrefix string `json:"logStreamNamePrefix"`
	OrderBy             string `json:"orderBy"`
	Descending          bool   `json:"descending"`
	Limit               *int   `json:"limit"`
	NextToken           string `json:"nextToken"`
}

type streamJSON struct {
	LogStreamName       string `json:"logStreamName"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp int64  `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  int64  `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   int64  `json:"lastIngestionTime,omitempty"`
	UploadSequenceToken string `json:"uploadSequenceToken"`
	ARN                 string `json:"arn"`
	StoredBytes         int64  `json:"storedBytes"`
}

type putEventsInput struct {
	LogGroupName  string `json:"logGroupName"`
	LogStreamName string `json:"logStreamName"`
	LogEvents     []struct {
		Timestamp int64  `json:"timestamp"`
		Message   string `json:"message"`
	} `json:"logEvents"`
	SequenceToken *string         `json:"sequenceToken"` // without meaning, as on AWS
	Entity        json.RawMessage `json:"entity"`        // likewise, here
}

type rejectedJSON struct {
	TooNewLogEventStartIndex *int `json:"tooNewLogEventStartIndex,omitempty"`
	TooOldLogEventEndIndex   *int `json:"tooOldLogEventEndIndex,omitempty"`
}

type getEventsInput struct {
	LogGroupName       string `json:"logGroupName"`
	LogGroupIdentifier string `json:"logGroupIdentifier"`
	LogStreamName      string `json:"logStreamName"`
	StartTime          *int64 `json:"startTime"`
	EndTime            *int64 `json:"endTime"`
	NextToken          string `json:"nextToken"`
	Limit              *int   `json:"limit"`
	StartFromHead      bool   `json:"startFromHead"`
	Unmask             bool   `json:"unmask"`
}

type filterInput struct {
	LogGroupName        string   `json:"logGroupName"`
	LogGroupIdentifier  string   `json:"logGroupIdentifier"`
	LogStreamNames      []string `json:"logStreamNames"`
	LogStreamNamePrefix string   `json:"logStreamNamePrefix"`
	StartTime           *int64   `json:"startTime"`
	EndTime             *int64   `json:"endTime"`
	FilterPattern       string   `json:"filterPattern"`
	NextToken           string   `json:"nextToken"`
	Limit               *int     `json:"limit"`
	Interleaved         *bool    `json:"interleaved"` // without meaning, as on AWS
	Unmask              bool     `json:"unmask"`
}

type eventJSON struct {
	LogStreamName string `json:"logStreamName,omitempty"` // FilterLogEvents only
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
	EventID       string `json:"eventId,omitempty"` // FilterLogEvents only
}

// refusedOperations are CloudWatch Logs' that Tidegate hasn't; the answer names
// them.
const refusedOperations = "StartLiveTail StartQuery StopQuery GetQueryResults DescribeQueries GetLogRecord GetLogGroupFields GetLogObject " +
	"PutMetricFilter DeleteMetricFilter DescribeMetricFilters TestMetricFilter PutSubscriptionFilter DeleteSubscriptionFilter DescribeSubscriptionFilters " +
	"CreateExportTask CancelExportTask DescribeExportTasks PutDestination DeleteDestination DescribeDestinations PutResourcePolicy DeleteResourcePolicy " +
	"DescribeResourcePolicies AssociateKmsKey DisassociateKmsKey TagResource UntagResource TagLogGroup UntagLogGroup ListLogGroups PutDataProtectionPolicy"

// ServeHTTP serves the json-1.1 protocol.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := awshttp.Protocol{Gate: s.Gate, Service: "logs", MaxBody: maxRequest, InternalCode: "ServiceUnavailableException"}
	p.JSON("1.1", "Logs_20140328", "", s.operations()).ServeHTTP(w, r)
}

func (s *Service) operations() map[string]awshttp.HandlerFunc {
	ops := map[string]awshttp.HandlerFunc{
		"CreateLogGroup":        s.createLogGroup,
		"DeleteLogGroup":        s.deleteLogGroup,
		"DescribeLogGroups":     s.describeLogGroups,
		"PutRetentionPolicy":    s.putRetentionPolicy,
		"DeleteRetentionPolicy": s.deleteRetentionPolicy,
		"ListTagsForResource":   s.listTags,
		"ListTagsLogGroup":      s.listTags,
		"CreateLogStream":       s.createLogStream,
		"DeleteLogStream":       s.deleteLogStream,
		"DescribeLogStreams":    s.describeLogStreams,
		"PutLogEvents":          s.putLogEvents,
		"GetLogEvents":          s.getLogEvents,
		"FilterLogEvents":       s.filterLogEvents,
	}
	for _, name := range strings.Fields(refusedOperations) {
		ops[name] = func(*awshttp.Call) (any, error) {
			return nil, awshttp.Errorf(http.StatusBadRequest, "UnknownOperationException", "Tidegate's logs has no %s: it keeps and tails logs (FilterLogEvents, GetLogEvents)", name)
		}
	}
	return ops
}

func invalid(format string, args ...any) error {
	return awshttp.Errorf(http.StatusBadRequest, "InvalidParameterException", format, args...)
}

func notFound(text string) error {
	return awshttp.Errorf(http.StatusBadRequest, "ResourceNotFoundException", "%s", text)
}

func alreadyExists(text string) error {
	return awshttp.Errorf(http.StatusBadRequest, "ResourceAlreadyExistsException", "%s", text)
}

func limitExceeded(text string) error {
	return awshttp.Errorf(http.StatusBadRequest, "LimitExceededException", "%s", text)
}

func constraint(member, value, want string) error {
	return invalid("1 validation error detected: Value '%.100s' at '%s' failed to satisfy constraint: %s", value, member, want)
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

var groupPattern = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]+$`)

func checkGroup(name string) error {
	switch {
	case name == "" || len(name) > maxName:
		return constraint("logGroupName", name, "Member must have length between 1 and 512")
	case !groupPattern.MatchString(name):
		return constraint("logGroupName", name, `Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+`)
	}
	return nil
}

func checkStream(name string) error {
	switch {
	case name == "" || len(name) > maxName:
		return constraint("logStreamName", name, "Member must have length between 1 and 512")
	case strings.ContainsAny(name, ":*"):
		return constraint("logStreamName", name, "Member must satisfy regular expression pattern: [^:*]*")
	}
	return nil
}

// named is the name of a group that a call gives by name, or by name or ARN.
func named(name, identifier string) (string, error) {
	switch {
	case name != "" && identifier != "":
		return "", invalid("LogGroupName and LogGroupIdentifier can't both be given.")
	case identifier != "":
		name = identifier
		if _, after, ok := strings.Cut(identifier, ":log-group:"); ok {
			name = strings.TrimSuffix(after, ":*")
		}
	}
	return name, checkGroup(name)
}

func (s *Service) arn(group string) string {
	return "arn:aws:logs:" + s.Region + ":" + s.Account + ":log-group:" + group
}

// authorize asks the caller's policies. Lambda itself writes wherever its
// functions run, and API Gateway wherever a stage says.
func (s *Service) authorize(c *awshttp.Call, action, resource string) error {
	if s.isWriter(c) {
		return nil
	}
	return c.Authorize("logs:"+action, resource)
}

func (s *Service) isWriter(c *awshttp.Call) bool {
	return c.Principal.Kind == awshttp.Service && slices.Contains(s.Writers, c.Principal.ARN)
}

// open checks a group's name and the caller.
func (s *Service) open(c *awshttp.Call, action, name string) error {
	if err := checkGroup(name); err != nil {
		return err
	}
	return s.authorize(c, action, s.arn(name)+":*")
}

func (s *Service) createLogGroup(c *awshttp.Call) (any, error) {
	var in groupInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "CreateLogGroup", in.LogGroupName); err != nil {
		return nil, err
	}
	switch {
	case in.KMSKeyID != "":
		return nil, invalid("Tidegate has no KMS: leave kmsKeyId out")
	case in.LogGroupClass != "" && in.LogGroupClass != "STANDARD":
		return nil, invalid("Tidegate has log groups of the class STANDARD only, not %q", in.LogGroupClass)
	case in.DeletionProtectionEnabled:
		return nil, invalid("Tidegate has no deletion protection: leave deletionProtectionEnabled out")
	case len(in.Tags) > 50:
		return nil, constraint("tags", "", "Member must have length less than or equal to 50")
	}
	return nil, s.create(c.Context(), in.LogGroupName, in.Tags)
}

func (s *Service) deleteLogGroup(c *awshttp.Call) (any, error) {
	var in groupInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "DeleteLogGroup", in.LogGroupName); err != nil {
		return nil, err
	}
	return nil, s.remove(c.Context(), in.LogGroupName)
}

// retentions are the days that a retention may have.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

func (s *Service) putRetentionPolicy(c *awshttp.Call) (any, error) {
	var in groupInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "PutRetentionPolicy", in.LogGroupName); err != nil {
		return nil, err
	}
	if !slices.Contains(retentions, in.RetentionInDays) {
		return nil, constraint("retentionInDays", strconv.Itoa(in.RetentionInDays), fmt.Sprintf("Member must satisfy enum value set: %v", retentions))
	}
	return nil, s.change(c.Context(), in.LogGroupName, func(m *meta) { m.Retention = in.RetentionInDays })
}

func (s *Service) deleteRetentionPolicy(c *awshttp.Call) (any, error) {
	var in groupInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.open(c, "DeleteRetentionPolicy", in.LogGroupName); err != nil {
		return nil, err
	}
	return nil, s.change(c.Context(), in.LogGroupName, func(m *meta) { m.Retention = 0 })
}

// listTags is ListTagsForResource and its elder ListTagsLogGroup.
func (s *Service) listTags(c *awshttp.Call) (any, error) {
	var in struct {
		ResourceARN  string `json:"resourceArn"`
		LogGroupName string `json:"logGroupName"`
	}
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	name, err := named(in.LogGroupName, in.ResourceARN)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(c, "ListTagsForResource", s.arn(name)); err != nil {
		return nil, err
	}
	g, err := s.find(name)
	if err != nil {
		return nil, err
	}
	tags := g.meta.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return map[string]any{"tags": tags}, nil
}

func (s *Service) describeLogGroups(c *awshttp.Call) (any, error) {
	var in describeGroupsInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := s.authorize(c, "DescribeLogGroups", s.arn("*")); err != nil {
		return nil, err
	}
	limit, err := limited(in.Limit, 50)
	switch {
	case err != nil:
		return nil, err
	case in.LogGroupNamePrefix != "" && in.LogGroupNamePattern != "":
		return nil, invalid("LogGroupNamePrefix and LogGroupNamePattern are mutually exclusive parameters.")
	case len(in.AccountIdentifiers) > 0 || in.IncludeLinked:
		return nil, invalid("Tidegate has one account: leave accountIdentifiers and includeLinkedAccounts out")
	case len(in.LogGroupIdentifiers) > 0:
		return nil, invalid("Tidegate lists log groups by logGroupNamePrefix or logGroupNamePattern, not by logGroupIdentifiers")
	}
	out := []groupJSON{}
	next := ""
	for _, g := range s.sorted() {
		name := g.meta.Name
		if !strings.HasPrefix(name, in.LogGroupNamePrefix) || !strings.Contains(strings.ToLower(name), strings.ToLower(in.LogGroupNamePattern)) || name <= in.NextToken {
			continue
		}
		if len(out) == limit {
			next = out[limit-1].LogGroupName
			break
		}
		g.mu.RLock()
		out = append(out, groupJSON{LogGroupName: name, CreationTime: g.meta.Created, RetentionInDays: g.meta.Retention,
			ARN: s.arn(name) + ":*", LogGroupARN: s.arn(name), StoredBytes: g.bytesLocked(), LogGroupClass: "STANDARD"})
		g.mu.RUnlock()
	}
	return withToken(map[string]any{"logGroups": out}, next), nil
}

// limited returns how many things an answer may hold: 1 to most.
func limited(limit *int, most int) (int, error) {
	switch {
	case limit == nil:
		return most, nil
	case *limit < 1 || *limit > most:
		return 0, constraint("limit", strconv.Itoa(*limit), fmt.Sprintf("Member must have value between 1 and %d", most))
	}
	return *limit, nil
}

// withToken adds nextToken unless it is empty.
func withToken(answer map[string]any, token string) map[string]any {
	if token != "" {
		answer["nextToken"] = token
	}
	return answer
}

func (s *Service) createLogStream(c *awshttp.Call) (any, error) {
	g, in, err := s.openStream(c, "CreateLogStream")
	if err != nil {
		return nil, err
	}
	return nil, g.createStream(in.LogStreamName, s.now(), s.SegmentBytes)
}

func (s *Service) deleteLogStream(c *awshttp.Call) (any, error) {
	g, in, err := s.openStream(c, "DeleteLogStream")
	if err != nil {
		return nil, err
	}
	return nil, g.deleteStream(in.LogStreamName, s.now(), s.SegmentBytes)
}

func (s *Service) openStream(c *awshttp.Call, action string) (*group, *streamInput, error) {
	var in streamInput
	if err := decode(c, &in); err != nil {
		return nil, nil, err
	}
	if err := checkStream(in.LogStreamName); err != nil {
		return nil, nil, err
	}
	if err := s.open(c, action, in.LogGroupName); err != nil {
		return nil, nil, err
	}
	g, err := s.find(in.LogGroupName)
	return g, &in, err
}

func (s *Service) describeLogStreams(c *awshttp.Call) (any, error) {
	var in describeStreamsInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	name, err := named(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if err := s.open(c, "DescribeLogStreams", name); err != nil {
		return nil, err
	}
	limit, err := limited(in.Limit, 50)
	switch {
	case err != nil:
		return nil, err
	case in.OrderBy != "" && in.OrderBy != "LogStreamName" && in.OrderBy != "LastEventTime":
		return nil, constraint("orderBy", in.OrderBy, "Member must satisfy enum value set: [LogStreamName, LastEventTime]")
	case in.OrderBy == "LastEventTime" && in.LogStreamNamePrefix != "":
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	g, err := s.find(name)
	if err != nil {
		return nil, err
	}
	out := s.streamList(g, in.LogStreamNamePrefix)
	if in.OrderBy == "LastEventTime" {
		slices.SortStableFunc(out, func(a, b streamJSON) int { return cmpInt(a.LastEventTimestamp, b.LastEventTimestamp) })
	}
	if in.Descending {
		slices.Reverse(out)
	}
	if in.NextToken != "" {
		at := slices.IndexFunc(out, func(st streamJSON) bool { return st.LogStreamName == in.NextToken })
		if at < 0 {
			return nil, invalid("The specified nextToken is invalid.")
		}
		out = out[at+1:]
	}
	next := ""
	if len(out) > limit {
		out, next = out[:limit], out[limit-1].LogStreamName
	}
	return withToken(map[string]any{"logStreams": out}, next), nil
}

// streamList describes the streams by name.
func (s *Service) streamList(g *group, prefix string) []streamJSON {
	out := []streamJSON{}
	for _, name := range g.streamNames(prefix) {
		g.mu.RLock()
		if st := g.streams[name]; st != nil {
			out = append(out, streamJSON{LogStreamName: name, CreationTime: st.created, FirstEventTimestamp: st.first, LastEventTimestamp: st.last,
				LastIngestionTime: st.ingested, UploadSequenceToken: "0", ARN: s.arn(g.meta.Name) + ":log-stream:" + name})
		}
		g.mu.RUnlock()
	}
	return out
}

func (s *Service) putLogEvents(c *awshttp.Call) (any, error) {
	var in putEventsInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if err := checkStream(in.LogStreamName); err != nil {
		return nil, err
	}
	if err := checkGroup(in.LogGroupName); err != nil {
		return nil, err
	}
	if err := s.authorize(c, "PutLogEvents", s.arn(in.LogGroupName)+":log-stream:"+in.LogStreamName); err != nil {
		return nil, err
	}
	events, rejected, err := s.checkEvents(&in)
	if err != nil {
		return nil, err
	}
	if s.isWriter(c) {
		if err := s.ensure(c.Context(), in.LogGroupName, in.LogStreamName); err != nil {
			return nil, err
		}
	}
	g, err := s.find(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	if err := s.put(g, in.LogStreamName, events); err != nil {
		return nil, err
	}
	answer := map[string]any{"nextSequenceToken": "0"}
	if rejected != nil {
		answer["rejectedLogEventsInfo"] = rejected
	}
	return answer, nil
}

// checkEvents returns those of a batch that are neither too old nor too new.
func (s *Service) checkEvents(in *putEventsInput) ([]event, *rejectedJSON, error) {
	n := len(in.LogEvents)
	if n == 0 || n > maxBatch {
		return nil, nil, constraint("logEvents", fmt.Sprintf("[%d events]", n), "Member must have length between 1 and 10000")
	}
	now := s.now()
	old, late := now-14*24*time.Hour.Milliseconds(), now+2*time.Hour.Milliseconds()
	var events []event
	var rejected *rejectedJSON
	bytes := 0
	for i, e := range in.LogEvents {
		bytes += len(e.Message) + eventOverhead
		switch {
		case e.Message == "":
			return nil, nil, constraint(fmt.Sprintf("logEvents.%d.member.message", i+1), "", "Member must have length greater than or equal to 1")
		case e.Timestamp < 0:
			return nil, nil, constraint(fmt.Sprintf("logEvents.%d.member.timestamp", i+1), strconv.FormatInt(e.Timestamp, 10), "Member must have value greater than or equal to 0")
		case bytes > maxBatchBytes:
			return nil, nil, invalid("Upload too large: %d bytes exceeds limit of %d", bytes, maxBatchBytes)
		case i > 0 && e.Timestamp < in.LogEvents[i-1].Timestamp:
			return nil, nil, invalid("Log events in a single PutLogEvents request must be in chronological order.")
		case e.Timestamp-in.LogEvents[0].Timestamp > 24*time.Hour.Milliseconds():
			return nil, nil, invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
		case e.Timestamp < old || e.Timestamp > late:
			if rejected == nil {
				rejected = &rejectedJSON{}
			}
			at := i
			if e.Timestamp > late && rejected.TooNewLogEventStartIndex == nil {
				rejected.TooNewLogEventStartIndex = &at
			} else if e.Timestamp < old {
				at++
				rejected.TooOldLogEventEndIndex = &at
			}
			continue
		}
		events = append(events, event{time: e.Timestamp, ingested: now, message: e.Message})
	}
	return events, rejected, nil
}
