package controlapi

import (
	"net/http"
	"slices"
	"strings"

	"tidegate/internal/awshttp"
)

// unservedOperations are those of API Gateway V2 that Tidegate lacks, by name:
// "METHOD path": operation.
var unservedOperations = map[string]string{
	"PUT /v2/apis":                                             "ImportApi",
	"PUT /v2/apis/{apiId}":                                     "ReimportApi",
	"DELETE /v2/apis/{apiId}/cors":                             "DeleteCorsConfiguration",
	"GET /v2/apis/{apiId}/exports/{specification}":             "ExportApi",
	"DELETE /v2/apis/{apiId}/stages/{stage}/cache/authorizers": "ResetAuthorizersCache",
	"POST /v2/domainnames/{name}/routingrules":                 "CreateRoutingRule",
	"GET /v2/domainnames/{name}/routingrules":                  "ListRoutingRules",
	"GET /v2/domainnames/{name}/routingrules/{id}":             "GetRoutingRule",
	"PUT /v2/domainnames/{name}/routingrules/{id}":             "PutRoutingRule",
	"DELETE /v2/domainnames/{name}/routingrules/{id}":          "DeleteRoutingRule",
}

// httpOnly are those of them that AWS has for HTTP APIs alone: they can't do
// anything for a WebSocket API there either.
var httpOnly = []string{"ImportApi", "ReimportApi", "ExportApi", "DeleteCorsConfiguration", "ResetAuthorizersCache"} // WS-09-019, WS-09-020, WS-09-021, WS-09-022

// unserved answers everything else: what AWS has by its name, the rest by
// method and path.
func (f *face) unserved() {
	refuse := func(name string) awshttp.HandlerFunc {
		return func(*awshttp.Call) (any, error) { return nil, badRequest("Tidegate does not serve " + name + " yet") }
	}
	for pattern, name := range unservedOperations {
		method, path, _ := strings.Cut(pattern, " ")
		if slices.Contains(httpOnly, name) {
			f.on(method, path, http.StatusOK, func(*awshttp.Call) (any, error) {
				return nil, badRequest(name + " is for HTTP APIs only, on AWS too; Tidegate serves WebSocket APIs")
			})
			continue
		}
		f.on(method, path, http.StatusOK, refuse(name))
	}
	f.mux.Handle("/", f.protocol.REST(func(c *awshttp.Call) (any, error) {
		call := c.Request.Method + " " + c.Request.URL.Path
		switch {
		case strings.HasPrefix(c.Request.URL.Path, "/v2/portal"):
			return nil, badRequest("Tidegate does not serve API Gateway's portals (" + call + ") yet")
		case !strings.HasPrefix(c.Request.URL.Path, "/v2/"):
			return nil, badRequest("Tidegate does not serve API Gateway's version 1 (" + call + "): only WebSocket APIs, whose paths begin with /v2/")
		}
		return nil, &awshttp.Error{Code: "NotFoundException", Status: http.StatusNotFound, Message: "API Gateway V2 has no operation " + call}
	}))
}
