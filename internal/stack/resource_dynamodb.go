package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
		attributes:   []string{"Arn", "StreamArn"},
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
			"StreamSpecification":              noEffect(anyJSON, "tables have no streams: nothing is called when items change"),
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

// streamLabel ends the ARN of a table's stream, which is a placeholder.
const streamLabel = "/stream/2026-01-01T00:00:00.000"

type tableHandler struct{}

func (tableHandler) call(ctx context.Context, a *applier, operation string, in, out any) error {
	return a.json(ctx, "dynamodb", "1.0", "DynamoDB_20120810."+operation, in, out)
}

// A tableDescription is the part of DynamoDB's that is used here.
type tableDescription struct {
	TableName                 string
	TableARN                  string `json:"TableArn"`
	TableStatus               string
	KeySchema                 []map[string]string
	BillingModeSummary        struct{ BillingMode string }
	ProvisionedThroughput     capacityUnits
	DeletionProtectionEnabled bool
	GlobalSecondaryIndexes    []indexDescription
}

type indexDescription struct {
	IndexName  string
	KeySchema  []map[string]string
	Projection struct {
		ProjectionType   string
		NonKeyAttributes []string
	}
	ProvisionedThroughput capacityUnits
}

type capacityUnits struct{ ReadCapacityUnits, WriteCapacityUnits json.Number }

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
	if c.has("BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled", "GlobalSecondaryIndexes") {
		if err := h.alter(ctx, a, c); err != nil {
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

// alter makes the table what the template says, in as many calls as DynamoDB
// wants: one for each index that goes, one for the settings, one for each index
// that is new. An index whose keys or projection changed goes and comes again.
// It starts from the table as it is, so that it can finish what a run before it
// began.
func (h tableHandler) alter(ctx context.Context, a *applier, c *change) error {
	table, err := h.describe(ctx, a, c.name)
	if err != nil {
		return err
	}
	wanted := map[string]*value{}
	indexes := c.properties.get("GlobalSecondaryIndexes")
	if indexes != nil {
		for _, i := range indexes.items {
			name, _ := i.get("IndexName").scalar()
			wanted[name] = i
		}
	}
	var stay []indexDescription
	for _, x := range table.GlobalSecondaryIndexes {
		if w := wanted[x.IndexName]; w != nil && x.is(w) {
			stay = append(stay, x)
			delete(wanted, x.IndexName)
			continue
		}
		if err := h.updateTable(ctx, a, c, map[string]any{"GlobalSecondaryIndexUpdates": []any{map[string]any{"Delete": map[string]any{"IndexName": x.IndexName}}}}); err != nil {
			return err
		}
	}
	if in := settings(c, &table, stay); len(in) > 0 {
		if err := h.updateTable(ctx, a, c, in); err != nil {
			return err
		}
	}
	if indexes == nil {
		return nil
	}
	p := c.res.schema.properties["GlobalSecondaryIndexes"]
	for _, i := range indexes.items { // in the template's order
		name, _ := i.get("IndexName").scalar()
		if wanted[name] == nil {
			continue
		}
		in := map[string]any{"GlobalSecondaryIndexUpdates": []any{map[string]any{"Create": wireObject(i, p.fields, false)}}}
		if d := c.properties.get("AttributeDefinitions"); d != nil {
			in["AttributeDefinitions"] = d.plain()
		}
		if err := h.updateTable(ctx, a, c, in); err != nil {
			return err
		}
	}
	return nil
}

// updateTable calls UpdateTable and waits until the table is ready.
func (h tableHandler) updateTable(ctx context.Context, a *applier, c *change, in map[string]any) error {
	in["TableName"] = c.name
	if err := h.call(ctx, a, "UpdateTable", in, nil); err != nil {
		return err
	}
	_, err := h.wait(ctx, a, c.name, tableDescription{TableStatus: "UPDATING"})
	return err
}

// settings are the members of UpdateTable that make the table's billing, its
// throughput and that of the indexes that stay, and its protection what the
// template says; none when they are.
func settings(c *change, table *tableDescription, stay []indexDescription) map[string]any {
	const onDemand, provisioned = "PAY_PER_REQUEST", "PROVISIONED"
	in := map[string]any{}
	mode, _ := c.properties.get("BillingMode").scalar()
	if mode != onDemand {
		mode = provisioned // CloudFormation's default
	}
	was := table.BillingModeSummary.BillingMode
	if was == "" {
		was = provisioned
	}
	if mode != was {
		in["BillingMode"] = mode
	}
	if mode == provisioned {
		if v := c.properties.get("ProvisionedThroughput"); v != nil && (was != mode || units(v) != table.ProvisionedThroughput) {
			in["ProvisionedThroughput"] = v.plain()
		}
		var updates []any
		for _, i := range items(c.properties.get("GlobalSecondaryIndexes")) {
			name, _ := i.get("IndexName").scalar()
			at := slices.IndexFunc(stay, func(x indexDescription) bool { return x.IndexName == name })
			if v := i.get("ProvisionedThroughput"); v != nil && at >= 0 && units(v) != stay[at].ProvisionedThroughput {
				updates = append(updates, map[string]any{"Update": map[string]any{"IndexName": name, "ProvisionedThroughput": v.plain()}})
			}
		}
		if updates != nil {
			in["GlobalSecondaryIndexUpdates"] = updates
		}
	}
	protected, _ := c.properties.get("DeletionProtectionEnabled").scalar()
	if want := protected == "true"; want != table.DeletionProtectionEnabled {
		in["DeletionProtectionEnabled"] = want
	}
	return in
}

// items are a list's; none of nil.
func items(v *value) []*value {
	if v == nil {
		return nil
	}
	return v.items
}

func units(v *value) (out capacityUnits) {
	read, _ := v.get("ReadCapacityUnits").scalar()
	write, _ := v.get("WriteCapacityUnits").scalar()
	return capacityUnits{json.Number(read), json.Number(write)}
}

// is tells whether the index has the keys and the projection of the template's.
func (x indexDescription) is(w *value) bool {
	keys := items(w.get("KeySchema"))
	if len(keys) != len(x.KeySchema) {
		return false
	}
	for i, k := range keys {
		name, _ := k.get("AttributeName").scalar()
		kind, _ := k.get("KeyType").scalar()
		if x.KeySchema[i]["AttributeName"] != name || x.KeySchema[i]["KeyType"] != kind {
			return false
		}
	}
	var others []string
	for _, n := range items(w.get("Projection").get("NonKeyAttributes")) {
		name, _ := n.scalar()
		others = append(others, name)
	}
	slices.Sort(others)
	have := slices.Sorted(slices.Values(x.Projection.NonKeyAttributes))
	kind, _ := w.get("Projection").get("ProjectionType").scalar()
	return kind == x.Projection.ProjectionType && slices.Equal(have, others)
}

func (h tableHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return h.call(ctx, a, "DeleteTable", map[string]any{"TableName": old.PhysicalID}, nil)
}

func (h tableHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	_, err := h.describe(ctx, a, old.PhysicalID)
	return there(err)
}
