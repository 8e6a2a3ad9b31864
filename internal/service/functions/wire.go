package functions

import (
	"encoding/json"
	"time"
)

// createInput is the body of CreateFunction, and what UpdateFunctionCode and
// UpdateFunctionConfiguration take of it. Members that are kept and returned
// without any effect here are raw.
type createInput struct {
	FunctionName string
	Runtime      *string
	Role         *string
	Handler      *string
	Description  *string
	Timeout      *int
	MemorySize   *int
	Code         *codeInput
	Environment  *environmentInput
	PackageType  *string
	Publish      bool
	DryRun       bool
	RevisionId   string
	Tags         map[string]string

	Architectures     json.RawMessage
	DeadLetterConfig  json.RawMessage
	EphemeralStorage  json.RawMessage
	KMSKeyArn         json.RawMessage
	LoggingConfig     json.RawMessage
	SnapStart         *snapStart
	TracingConfig     json.RawMessage
	VpcConfig         json.RawMessage
	Layers            []string
	FileSystemConfigs []json.RawMessage
	ImageConfig       json.RawMessage

	// UpdateFunctionCode has the members of Code at its top.
	codeInput
}

type codeInput struct {
	ZipFile         []byte
	S3Bucket        string
	S3Key           string
	S3ObjectVersion string
	ImageUri        string
	SourceKMSKeyArn string
	// TidegateBuild is Tidegate's own: how the code in a folder is built.
	TidegateBuild *buildSpec
}

type environmentInput struct{ Variables map[string]string }

type snapStart struct{ ApplyOn string }

// configuration is Lambda's FunctionConfiguration.
type configuration struct {
	FunctionName               string
	FunctionArn                string
	Runtime                    string
	Role                       string
	Handler                    string
	CodeSize                   int64
	Description                string
	Timeout                    int
	MemorySize                 int
	LastModified               string
	CodeSha256                 string
	Version                    string
	Environment                *environmentOutput `json:",omitempty"`
	TracingConfig              json.RawMessage
	RevisionId                 string
	State                      string `json:",omitempty"`
	StateReason                string `json:",omitempty"`
	StateReasonCode            string `json:",omitempty"`
	LastUpdateStatus           string `json:",omitempty"`
	LastUpdateStatusReason     string `json:",omitempty"`
	LastUpdateStatusReasonCode string `json:",omitempty"`
	PackageType                string
	Architectures              json.RawMessage
	EphemeralStorage           json.RawMessage
	LoggingConfig              logging
	SnapStart                  snapStartOutput
	KMSKeyArn                  json.RawMessage  `json:",omitempty"`
	DeadLetterConfig           json.RawMessage  `json:",omitempty"`
	VpcConfig                  json.RawMessage  `json:",omitempty"`
	Layers                     []layerReference `json:",omitempty"`
}

// layerReference is a layer in a function's configuration.
type layerReference struct {
	Arn      string
	CodeSize int64
}

type environmentOutput struct{ Variables map[string]string }

type snapStartOutput struct{ ApplyOn, OptimizationStatus string }

// getOutput is GetFunction's answer.
type getOutput struct {
	Configuration configuration
	Code          codeOutput
	Tags          map[string]string `json:",omitempty"`
	Concurrency   *concurrency      `json:",omitempty"`
}

type codeOutput struct{ RepositoryType, Location string }

type listOutput struct {
	Functions  []configuration
	NextMarker string `json:",omitempty"`
}

type permissionInput struct {
	StatementId           string
	Action                string
	Principal             string
	SourceArn             string
	SourceAccount         string
	PrincipalOrgID        string
	EventSourceToken      string
	FunctionUrlAuthType   string
	InvokedViaFunctionUrl *bool
	RevisionId            string
}

// lastModified is the form of LastModified: 2026-11-22T15:04:05.000+0000.
const lastModified = "2006-01-02T15:04:05.000-0700"

// describe renders the present configuration. Just after a create or an update
// AWS answers with the state on the way; pending says so.
func (s *Service) describe(fn *function) configuration {
	out := configuration{
		FunctionName: fn.Name, FunctionArn: fn.arn, Runtime: fn.Runtime, Role: fn.Role, Handler: fn.Handler,
		CodeSize: fn.Code.Size, CodeSha256: fn.Code.SHA256, Description: fn.Description, Timeout: fn.Timeout,
		MemorySize: fn.MemorySize, LastModified: fn.LastModified.UTC().Format(lastModified), Version: fn.version(),
		RevisionId: fn.RevisionID, PackageType: "Zip",
		TracingConfig:    fn.kept("TracingConfig", `{"Mode":"PassThrough"}`),
		Architectures:    fn.kept("Architectures", `["x86_64"]`),
		EphemeralStorage: fn.kept("EphemeralStorage", `{"Size":512}`),
		LoggingConfig:    fn.logging(),
		SnapStart:        snapStartOutput{ApplyOn: "None", OptimizationStatus: "Off"},
		KMSKeyArn:        fn.kept("KMSKeyArn", ""),
		VpcConfig:        fn.kept("VpcConfig", ""),
		DeadLetterConfig: fn.kept("DeadLetterConfig", ""),
		State:            "Active", LastUpdateStatus: "Successful",
	}
	for _, arn := range fn.Layers {
		ref := layerReference{Arn: arn}
		if l := s.layerOf(arn); l != nil {
			ref.CodeSize = l.Code.Size
		}
		out.Layers = append(out.Layers, ref)
	}
	if fn.HasEnvironment {
		vars := fn.Variables
		if vars == nil {
			vars = map[string]string{}
		}
		out.Environment = &environmentOutput{Variables: vars}
	}
	return out
}

// settling changes a configuration to how it looks while it takes effect.
func (c configuration) settling(created bool) configuration {
	if created {
		c.State, c.StateReason, c.StateReasonCode = "Pending", "The function is being created.", "Creating"
		c.LastUpdateStatus = ""
		return c
	}
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = "InProgress", "The function is being created.", "Creating"
	return c
}

func (fn *function) kept(member, fallback string) json.RawMessage {
	if v, ok := fn.Kept[member]; ok {
		return v
	}
	if fallback == "" {
		return nil
	}
	return json.RawMessage(fallback)
}

func (fn *function) info() Function {
	return Function{
		Name: fn.Name, ARN: fn.arn, Runtime: fn.Runtime, Handler: fn.Handler, Role: fn.Role,
		Timeout: time.Duration(fn.Timeout) * time.Second, MemorySize: fn.MemorySize,
		CodeDir: fn.codeDir, Folder: fn.Code.Folder != "", Variables: fn.Variables,
	}
}
