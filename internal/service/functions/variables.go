package functions

import (
	"os"
	"strconv"
	"strings"

	"tidegate/sigv4"
)

// inherited are the only variables of ours that a function's process gets: the
// user's shell may hold keys and profiles that a function must not see.
var inherited = []string{"PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "SHELL"}

// variables is the environment of the function's process: Lambda's own
// variables over ours, the server's, then the function's own over those, but
// for the ones that Lambda reserves.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func (e *environment) variables(keys sigv4.Credentials, prep *preparation) []string {
	fn, s := e.fn, e.s
	vars := map[string]string{}
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			vars[name] = v
		}
	}
	if vars["LANG"] == "" {
		vars["LANG"] = "en_US.UTF-8"
	}
	// The SDKs look for profiles in HOME; the user's own are none of ours.
	vars["AWS_CONFIG_FILE"] = os.DevNull
	vars["AWS_SHARED_CREDENTIALS_FILE"] = os.DevNull
	vars["AWS_XRAY_CONTEXT_MISSING"] = "LOG_ERROR"
	vars["AWS_XRAY_DAEMON_ADDRESS"] = "127.0.0.1:2000"
	vars["_AWS_XRAY_DAEMON_ADDRESS"] = "127.0.0.1"
	vars["_AWS_XRAY_DAEMON_PORT"] = "2000"
	vars["TZ"] = ":UTC"
	vars["TMPDIR"] = e.temp // Lambda's /tmp is an environment's own
	if e.proxy != "" {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
			vars[name] = e.proxy
		}
		for _, name := range []string{"NO_PROXY", "no_proxy"} {
			vars[name] = "localhost,127.0.0.0/8,127.0.0.1,::1"
		}
	}
	if s.cfg.Environment != nil {
		for _, pair := range s.cfg.Environment(fn.info()) {
			if name, v, ok := strings.Cut(pair, "="); ok {
				vars[name] = v
			}
		}
	}
	for name, v := range fn.Variables {
		vars[name] = fn.localPath(v, prep)
	}
	e.lambdaVariables(vars, keys)
	fn.searchPaths(vars, prep)
	delete(vars, "TIDEGATE_REDIRECT")
	delete(vars, "TIDEGATE_DOMAINS")
	if s.cfg.Redirect != nil {
		if to := s.cfg.Redirect(); to != "" {
			vars["TIDEGATE_REDIRECT"] = to
			if s.cfg.Domains != nil {
				vars["TIDEGATE_DOMAINS"] = strings.Join(s.cfg.Domains(), ",")
			}
		}
	}
	fn.language().variables(e, vars, prep)
	env := make([]string, 0, len(vars))
	for name, v := range vars {
		env = append(env, name+"="+v)
	}
	return env
}

// lambdaVariables are the ones that a function can't set.
func (e *environment) lambdaVariables(vars map[string]string, keys sigv4.Credentials) {
	fn, s := e.fn, e.s
	vars["_HANDLER"] = fn.Handler
	vars["AWS_REGION"] = s.cfg.Region
	vars["AWS_DEFAULT_REGION"] = s.cfg.Region
	vars["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + fn.Runtime
	vars["AWS_LAMBDA_FUNCTION_NAME"] = fn.Name
	vars["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = strconv.Itoa(fn.MemorySize)
	vars["AWS_LAMBDA_FUNCTION_VERSION"] = fn.version()
	vars["AWS_LAMBDA_INITIALIZATION_TYPE"] = "on-demand"
	vars["AWS_LAMBDA_LOG_GROUP_NAME"] = "/aws/lambda/" + fn.Name
	vars["AWS_LAMBDA_LOG_STREAM_NAME"] = e.stream
	fn.logging().variables(vars)
	vars["AWS_LAMBDA_RUNTIME_API"] = e.host
	vars["LAMBDA_TASK_ROOT"] = fn.codeDir
	vars["LAMBDA_RUNTIME_DIR"] = s.runtime
	if keys.AccessKeyID != "" {
		vars["AWS_ACCESS_KEY_ID"] = keys.AccessKeyID
		vars["AWS_SECRET_ACCESS_KEY"] = keys.SecretAccessKey
		vars["AWS_SESSION_TOKEN"] = keys.SessionToken
	}
}
