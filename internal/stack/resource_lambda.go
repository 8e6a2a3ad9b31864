package stack

import "strings"

// The types of Lambda. Source: the CloudFormation reference of AWS::Lambda.

const onThisMachine = "functions run as processes of this machine"

var lambdaTypes = map[string]*resourceType{
	"AWS::Lambda::Function": {
		name:         "AWS::Lambda::Function",
		attributes:   []string{"Arn"},
		nameProperty: "FunctionName",
		nameLimit:    64,
		properties: map[string]property{
			"Architectures":                noEffect(texts, onThisMachine),
			"CapacityProviderConfig":       notBuilt(anyJSON),
			"Code":                         required(property{form: anyJSON}),
			"CodeSigningConfigArn":         noEffect(aText, "code signatures are not checked"),
			"DeadLetterConfig":             noEffect(anyJSON, "Tidegate has no queue or topic to send a failed event to"),
			"Description":                  textProperty,
			"DurableConfig":                notBuilt(anyJSON),
			"Environment":                  fields(anObject, map[string]property{"Variables": {form: textMap}}),
			"EphemeralStorage":             noEffect(anyJSON, onThisMachine),
			"FileSystemConfigs":            notBuilt(anyJSON),
			"FunctionName":                 replaces(textProperty),
			"FunctionScalingConfig":        notBuilt(anyJSON),
			"Handler":                      textProperty,
			"ImageConfig":                  notBuilt(anyJSON),
			"KmsKeyArn":                    noEffect(aText, "environment variables are not encrypted with KMS"),
			"Layers":                       {form: texts, notBuilt: "is not built yet: put what the layer holds into the function's folder"},
			"LoggingConfig":                noEffect(anyJSON, "output appears in the terminal as the function writes it"),
			"MemorySize":                   integerProperty,
			"PackageType":                  {form: aText, notBuilt: "is not built yet: only Zip is", harmless: "Zip"},
			"RecursiveLoop":                noEffect(aText, "loops are not detected"),
			"ReservedConcurrentExecutions": noEffect(anInteger, "concurrency is not reserved"),
			"Role":                         required(textProperty),
			"Runtime":                      textProperty,
			"RuntimeManagementConfig":      noEffect(anyJSON, "the machine's own runtime is used"),
			"SnapStart":                    noEffect(anyJSON, onThisMachine),
			"Tags":                         {form: tagList},
			"TenancyConfig":                notBuilt(anyJSON),
			"Timeout":                      integerProperty,
			"TracingConfig":                noEffect(anyJSON, "there is no X-Ray"),
			"VpcConfig":                    noEffect(anyJSON, onThisMachine),
		},
	},
	"AWS::Lambda::Permission": {
		name: "AWS::Lambda::Permission",
		properties: map[string]property{
			"Action":                required(replaces(textProperty)),
			"EventSourceToken":      notBuilt(aText),
			"FunctionName":          required(replaces(textProperty)),
			"FunctionUrlAuthType":   notBuilt(aText),
			"InvokedViaFunctionUrl": notBuilt(aBoolean),
			"Principal":             required(replaces(textProperty)),
			"PrincipalOrgID":        notBuilt(aText),
			"SourceAccount":         replaces(textProperty),
			"SourceArn":             replaces(textProperty),
		},
	},
}

// checkFunction reports what a function's properties say together; its code is
// checked with the files.
func checkFunction(res *resource, r *reporter) {
	for _, name := range []string{"Handler", "Runtime"} {
		if res.properties.get(name) == nil {
			r.errorf(res.place().in("Properties"), "a function needs the property %s", name)
		}
	}
	runtime, known := res.properties.get("Runtime").scalar()
	if known && !strings.HasPrefix(runtime, "nodejs") {
		r.report(res.propertyPlace("Runtime"), didYouMean(runtime, []string{"nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x"}),
			"runtime %s is not built yet; nodejs* is", clip(runtime))
	}
}
