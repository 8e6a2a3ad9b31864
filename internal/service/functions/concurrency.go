package functions

import (
	"net/http"

	"tidegate/internal/awshttp"
)

type concurrency struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

// reserved serves GetFunctionConcurrency, PutFunctionConcurrency and
// DeleteFunctionConcurrency: how many invocations of the function, all versions
// together, may run at once.
func (s *Service) reserved(c *awshttp.Call, text, _ string) (any, error) {
	action := map[string]string{"GET": "GetFunctionConcurrency", "PUT": "PutFunctionConcurrency", "DELETE": "DeleteFunctionConcurrency"}[c.Request.Method]
	fn, err := s.unqualified(c, text, action)
	if err != nil {
		return nil, err
	}
	var in concurrency
	switch action {
	case "GetFunctionConcurrency":
		return concurrency{fn.Reserved}, nil
	case "PutFunctionConcurrency":
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		if in.ReservedConcurrentExecutions == nil {
			return nil, constraint("null", "reservedConcurrentExecutions", "Member must not be null")
		}
		if err := between("reservedConcurrentExecutions", *in.ReservedConcurrentExecutions, 0, accountLimit); err != nil {
			return nil, err
		}
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if fn, err = s.find(reference{name: fn.Name}, false); err != nil {
		return nil, err
	}
	r := fn.record
	r.Reserved = in.ReservedConcurrentExecutions
	if _, err := s.save(c.Context(), r); err != nil {
		return nil, err
	}
	if action == "DeleteFunctionConcurrency" {
		return &awshttp.Response{Status: http.StatusNoContent}, nil
	}
	return in, nil
}

// enter counts an invocation of the function, or refuses it when as many run as
// are reserved. The caller calls leave when it is over.
func (s *Service) enter(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fn := s.functions[name]; fn != nil && fn.Reserved != nil && s.running[name] >= *fn.Reserved {
		return throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
	}
	s.running[name]++
	return nil
}

func (s *Service) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[name]--; s.running[name] <= 0 {
		delete(s.running, name)
	}
}

// concurrencyOf is what GetFunction tells of it: nothing when none is reserved.
func (s *Service) concurrencyOf(fn *function) *concurrency {
	if fn.Reserved == nil {
		return nil
	}
	return &concurrency{fn.Reserved}
}
