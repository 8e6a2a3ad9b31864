package stack

// The types of EventBridge. Source: the CloudFormation reference of
// AWS::Events::Rule.

var eventsTypes = map[string]*resourceType{
	"AWS::Events::Rule": {
		name:         "AWS::Events::Rule",
		attributes:   []string{"Arn"},
		nameProperty: "Name",
		nameLimit:    64,
		properties: map[string]property{
			"Description":        textProperty,
			"EventBusName":       {form: aText, notBuilt: "is not built yet: only the bus default is", harmless: "default"},
			"EventPattern":       {form: anyJSON, notBuilt: "is not built yet: only rules with a ScheduleExpression are"},
			"Name":               replaces(textProperty),
			"RoleArn":            noEffect(aText, "a rule invokes a function by the function's permission"),
			"ScheduleExpression": textProperty,
			"State":              oneOf("ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"),
			"Tags":               {form: tagList},
			"Targets": fields(objects, map[string]property{
				"AppSyncParameters":           notBuilt(anyJSON),
				"Arn":                         required(textProperty),
				"BatchParameters":             notBuilt(anyJSON),
				"DeadLetterConfig":            noEffect(anyJSON, "Tidegate has no queue to send a failed event to"),
				"EcsParameters":               notBuilt(anyJSON),
				"HttpParameters":              notBuilt(anyJSON),
				"Id":                          required(textProperty),
				"Input":                       textProperty,
				"InputPath":                   notBuilt(aText),
				"InputTransformer":            notBuilt(anyJSON),
				"KinesisParameters":           notBuilt(anyJSON),
				"RedshiftDataParameters":      notBuilt(anyJSON),
				"RetryPolicy":                 noEffect(anyJSON, "the rule's own retries are not configurable"),
				"RoleArn":                     noEffect(aText, "a rule invokes a function by the function's permission"),
				"RunCommandParameters":        notBuilt(anyJSON),
				"SageMakerPipelineParameters": notBuilt(anyJSON),
				"SqsParameters":               notBuilt(anyJSON),
			}),
		},
	},
}

// checkRule reports a rule that can never fire.
func checkRule(res *resource, r *reporter) {
	if res.properties.get("ScheduleExpression") == nil && res.properties.get("EventPattern") == nil {
		r.errorf(res.place().in("Properties"), "a rule needs the property ScheduleExpression")
	}
}
