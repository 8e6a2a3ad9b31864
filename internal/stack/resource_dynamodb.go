package stack

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The types of DynamoDB. Source: the CloudFormation reference of
// AWS::DynamoDB::Table.

var (
	keySchema = fields(objects, map[string]property{
		"AttributeName": required(textProperty),
		"KeyType":       required(oneOf("HASH", "RANGE")),
	})
	throughput = fields(anObject, map[string]property{
		"ReadCapacityUnits":  required(integerProperty),
		"WriteCapacityUnits": required(integerProperty),
	})
	projection = fields(anObject, map[string]property{
		"NonKeyAttributes": {form: texts},
		"ProjectionType":   oneOf("ALL", "KEYS_ONLY", "INCLUDE"),
	})
)

const notMetered = "tables are as fast as the machine and cost nothing"

var dynamoDBTypes = map[string]*resourceType{
	"AWS::DynamoDB::Table": {
		name:         "AWS::DynamoDB::Table",
		attributes:   []string{"Arn"},
		nameProperty: "TableName",
		nameLimit:    255,
		properties: map[string]property{
			"AttributeDefinitions": fields(objects, map[string]property{
				"AttributeName": required(textProperty),
				"AttributeType": required(oneOf("S", "N", "B")),
			}),
			"BillingMode":                      oneOf("PAY_PER_REQUEST", "PROVISIONED"),
			"ContributorInsightsSpecification": noEffect(anyJSON, "there are no contributor insights"),
			"DeletionProtectionEnabled":        booleanProperty,
			"GlobalSecondaryIndexes": fields(objects, map[string]property{
				"ContributorInsightsSpecification": noEffect(anyJSON, "there are no contributor insights"),
				"IndexName":                        required(textProperty),
				"KeySchema":                        required(keySchema),
				"OnDemandThroughput":               noEffect(anyJSON, notMetered),
				"Projection":                       required(projection),
				"ProvisionedThroughput":            throughput,
				"WarmThroughput":                   noEffect(anyJSON, notMetered),
			}),
			"ImportSourceSpecification":  notBuilt(anyJSON),
			"KeySchema":                  required(replaces(keySchema)),
			"KinesisStreamSpecification": noEffect(anyJSON, "Tidegate has no Kinesis"),
			"LocalSecondaryIndexes": replaces(fields(objects, map[string]property{
				"IndexName":  required(textProperty),
				"KeySchema":  required(keySchema),
				"Projection": required(projection),
			})),
			"OnDemandThroughput":               noEffect(anyJSON, notMetered),
			"PointInTimeRecoverySpecification": noEffect(anyJSON, "there are no backups"),
			"ProvisionedThroughput":            throughput,
			"ResourcePolicy":                   notBuilt(anyJSON),
			"SSESpecification":                 noEffect(anyJSON, "items lie on this machine as they are"),
			"StreamSpecification":              {form: anyJSON, notBuilt: "is not built yet: tables have no streams"},
			"TableClass":                       noEffect(aText, notMetered),
			"TableName":                        replaces(textProperty),
			"Tags":                             {form: tagList},
			"TimeToLiveSpecification": fields(anObject, map[string]property{
				"AttributeName": textProperty,
				"Enabled":       required(booleanProperty),
			}),
			"WarmThroughput": noEffect(anyJSON, notMetered),
		},
	},
}

type tableHandler struct{}

func (tableHandler) call(ctx context.Context, a *applier, operation string, in, out any) error {
	return a.json(ctx, "dynamodb", "1.0", "DynamoDB_20120810."+operation, in, out)
}

// A tableDescription is the part of DynamoDB's that is used here.
type tableDescription struct {
	TableName              string
	TableARN               string `json:"TableArn"`
	TableStatus            string
	KeySchema              []map[string]string
	GlobalSecondaryIndexes []struct{ IndexName string }
}

func (h tableHandler) describe(ctx context.Context, a *applier, name string) (tableDescription, error) {
	var answer struct{ Table tableDescription }
	err := h.call(ctx, a, "DescribeTable", map[string]any{"TableName": name}, &answer)
	return answer.Table, err
}

func (h tableHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, false, "TimeToLiveSpecification")
	body["TableName"] = c.name
	var answer struct{ TableDescription tableDescription }
	err := h.call(ctx, a, "CreateTable", body, &answer)
	table := answer.TableDescription
	if isConflict(err) {
		table, err = h.adopt(ctx, a, c)
	}
	if err != nil {
		return RecordedResource{}, err
	}
	if table, err = h.wait(ctx, a, c.name, table); err != nil {
		return RecordedResource{}, err
	}
	out := h.recorded(a, c, table.TableARN)
	if enabled, _ := c.properties.get("TimeToLiveSpecification").get("Enabled").scalar(); enabled == "true" {
		return out, h.timeToLive(ctx, a, c, c.properties.get("TimeToLiveSpecification"))
	}
	return out, nil
}

// adopt takes over a table that was kept when its resource left the template,
// or that a run made without coming to record it.
func (h tableHandler) adopt(ctx context.Context, a *applier, c *change) (tableDescription, error) {
	table, err := h.describe(ctx, a, c.name)
	if err != nil {
		return table, err
	}
	wanted := map[string]string{}
	for _, k := range c.properties.get("KeySchema").items {
		name, _ := k.get("AttributeName").scalar()
		wanted[name], _ = k.get("KeyType").scalar()
	}
	same := len(wanted) == len(table.KeySchema)
	for _, k := range table.KeySchema {
		same = same && wanted[k["AttributeName"]] == k["KeyType"]
	}
	if !same {
		return table, fmt.Errorf("there is already a table %s with another KeySchema, kept from before: delete it (tidegate reset), or give this one another TableName", c.name)
	}
	return table, nil
}

// wait returns the table's description once it is ready.
func (h tableHandler) wait(ctx context.Context, a *applier, name string, table tableDescription) (tableDescription, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	pause := 5 * time.Millisecond
	for table.TableStatus == "CREATING" || table.TableStatus == "UPDATING" {
		select {
		case <-ctx.Done():
			return table, fmt.Errorf("table %s is still %s: %w", name, table.TableStatus, ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
		var err error
		if table, err = h.describe(ctx, a, name); err != nil {
			return table, err
		}
	}
	return table, nil
}

func (tableHandler) recorded(a *applier, c *change, arn string) RecordedResource {
	if arn == "" {
		arn = "arn:aws:dynamodb:" + a.s.Region + ":" + a.s.Account + ":table/" + c.name
	}
	out := c.recorded(c.name, arn)
	out.Attributes["Arn"] = arn
	return out
}

// timeToLive sets the attribute that tells when items expire.
func (h tableHandler) timeToLive(ctx context.Context, a *applier, c *change, spec *value) error {
	in := map[string]any{"TableName": c.name, "TimeToLiveSpecification": spec.plain()}
	return a.optional(c, "TimeToLiveSpecification", h.call(ctx, a, "UpdateTimeToLive", in, nil))
}

func (h tableHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	out := h.recorded(a, c, c.old.ARN)
	in := map[string]any{"TableName": c.name}
	for _, name := range []string{"BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled"} {
		if v := c.properties.get(name); v != nil && c.has(name) {
			in[name] = v.plain()
		}
	}
	if len(in) > 1 {
		if err := a.optional(c, c.changed[0], h.call(ctx, a, "UpdateTable", in, nil)); err != nil {
			return out, err
		}
		if _, err := h.wait(ctx, a, c.name, tableDescription{TableStatus: "UPDATING"}); err != nil {
			return out, err
		}
	}
	if c.has("GlobalSecondaryIndexes") {
		if err := h.updateIndexes(ctx, a, c); err != nil {
			return out, err
		}
	}
	if c.has("TimeToLiveSpecification") {
		spec := c.properties.get("TimeToLiveSpecification")
		if spec == nil {
			return out, errors.New("removing TimeToLiveSpecification is not built yet: set Enabled: false instead")
		}
		if err := h.timeToLive(ctx, a, c, spec); err != nil {
			return out, err
		}
	}
	if c.has("Tags") {
		in := map[string]any{"ResourceArn": c.old.ARN, "Tags": []any{}}
		if tags := c.properties.get("Tags"); tags != nil {
			in["Tags"] = tags.plain()
		}
		if err := a.optional(c, "Tags", h.call(ctx, a, "TagResource", in, nil)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// updateIndexes adds the indexes that are new and deletes those that left, one
// a call, as DynamoDB wants it. A changed index of the same name is not told
// from an unchanged one; DynamoDB needs another name for it too.
func (h tableHandler) updateIndexes(ctx context.Context, a *applier, c *change) error {
	table, err := h.describe(ctx, a, c.name)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, i := range table.GlobalSecondaryIndexes {
		there[i.IndexName] = true
	}
	var updates []any
	if indexes := c.properties.get("GlobalSecondaryIndexes"); indexes != nil {
		p := c.res.schema.properties["GlobalSecondaryIndexes"]
		for _, i := range indexes.items {
			name, _ := i.get("IndexName").scalar()
			if !there[name] {
				updates = append(updates, map[string]any{"Create": wireObject(i, p.fields, false)})
			}
			delete(there, name)
		}
	}
	for _, name := range keys(there) {
		updates = append(updates, map[string]any{"Delete": map[string]any{"IndexName": name}})
	}
	for _, u := range updates {
		in := map[string]any{"TableName": c.name, "GlobalSecondaryIndexUpdates": []any{u}}
		if d := c.properties.get("AttributeDefinitions"); d != nil {
			in["AttributeDefinitions"] = d.plain()
		}
		if err := h.call(ctx, a, "UpdateTable", in, nil); err != nil {
			return err
		}
		if _, err := h.wait(ctx, a, c.name, tableDescription{TableStatus: "UPDATING"}); err != nil {
			return err
		}
	}
	return nil
}

func (h tableHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return h.call(ctx, a, "DeleteTable", map[string]any{"TableName": old.PhysicalID}, nil)
}

func (h tableHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	_, err := h.describe(ctx, a, old.PhysicalID)
	return there(err)
}
