package stack

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The types of EventBridge Scheduler. Source: the CloudFormation reference of
// AWS::Scheduler::Schedule and AWS::Scheduler::ScheduleGroup.

// retryPolicy is that of a rule's or a schedule's target.
var retryPolicy = fields(anObject, map[string]property{"MaximumEventAgeInSeconds": integerProperty, "MaximumRetryAttempts": integerProperty})

// deadLetterConfig is kept; what is given up is said to have gone nowhere.
var deadLetterConfig = fields(anObject, map[string]property{"Arn": textProperty})

var schedulerTypes = map[string]*resourceType{
	"AWS::Scheduler::Schedule": {
		name:         "AWS::Scheduler::Schedule",
		attributes:   []string{"Arn"},
		nameProperty: "Name",
		nameLimit:    64,
		properties: map[string]property{
			"ActionAfterCompletion": oneOf("NONE", "DELETE"),
			"Description":           textProperty,
			"EndDate":               textProperty,
			"FlexibleTimeWindow": required(fields(anObject, map[string]property{
				"MaximumWindowInMinutes": integerProperty,
				"Mode":                   required(oneOf("OFF", "FLEXIBLE")),
			})),
			"GroupName":                  replaces(textProperty),
			"KmsKeyArn":                  noEffect(aText, "schedules are stored as they are"),
			"Name":                       replaces(textProperty),
			"ScheduleExpression":         required(textProperty),
			"ScheduleExpressionTimezone": textProperty,
			"StartDate":                  textProperty,
			"State":                      oneOf("ENABLED", "DISABLED"),
			"Target": required(fields(anObject, map[string]property{
				"Arn":                         required(textProperty),
				"DeadLetterConfig":            deadLetterConfig,
				"EcsParameters":               {form: anyJSON},
				"EventBridgeParameters":       {form: anyJSON},
				"Input":                       textProperty,
				"KinesisParameters":           {form: anyJSON},
				"RetryPolicy":                 retryPolicy,
				"RoleArn":                     required(textProperty),
				"SageMakerPipelineParameters": {form: anyJSON},
				"SqsParameters":               {form: anyJSON},
			})),
		},
	},
	"AWS::Scheduler::ScheduleGroup": {
		name:         "AWS::Scheduler::ScheduleGroup",
		attributes:   []string{"Arn", "State"},
		nameProperty: "Name",
		nameLimit:    64,
		properties: map[string]property{
			"Name": replaces(textProperty),
			"Tags": replaces(property{form: tagList}),
		},
	},
}

const (
	lambdaTarget    = ":lambda:"
	universalTarget = "arn:aws:scheduler:::aws-sdk:lambda:invoke"
)

type scheduleHandler struct{}

func schedulePath(name string) string { return "/schedules/" + url.PathEscape(name) }

func (h scheduleHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.put(ctx, a, c, "CreateSchedule", http.MethodPost)
}

func (h scheduleHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.put(ctx, a, c, "UpdateSchedule", http.MethodPut)
}

// put makes the schedule what the template says; UpdateSchedule replaces all of
// it. One that is there already under its name, since a record was lost, is
// taken over. A schedule whose target can't run here is noted and left out.
func (h scheduleHandler) put(ctx context.Context, a *applier, c *change, operation, method string) (RecordedResource, error) {
	group := cmp.Or(c.get("GroupName"), "default")
	arn := a.s.scheduleARN(group, c.name)
	out := c.recorded(c.name, arn)
	out.Attributes["Arn"], out.Details["GroupName"] = arn, group
	target, _ := c.properties.get("Target").get("Arn").scalar()
	if !strings.Contains(target, lambdaTarget) && target != universalTarget {
		a.r.notef(c.res.propertyPlace("Target"), "Tidegate can't run the target %s: its schedules invoke Lambda functions; this one never fires here", clip(target))
		out.Details["LeftOut"] = "true"
		return out, nil
	}
	body := wireObject(c.properties, c.res.schema.properties, false, "Name")
	for _, date := range []string{"StartDate", "EndDate"} {
		text := c.get(date)
		if text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return out, &APIError{Operation: operation, Status: http.StatusBadRequest, Code: "ValidationException",
				Message: date + " must be a date and time such as 2030-12-31T23:59:59Z, not " + clip(text)}
		}
		body[date] = t.Unix()
		if date == "StartDate" && time.Since(t) > 4*time.Minute {
			// On AWS the schedule was made before that date; here it may be made anew.
			a.r.notef(c.res.propertyPlace(date), "is over; the schedule begins now")
			delete(body, date)
		}
	}
	err := a.rest(ctx, "scheduler", operation, method, schedulePath(c.name), body, nil)
	if method == http.MethodPost && hasCode(err, "ConflictException") {
		err = a.rest(ctx, "scheduler", "UpdateSchedule", http.MethodPut, schedulePath(c.name), body, nil)
	}
	if method == http.MethodPut && isNotFound(err) { // left out before, or deleted once it had fired
		err = a.rest(ctx, "scheduler", "CreateSchedule", http.MethodPost, schedulePath(c.name), body, nil)
	}
	return out, err
}

func (h scheduleHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	if old.Details["LeftOut"] != "" {
		return nil
	}
	return a.rest(ctx, "scheduler", "DeleteSchedule", http.MethodDelete, schedulePath(old.PhysicalID)+"?groupName="+url.QueryEscape(old.Details["GroupName"]), nil, nil)
}

// scheduleARN builds a schedule's ARN.
func (s *Stack) scheduleARN(group, name string) string {
	return "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule/" + group + "/" + name
}

type scheduleGroupHandler struct{}

func groupPath(name string) string { return "/schedule-groups/" + url.PathEscape(name) }

func (h scheduleGroupHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, false, "Name")
	err := a.rest(ctx, "scheduler", "CreateScheduleGroup", http.MethodPost, groupPath(c.name), body, nil)
	if hasCode(err, "ConflictException") { // taken over: a record was lost
		err = nil
	}
	out := c.recorded(c.name, a.s.scheduleGroupARN(c.name))
	out.Attributes["Arn"], out.Attributes["State"] = out.ARN, "ACTIVE"
	return out, err
}

// update has nothing to change: every property makes a new group.
func (h scheduleGroupHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.create(ctx, a, c)
}

func (h scheduleGroupHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, "scheduler", "DeleteScheduleGroup", http.MethodDelete, groupPath(old.PhysicalID), nil, nil)
}

func (h scheduleGroupHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, "scheduler", "GetScheduleGroup", http.MethodGet, groupPath(old.PhysicalID), nil, nil))
}

// scheduleGroupARN builds a schedule group's ARN.
func (s *Stack) scheduleGroupARN(name string) string {
	return "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule-group/" + name
}
