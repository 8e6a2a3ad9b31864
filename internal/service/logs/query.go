package logs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"tidegate/internal/awshttp"
)

// collect returns the events of the streams that pass in answers' order.
func (s *Service) collect(g *group, from, to *int64, inclusive bool, pass func(string) bool, match func(event) bool) ([]event, error) {
	first, end := s.oldest(g), int64(math.MaxInt64)
	if from != nil {
		first = max(first, *from)
	}
	if to != nil {
		end = *to
		if inclusive && end < math.MaxInt64 {
			end++
		}
	}
	var out []event
	err := g.scan(first, end, pass, func(e event) bool {
		if match(e) {
			out = append(out, e)
		}
		return true
	})
	slices.SortFunc(out, before)
	return out, err
}

// page is how many of the events fit an answer.
func page(events []event, limit int) int {
	size := 0
	for i, e := range events {
		if size += len(e.message) + eventOverhead; i == limit || size > maxAnswer && i > 0 {
			return i
		}
	}
	return len(events)
}

// tail is page from the end: the index of the first event of the answer.
func tail(events []event, limit int) int {
	size := 0
	for i := len(events) - 1; i >= 0; i-- {
		if size += len(events[i].message) + eventOverhead; len(events)-i > limit || size > maxAnswer && i < len(events)-1 {
			return i + 1
		}
	}
	return 0
}

// A place is where a page of events ends or begins.
func placeToken(e event) string { return fmt.Sprintf("%d.%d", e.time, e.position) }

func parsePlace(token string) (event, error) {
	a, b, ok := strings.Cut(token, ".")
	t, err1 := strconv.ParseInt(a, 10, 64)
	p, err2 := strconv.ParseInt(b, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return event{}, invalid("The specified nextToken is invalid.")
	}
	return event{time: t, position: p}, nil
}

// eventID is unlike any other's and grows with the time, as AWS's 56 digits.
func eventID(e event) string { return fmt.Sprintf("%020d%036d", e.time, e.position) }

func checkTimes(from, to *int64) error {
	for _, t := range []struct {
		name string
		v    *int64
	}{{"startTime", from}, {"endTime", to}} {
		if t.v != nil && *t.v < 0 {
			return constraint(t.name, strconv.FormatInt(*t.v, 10), "Member must have value greater than or equal to 0")
		}
	}
	if from != nil && to != nil && *from > *to {
		return invalid("endTime must not be before startTime")
	}
	return nil
}

func (s *Service) filterLogEvents(c *awshttp.Call) (any, error) {
	var in filterInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	name, err := named(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if err := s.open(c, "FilterLogEvents", name); err != nil {
		return nil, err
	}
	limit, err := limited(in.Limit, maxBatch)
	if err == nil {
		err = checkTimes(in.StartTime, in.EndTime)
	}
	switch {
	case err != nil:
		return nil, err
	case len(in.LogStreamNames) > 100:
		return nil, constraint("logStreamNames", "", "Member must have length less than or equal to 100")
	case len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != "":
		return nil, invalid("LogStreamNamePrefix and LogStreamNames are mutually exclusive parameters.")
	}
	pattern, err := ParsePattern(in.FilterPattern)
	if err != nil {
		return nil, invalid("Invalid filter pattern: %v", err)
	}
	after := event{time: math.MinInt64}
	if in.NextToken != "" {
		if after, err = parsePlace(in.NextToken); err != nil {
			return nil, err
		}
	}
	g, err := s.find(name)
	if err != nil {
		return nil, err
	}
	pass := func(st string) bool { return strings.HasPrefix(st, in.LogStreamNamePrefix) }
	if len(in.LogStreamNames) > 0 {
		for _, want := range in.LogStreamNames {
			if !slices.Contains(g.streamNames(want), want) {
				return nil, notFound("The specified log stream does not exist.")
			}
		}
		pass = func(st string) bool { return slices.Contains(in.LogStreamNames, st) }
	}
	events, err := s.collect(g, in.StartTime, in.EndTime, true, pass, func(e event) bool {
		return before(after, e) < 0 && pattern.Match(e.message)
	})
	if err != nil {
		return nil, err
	}
	n := page(events, limit)
	out := make([]eventJSON, n)
	for i, e := range events[:n] {
		out[i] = eventJSON{LogStreamName: e.stream, Timestamp: e.time, Message: e.message, IngestionTime: e.ingested, EventID: eventID(e)}
	}
	next := ""
	if n < len(events) {
		next = placeToken(events[n-1])
	}
	return withToken(map[string]any{"events": out, "searchedLogStreams": []struct{}{}}, next), nil
}

func (s *Service) getLogEvents(c *awshttp.Call) (any, error) {
	var in getEventsInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	name, err := named(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if err := checkStream(in.LogStreamName); err != nil {
		return nil, err
	}
	if err := s.authorize(c, "GetLogEvents", s.arn(name)+":log-stream:"+in.LogStreamName); err != nil {
		return nil, err
	}
	limit, err := limited(in.Limit, maxBatch)
	if err == nil {
		err = checkTimes(in.StartTime, in.EndTime)
	}
	if err != nil {
		return nil, err
	}
	way, at, _ := strings.Cut(in.NextToken, "/")
	var place event
	if in.NextToken != "" {
		if place, err = parsePlace(at); err != nil || way != "f" && way != "b" {
			return nil, invalid("The specified nextToken is invalid.")
		}
	}
	g, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(g.streamNames(in.LogStreamName), in.LogStreamName) {
		return nil, notFound("The specified log stream does not exist.")
	}
	events, err := s.collect(g, in.StartTime, in.EndTime, false, func(st string) bool { return st == in.LogStreamName }, func(e event) bool {
		return way == "" || way == "f" && before(place, e) < 0 || way == "b" && before(e, place) < 0
	})
	if err != nil {
		return nil, err
	}
	if way == "f" || way == "" && in.StartFromHead {
		events = events[:page(events, limit)]
	} else {
		events = events[tail(events, limit):]
	}
	forward, backward := place, place // at an end the token stays as it was
	if len(events) > 0 {
		backward, forward = events[0], events[len(events)-1]
	}
	out := make([]eventJSON, len(events))
	for i, e := range events {
		out[i] = eventJSON{Timestamp: e.time, Message: e.message, IngestionTime: e.ingested}
	}
	return map[string]any{"events": out, "nextForwardToken": "f/" + placeToken(forward), "nextBackwardToken": "b/" + placeToken(backward)}, nil
}
