package functions

import (
	"net/http"
	"strings"

	"tidegate/internal/awshttp"
)

// accountSettings serves GetAccountSettings: Lambda's default limits, which are
// not enforced here but for those of one function.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
func (s *Service) accountSettings(c *awshttp.Call, _, _ string) (any, error) {
	if err := c.Authorize("lambda:GetAccountSettings", "*"); err != nil {
		return nil, err
	}
	const concurrent = 1000
	count, size, free := 0, int64(0), concurrent
	for _, fn := range s.list() {
		count++
		size += fn.Code.Size
		if own := s.concurrencyOf(fn); own != nil && own.ReservedConcurrentExecutions != nil {
			free -= *own.ReservedConcurrentExecutions
		}
	}
	return map[string]any{
		"AccountLimit": map[string]any{
			"TotalCodeSize": 80 << 30, "CodeSizeUnzipped": 250 << 20, "CodeSizeZipped": 50 << 20,
			"ConcurrentExecutions": concurrent, "UnreservedConcurrentExecutions": max(0, free),
		},
		"AccountUsage": map[string]any{"TotalCodeSize": size, "FunctionCount": count},
	}, nil
}

// listMappings serves ListEventSourceMappings: there are none.
func (s *Service) listMappings(c *awshttp.Call, _, _ string) (any, error) {
	if name := c.Request.URL.Query().Get("FunctionName"); name != "" {
		if _, err := s.target(c, name, "ListEventSourceMappings"); err != nil {
			return nil, err
		}
	} else if err := c.Authorize("lambda:ListEventSourceMappings", "*"); err != nil {
		return nil, err
	}
	return map[string]any{"EventSourceMappings": []any{}}, nil
}

// mapping serves GetEventSourceMapping.
func (s *Service) mapping(c *awshttp.Call, _, _ string) (any, error) {
	if err := c.Authorize("lambda:GetEventSourceMapping", "*"); err != nil {
		return nil, err
	}
	return nil, userError(http.StatusNotFound, "ResourceNotFoundException", "The resource you requested does not exist.")
}

// unused serves what tools read of a function about the settings that Tidegate
// lacks: what Lambda answers when they were never set.
func (s *Service) unused(c *awshttp.Call, text, _ string) (any, error) {
	path := strings.Split(strings.Trim(c.Request.URL.Path, "/"), "/")
	last := path[len(path)-1]
	if last == "provisioned-concurrency" && c.Request.URL.Query().Get("List") == "ALL" {
		last = "provisioned-concurrency list"
	}
	action := map[string]string{
		"urls": "ListFunctionUrlConfigs", "url": "GetFunctionUrlConfig", "provisioned-concurrency": "GetProvisionedConcurrencyConfig",
		"provisioned-concurrency list": "ListProvisionedConcurrencyConfigs", "code-signing-config": "GetFunctionCodeSigningConfig",
		"runtime-management-config": "GetRuntimeManagementConfig", "recursion-config": "GetFunctionRecursionConfig",
	}[last]
	fn, err := s.target(c, text, action)
	if err != nil {
		return nil, err
	}
	switch last {
	case "urls":
		return map[string]any{"FunctionUrlConfigs": []any{}}, nil
	case "url":
		return nil, userError(http.StatusNotFound, "ResourceNotFoundException", "The resource you requested does not exist.")
	case "provisioned-concurrency":
		return nil, userError(http.StatusNotFound, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")
	case "provisioned-concurrency list":
		return map[string]any{"ProvisionedConcurrencyConfigs": []any{}}, nil
	case "code-signing-config":
		return map[string]any{"FunctionName": fn.Name}, nil
	case "runtime-management-config":
		return map[string]any{"UpdateRuntimeOn": "Auto", "FunctionArn": fn.arn}, nil
	}
	return map[string]any{"RecursiveLoop": "Terminate"}, nil
}
