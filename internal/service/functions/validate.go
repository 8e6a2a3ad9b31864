package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"

	"tidegate/internal/awshttp"
	"tidegate/internal/pattern"
)

// Bounds of Lambda's on a configuration.
const (
	defaultTimeout, maxTimeout = 3, 900 // seconds
	defaultMemory, minMemory   = 128, 128
	maxMemory                  = 10240
	maxVariables               = 4 << 10 // bytes, as JSON
	maxHandler, maxDescription = 128, 256
	maxTags                    = 50
)

var (
	rolePattern     = pattern.New(`^arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$`)
	handlerPattern  = regexp.MustCompile(`^[^\s]+$`)
	variablePattern = regexp.MustCompile(`^[a-zA-Z]([a-zA-Z0-9_])+$`)
)

// reserved are the variables that belong to Lambda:
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
var reserved = map[string]bool{
	"_HANDLER": true, "_X_AMZN_TRACE_ID": true, "AWS_DEFAULT_REGION": true, "AWS_REGION": true,
	"AWS_EXECUTION_ENV": true, "AWS_LAMBDA_FUNCTION_NAME": true, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true,
	"AWS_LAMBDA_FUNCTION_VERSION": true, "AWS_LAMBDA_INITIALIZATION_TYPE": true, "AWS_LAMBDA_LOG_GROUP_NAME": true,
	"AWS_LAMBDA_LOG_STREAM_NAME": true, "AWS_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true,
	"AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true, "AWS_LAMBDA_RUNTIME_API": true,
	"LAMBDA_TASK_ROOT": true, "LAMBDA_RUNTIME_DIR": true,
}

// decode reads a body whose members must all be known, so that none is ignored.
func decode(c *awshttp.Call, v any) error {
	if len(c.Body) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return invalidParameter("Tidegate's Lambda doesn't know the member " + name + " here; remove it.")
		}
		return awshttp.Errorf(400, "SerializationException", "the request's JSON could not be read: %v", err)
	}
	return nil
}

// unsupported names the first member that Tidegate would have to ignore.
func (in *createInput) unsupported() error {
	refuse := func(member, why string) error {
		return invalidParameter(member + ": " + why)
	}
	switch {
	case len(in.FileSystemConfigs) > 0:
		return refuse("FileSystemConfigs", "Tidegate mounts no file systems.")
	case given(in.ImageConfig):
		return refuse("ImageConfig", "Tidegate doesn't run container images.")
	case in.PackageType != nil && *in.PackageType != "Zip":
		return refuse("PackageType", "only Zip is supported.")
	case in.SnapStart != nil && in.SnapStart.ApplyOn != "" && in.SnapStart.ApplyOn != "None":
		return refuse("SnapStart", "only ApplyOn None is supported.")
	}
	return nil
}

// given says whether a raw member holds anything.
func given(raw json.RawMessage) bool {
	switch string(bytes.Join(bytes.Fields(raw), nil)) {
	case "", "null", "{}", "[]", `""`, `{"TargetArn":""}`:
		return false
	}
	return true
}

// apply puts the members that are given into the record, each one checked.
func (in *createInput) apply(r *record) error {
	if err := in.unsupported(); err != nil {
		return err
	}
	if in.Runtime != nil {
		if err := checkRuntime(*in.Runtime); err != nil {
			return err
		}
		r.Runtime = *in.Runtime
	}
	if in.Role != nil {
		if !rolePattern.MatchString(*in.Role) {
			return constraint(*in.Role, "role", `Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`)
		}
		r.Role = *in.Role
	}
	if in.Handler != nil {
		if len(*in.Handler) > maxHandler || !handlerPattern.MatchString(*in.Handler) {
			return constraint(*in.Handler, "handler", "Member must have length less than or equal to 128 and satisfy regular expression pattern: [^\\s]+")
		}
		r.Handler = *in.Handler
	}
	if in.Description != nil {
		if len(*in.Description) > maxDescription {
			return constraint(*in.Description, "description", "Member must have length less than or equal to 256")
		}
		r.Description = *in.Description
	}
	if given(in.DeadLetterConfig) {
		var d struct{ TargetArn string }
		if json.Unmarshal(in.DeadLetterConfig, &d) != nil || arnService(d.TargetArn) != "sqs" && arnService(d.TargetArn) != "sns" {
			return invalidParameter("The provided dead letter config is invalid: TargetArn must be the ARN of an SQS queue or an SNS topic.")
		}
	}
	if err := checkLogging(in.LoggingConfig); err != nil {
		return err
	}
	if in.Layers != nil {
		r.Layers = in.Layers
	}
	if err := in.applySizes(r); err != nil {
		return err
	}
	if in.Environment != nil {
		if err := checkVariables(in.Environment.Variables); err != nil {
			return err
		}
		r.HasEnvironment, r.Variables = true, in.Environment.Variables
	}
	for member, raw := range map[string]json.RawMessage{
		"Architectures": in.Architectures, "EphemeralStorage": in.EphemeralStorage, "KMSKeyArn": in.KMSKeyArn,
		"LoggingConfig": in.LoggingConfig, "TracingConfig": in.TracingConfig, "VpcConfig": in.VpcConfig,
		"DeadLetterConfig": in.DeadLetterConfig,
	} {
		if member == "DeadLetterConfig" && len(raw) > 0 && !given(raw) {
			delete(r.Kept, member) // an empty one takes it away
		}
		if given(raw) {
			if r.Kept == nil {
				r.Kept = map[string]json.RawMessage{}
			}
			r.Kept[member] = raw
		}
	}
	return nil
}

func (in *createInput) applySizes(r *record) error {
	if in.Timeout != nil {
		if err := between("timeout", *in.Timeout, 1, maxTimeout); err != nil {
			return err
		}
		r.Timeout = *in.Timeout
	}
	if in.MemorySize != nil {
		if err := between("memorySize", *in.MemorySize, minMemory, maxMemory); err != nil {
			return err
		}
		r.MemorySize = *in.MemorySize
	}
	return nil
}

func between(member string, v, low, high int) error {
	switch {
	case v < low:
		return constraint(strconv.Itoa(v), member, fmt.Sprintf("Member must have value greater than or equal to %d", low))
	case v > high:
		return constraint(strconv.Itoa(v), member, fmt.Sprintf("Member must have value less than or equal to %d", high))
	}
	return nil
}

// checkRuntime refuses what this machine can't run.
func checkRuntime(name string) error {
	if languageOf(name) == nil {
		return invalidParameter(fmt.Sprintf("Value %s at 'runtime' failed to satisfy constraint: Tidegate runs nodejs* and python3.* (nodejs22.x, nodejs8.10, python3.13, …) on this machine's Node.js and Python 3, and programs as provided.al2023, provided.al2, provided and go1.x. Other languages run as a custom runtime: a program or script named bootstrap.", name))
	}
	if runtime.GOOS == "windows" {
		return invalidParameter("Runtime " + name + ": Tidegate doesn't run functions on Windows; use Linux or macOS.")
	}
	return nil
}

func checkVariables(vars map[string]string) error {
	var taken []string
	for name := range vars {
		if reserved[name] {
			taken = append(taken, name)
		}
		if !reserved[name] && !variablePattern.MatchString(name) {
			return constraint(name, "environment.variables", "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]")
		}
		if strings.ContainsRune(vars[name], 0) {
			return invalidParameter("Environment variable " + name + " holds a NUL character.")
		}
	}
	if len(taken) > 0 {
		sort.Strings(taken)
		return invalidParameter("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: " + strings.Join(taken, ", "))
	}
	if b, err := json.Marshal(vars); err == nil && len(vars) > 0 && len(b) > maxVariables {
		return invalidParameter(fmt.Sprintf("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: %s", b[:200]))
	}
	return nil
}
