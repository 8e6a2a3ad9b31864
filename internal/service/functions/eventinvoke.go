package functions

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tidegate/internal/awshttp"
)

// An asynchronous says how a function's events are handled: its
// EventInvokeConfig. A nil one is Lambda's defaults.
type asynchronous struct {
	Retries *int              `json:",omitempty"`
	Age     *int              `json:",omitempty"` // seconds
	Targets map[string]string `json:",omitempty"` // ARNs, by onSuccess and onFailure
	Changed time.Time
}

const (
	onSuccess = "OnSuccess"
	onFailure = "OnFailure"
)

// retries is how often a function error is tried again.
func (a *asynchronous) retries() int {
	if a == nil || a.Retries == nil {
		return len(retryAfter)
	}
	return *a.Retries
}

// age is how old an event may become.
func (a *asynchronous) age() time.Duration {
	if a == nil || a.Age == nil {
		return maxEventAge
	}
	return time.Duration(*a.Age) * time.Second
}

// destination is where the record of an outcome goes; empty is nowhere.
func (a *asynchronous) destination(condition string) string {
	switch {
	case a == nil:
		return ""
	case condition == conditionSuccess:
		return a.Targets[onSuccess]
	}
	return a.Targets[onFailure]
}

// eventInvokeInput is the body of PutFunctionEventInvokeConfig and
// UpdateFunctionEventInvokeConfig.
type eventInvokeInput struct {
	MaximumRetryAttempts     *int
	MaximumEventAgeInSeconds *int
	DestinationConfig        *destinationConfig
}

type destinationConfig struct {
	OnSuccess *destinationTarget `json:",omitempty"`
	OnFailure *destinationTarget `json:",omitempty"`
}

type destinationTarget struct {
	Destination string `json:",omitempty"`
}

// eventInvokeOutput is Lambda's FunctionEventInvokeConfig.
type eventInvokeOutput struct {
	LastModified             float64 // s since 1970
	FunctionArn              string
	MaximumRetryAttempts     *int `json:",omitempty"`
	MaximumEventAgeInSeconds *int `json:",omitempty"`
	DestinationConfig        destinationConfig
}

func (fn *function) describeAsynchronous() eventInvokeOutput {
	a := fn.Asynchronous
	out := eventInvokeOutput{
		LastModified: float64(a.Changed.UnixMilli()) / 1000, FunctionArn: fn.arn + ":" + latest,
		MaximumRetryAttempts: a.Retries, MaximumEventAgeInSeconds: a.Age,
		DestinationConfig: destinationConfig{OnSuccess: &destinationTarget{a.Targets[onSuccess]}, OnFailure: &destinationTarget{a.Targets[onFailure]}},
	}
	return out
}

// eventInvokeActions are the operations on an EventInvokeConfig, by method.
var eventInvokeActions = map[string]string{
	http.MethodGet: "GetFunctionEventInvokeConfig", http.MethodPut: "PutFunctionEventInvokeConfig",
	http.MethodPost: "UpdateFunctionEventInvokeConfig", http.MethodDelete: "DeleteFunctionEventInvokeConfig",
}

// eventInvoke serves the operations on a function's EventInvokeConfig but List.
func (s *Service) eventInvoke(c *awshttp.Call, text, _ string) (any, error) {
	action := eventInvokeActions[c.Request.Method]
	fn, err := s.target(c, text, action)
	if err != nil {
		return nil, err
	}
	var in eventInvokeInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if fn, err = s.find(reference{name: fn.Name}, false); err != nil {
		return nil, err
	}
	if fn.Asynchronous == nil && c.Request.Method != http.MethodPut {
		return nil, userError(http.StatusNotFound, "ResourceNotFoundException", "The function "+fn.arn+":"+latest+" doesn't have an EventInvokeConfig")
	}
	r := fn.record
	switch c.Request.Method {
	case http.MethodGet:
		return fn.describeAsynchronous(), nil
	case http.MethodDelete:
		r.Asynchronous = nil
	default:
		a := &asynchronous{}
		if c.Request.Method == http.MethodPost {
			*a = *fn.Asynchronous
		}
		if r.Asynchronous, err = s.applyEventInvoke(fn, a, &in); err != nil {
			return nil, err
		}
	}
	if fn, err = s.save(c.Context(), r); err != nil {
		return nil, err
	}
	if fn.Asynchronous == nil {
		return &awshttp.Response{Status: http.StatusNoContent}, nil
	}
	return fn.describeAsynchronous(), nil
}

// applyEventInvoke puts what is given into a, each member checked.
func (s *Service) applyEventInvoke(fn *function, a *asynchronous, in *eventInvokeInput) (*asynchronous, error) {
	if in.MaximumRetryAttempts == nil && in.MaximumEventAgeInSeconds == nil && in.DestinationConfig == nil {
		return nil, invalidParameter("You must specify at least one of error handling or destination setting.")
	}
	if in.MaximumRetryAttempts != nil {
		if err := between("maximumRetryAttempts", *in.MaximumRetryAttempts, 0, len(retryAfter)); err != nil {
			return nil, err
		}
		a.Retries = in.MaximumRetryAttempts
	}
	if in.MaximumEventAgeInSeconds != nil {
		if err := between("maximumEventAgeInSeconds", *in.MaximumEventAgeInSeconds, int(minEventAge.Seconds()), int(maxEventAge.Seconds())); err != nil {
			return nil, err
		}
		a.Age = in.MaximumEventAgeInSeconds
	}
	if d := in.DestinationConfig; d != nil {
		a.Targets = map[string]string{}
		for name, target := range map[string]*destinationTarget{onSuccess: d.OnSuccess, onFailure: d.OnFailure} {
			if target == nil || target.Destination == "" {
				continue
			}
			if err := s.checkDestination(fn, name, target.Destination); err != nil {
				return nil, err
			}
			a.Targets[name] = target.Destination
		}
	}
	a.Changed = s.cfg.Clock.Now().UTC().Truncate(time.Millisecond)
	return a, nil
}

func (s *Service) checkDestination(fn *function, name, arn string) error {
	service := arnService(arn)
	switch {
	case service == "" || len(arn) > 350:
		return constraint(arn, "destinationConfig."+name+".destination", "Member must satisfy regular expression pattern: ^$|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:.*")
	case destinationServices[service] == "" || service == "s3" && name == onSuccess:
		return invalidParameter(fmt.Sprintf("The provided destination config is invalid: %s can't be the %s destination of a function.", arn, name))
	case service != "lambda":
		return nil // kept; each record that can't be sent is told
	}
	ref, err := s.parseReference(arn, "")
	if err != nil {
		return err
	}
	if ref.name == fn.Name {
		return invalidParameter("You can't specify the function as a destination for itself.")
	}
	return nil
}

// listEventInvoke is ListFunctionEventInvokeConfigs: a function has one at most,
// which its versions and aliases share.
func (s *Service) listEventInvoke(c *awshttp.Call, text, last string) (any, error) {
	if last != "list" {
		return nil, awshttp.Errorf(http.StatusBadRequest, "UnknownOperationException", "Tidegate's Lambda has no operation %s %.200s", c.Request.Method, c.Request.URL.Path)
	}
	fn, err := s.target(c, text, "ListFunctionEventInvokeConfigs")
	if err != nil {
		return nil, err
	}
	if text := c.Request.URL.Query().Get("MaxItems"); text != "" {
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > 50 {
			return nil, constraint(text, "maxItems", "Member must have value between 1 and 50")
		}
	}
	out := struct{ FunctionEventInvokeConfigs []eventInvokeOutput }{[]eventInvokeOutput{}}
	if fn.Asynchronous != nil {
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, fn.describeAsynchronous())
	}
	return out, nil
}
