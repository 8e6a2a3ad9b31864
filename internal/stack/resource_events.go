package stack

import (
	"context"
	"fmt"
)

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
				"AppSyncParameters": notBuilt(anyJSON),
				"Arn":               required(textProperty),
				"BatchParameters":   notBuilt(anyJSON),
				"DeadLetterConfig":  deadLetterConfig,
				"EcsParameters":     notBuilt(anyJSON),
				"HttpParameters":    notBuilt(anyJSON),
				"Id":                required(textProperty),
				"Input":             textProperty,
				"InputPath":         textProperty,
				"InputTransformer": fields(anObject, map[string]property{
					"InputPathsMap": {form: textMap},
					"InputTemplate": required(textProperty),
				}),
				"KinesisParameters":           notBuilt(anyJSON),
				"RedshiftDataParameters":      notBuilt(anyJSON),
				"RetryPolicy":                 retryPolicy,
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

type ruleHandler struct{}

func (ruleHandler) call(ctx context.Context, a *applier, operation string, in, out any) error {
	return a.json(ctx, "events", "1.1", "AWSEvents."+operation, in, out)
}

func (h ruleHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.put(ctx, a, c)
}

func (h ruleHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.put(ctx, a, c)
}

// put makes the rule and its targets what the template says; PutRule replaces a
// rule of the same name as a whole.
func (h ruleHandler) put(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, false, "Targets")
	body["Name"] = c.name
	if c.old != nil {
		delete(body, "Tags") // PutRule refuses tags of a rule that is there
		if c.has("Tags") {
			a.r.notef(c.res.propertyPlace("Tags"), "changed tags of a rule are not sent")
		}
	}
	var answer struct{ RuleArn string }
	if err := h.call(ctx, a, "PutRule", body, &answer); err != nil {
		return RecordedResource{}, err
	}
	if answer.RuleArn == "" {
		answer.RuleArn = "arn:aws:events:" + a.s.Region + ":" + a.s.Account + ":rule/" + c.name
	}
	out := c.recorded(c.name, answer.RuleArn)
	out.Attributes["Arn"] = answer.RuleArn

	wanted := map[string]bool{}
	targets := c.properties.get("Targets")
	if targets != nil {
		for _, t := range targets.items {
			id, _ := t.get("Id").scalar()
			wanted[id] = true
		}
	}
	if err := h.removeTargets(ctx, a, c.name, wanted); err != nil {
		return out, err
	}
	if len(wanted) == 0 {
		return out, nil
	}
	in := map[string]any{"Rule": c.name, "Targets": wire(targets, c.res.schema.properties["Targets"], false)}
	return out, h.checked(ctx, a, "PutTargets", in)
}

// checked calls an operation that reports failures one by one.
func (h ruleHandler) checked(ctx context.Context, a *applier, operation string, in any) error {
	var answer struct {
		FailedEntryCount int
		FailedEntries    []struct{ TargetId, ErrorCode, ErrorMessage string }
	}
	if err := h.call(ctx, a, operation, in, &answer); err != nil {
		return err
	}
	if answer.FailedEntryCount > 0 && len(answer.FailedEntries) > 0 {
		f := answer.FailedEntries[0]
		return &APIError{Operation: operation, Status: 200, Code: f.ErrorCode, Message: fmt.Sprintf("target %s: %s", f.TargetId, f.ErrorMessage)}
	}
	return nil
}

// removeTargets removes every target of a rule whose id isn't wanted.
func (h ruleHandler) removeTargets(ctx context.Context, a *applier, rule string, wanted map[string]bool) error {
	var gone []string
	token := ""
	for range maxPages {
		in := map[string]any{"Rule": rule}
		if token != "" {
			in["NextToken"] = token
		}
		var page struct {
			Targets   []struct{ Id string }
			NextToken string
		}
		if err := h.call(ctx, a, "ListTargetsByRule", in, &page); err != nil {
			return err
		}
		for _, t := range page.Targets {
			if !wanted[t.Id] {
				gone = append(gone, t.Id)
			}
		}
		if token = page.NextToken; token == "" {
			break
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return h.checked(ctx, a, "RemoveTargets", map[string]any{"Rule": rule, "Ids": gone})
}

func (h ruleHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	if err := h.removeTargets(ctx, a, old.PhysicalID, nil); err != nil {
		return err
	}
	return h.call(ctx, a, "DeleteRule", map[string]any{"Name": old.PhysicalID}, nil)
}

func (h ruleHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(h.call(ctx, a, "DescribeRule", map[string]any{"Name": old.PhysicalID}, nil))
}
