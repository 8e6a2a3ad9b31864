package tables

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tidegate/internal/awshttp"
)

// createInput is CreateTable's request. What Tidegate can't do yet is there to
// be refused by name.
type createInput struct {
	TableName                 *string
	AttributeDefinitions      []attributeDefinition
	KeySchema                 []keySchemaElement
	BillingMode               string
	ProvisionedThroughput     *throughput
	GlobalSecondaryIndexes    []indexInput
	LocalSecondaryIndexes     []indexInput
	StreamSpecification       *streamSpecification
	SSESpecification          *sseSpecification
	Tags                      []tag
	TableClass                string
	DeletionProtectionEnabled bool
	OnDemandThroughput        json.RawMessage // quotas of a pay-per-request table: no effect here
	WarmThroughput            json.RawMessage // pre-warmed capacity: no effect here
	ResourcePolicy            json.RawMessage
	GlobalTableSourceArn      json.RawMessage
	GlobalTableSettings       json.RawMessage `json:"GlobalTableSettingsReplicationMode"`
}

type sseSpecification struct {
	Enabled        bool
	SSEType        string
	KMSMasterKeyId string
}

type indexInput struct {
	IndexName  *string
	KeySchema  []keySchemaElement
	Projection *struct {
		ProjectionType   string
		NonKeyAttributes []string
	}
	ProvisionedThroughput *throughput
	OnDemandThroughput    json.RawMessage
	WarmThroughput        json.RawMessage
}

// decodeStrict reads a control request; a member Tidegate doesn't know is
// refused by name.
func decodeStrict(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		if d.More() {
			return notJSON("the request's body goes on behind its JSON object")
		}
		return nil
	case errors.As(err, &wrong):
		return serializationError(errWrongType)
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		return unsupported("the parameter " + strings.Trim(name, `"`))
	}
	return notJSON("the request's body is not valid JSON: %v", err)
}

// nameLetters tells whether the name is of the letters that names are made of.
func nameLetters(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return name != ""
}

// checkName notes what is wrong with a name of 3 to 255 characters.
func (c *constraints) checkName(name, member string) {
	if !nameLetters(name) {
		c.add("Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", name, member)
	}
	if len(name) < 3 {
		c.add("Value '%s' at '%s' failed to satisfy constraint: Member must have length greater than or equal to 3", name, member)
	}
	if len(name) > 255 {
		c.add("Value '%s' at '%s' failed to satisfy constraint: Member must have length less than or equal to 255", name, member)
	}
}

// check is DynamoDB's first look at the request: shapes and enums, all at once.
func (in *createInput) check() error {
	if in.TableName == nil {
		return invalid("The parameter 'TableName' is required but was not present in the request")
	}
	var c constraints
	c.checkName(*in.TableName, "tableName")
	c.enum(in.BillingMode, "billingMode", "PROVISIONED, PAY_PER_REQUEST", "PROVISIONED", "PAY_PER_REQUEST")
	c.enum(in.TableClass, "tableClass", "STANDARD, STANDARD_INFREQUENT_ACCESS", "STANDARD", "STANDARD_INFREQUENT_ACCESS")
	if in.AttributeDefinitions == nil {
		c.add("Value null at 'attributeDefinitions' failed to satisfy constraint: Member must not be null")
	}
	for i, a := range in.AttributeDefinitions {
		c.enum(a.AttributeType, fmt.Sprintf("attributeDefinitions.%d.member.attributeType", i+1), "B, N, S", "B", "N", "S")
	}
	c.checkSchema(in.KeySchema, "keySchema", 2)
	if t := in.ProvisionedThroughput; t != nil {
		c.checkThroughput(t, "provisionedThroughput")
	}
	c.checkStream(in.StreamSpecification)
	slices.Sort(c)
	for _, of := range []struct {
		kind    string
		indexes []indexInput
		most    int
	}{{"global", in.GlobalSecondaryIndexes, maxKeyAttributes}, {"local", in.LocalSecondaryIndexes, 2}} {
		for i, x := range of.indexes {
			c.checkIndex(x, fmt.Sprintf("%sSecondaryIndexes.%d.member.", of.kind, i+1), of.most)
		}
	}
	return c.err()
}

// checkIndex checks an index whose key may have most attributes.
func (c *constraints) checkIndex(x indexInput, at string, most int) {
	c.checkIndexName(x.IndexName, at)
	c.checkSchema(x.KeySchema, at+"keySchema", most)
	if x.Projection == nil {
		c.add("Value null at '%sprojection' failed to satisfy constraint: Member must not be null", at)
	} else {
		c.enum(x.Projection.ProjectionType, at+"projection.projectionType", "ALL, INCLUDE, KEYS_ONLY", "ALL", "INCLUDE", "KEYS_ONLY")
	}
}

func (c *constraints) checkIndexName(name *string, at string) {
	if name == nil {
		c.add("Value null at '%sindexName' failed to satisfy constraint: Member must not be null", at)
	} else {
		c.checkName(*name, at+"indexName")
	}
}

func (c *constraints) checkThroughput(t *throughput, at string) {
	for name, n := range map[string]*int64{"readCapacityUnits": t.ReadCapacityUnits, "writeCapacityUnits": t.WriteCapacityUnits} {
		if n == nil {
			c.add("Value null at '%s.%s' failed to satisfy constraint: Member must not be null", at, name)
		} else if *n < 1 {
			c.add("Value '%d' at '%s.%s' failed to satisfy constraint: Member must have value greater than or equal to 1", *n, at, name)
		}
	}
}

func (c *constraints) checkSchema(schema []keySchemaElement, at string, most int) {
	switch {
	case schema == nil:
		c.add("Value null at '%s' failed to satisfy constraint: Member must not be null", at)
	case len(schema) == 0:
		c.add("Value '[]' at '%s' failed to satisfy constraint: Member must have length greater than or equal to 1", at)
	case len(schema) > most:
		var list []string
		for _, e := range schema {
			list = append(list, fmt.Sprintf("KeySchemaElement(attributeName=%s, keyType=%s)", e.AttributeName, e.KeyType))
		}
		c.add("Value '[%s]' at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", strings.Join(list, ", "), at, most)
	}
	for i, e := range schema {
		c.enum(e.KeyType, fmt.Sprintf("%s.%d.member.keyType", at, i+1), "HASH, RANGE", "HASH", "RANGE")
	}
}

// refuse names what CreateTable can't do yet.
func (in *createInput) refuse() error {
	switch {
	case in.ResourcePolicy != nil:
		return unsupported("ResourcePolicy on a table")
	case in.GlobalTableSourceArn != nil || in.GlobalTableSettings != nil:
		return unsupported("global tables (GlobalTableSourceArn)")
	}
	return nil
}

// describe checks the rest of the request and makes the table's description,
// but for its id, ARN and time.
func (in *createInput) describe() (*description, error) {
	onDemand := in.BillingMode == "PAY_PER_REQUEST"
	d := &description{TableName: *in.TableName, KeySchema: in.KeySchema, TableStatus: "ACTIVE",
		AttributeDefinitions: in.AttributeDefinitions, DeletionProtectionEnabled: in.DeletionProtectionEnabled}
	switch {
	case onDemand && in.ProvisionedThroughput != nil:
		return nil, badParameter("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case !onDemand && in.ProvisionedThroughput == nil:
		return nil, badParameter("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	case onDemand:
		d.BillingModeSummary = &billingModeSummary{BillingMode: "PAY_PER_REQUEST"}
		d.WarmThroughput = &warmThroughput{12000, 4000, "ACTIVE"}
	default:
		t := in.ProvisionedThroughput
		if err := t.checkBounds(); err != nil {
			return nil, err
		}
		d.ProvisionedThroughput = throughputDescription{0, *t.ReadCapacityUnits, *t.WriteCapacityUnits}
		d.WarmThroughput = &warmThroughput{*t.ReadCapacityUnits, *t.WriteCapacityUnits, "ACTIVE"}
	}
	if err := checkDefinitions(in.AttributeDefinitions, in.KeySchema, false); err != nil {
		return nil, err
	}
	if err := in.describeIndexes(d, onDemand); err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, e := range in.KeySchema {
		used[e.AttributeName] = true
	}
	for _, x := range slices.Concat(in.LocalSecondaryIndexes, in.GlobalSecondaryIndexes) {
		for _, e := range x.KeySchema {
			used[e.AttributeName] = true
		}
	}
	if len(used) != len(in.AttributeDefinitions) {
		if len(in.LocalSecondaryIndexes)+len(in.GlobalSecondaryIndexes) == 0 {
			return nil, badParameter("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
		}
		return nil, badParameter("Some AttributeDefinitions are not used. AttributeDefinitions: %s, keys used: %s", definedNames(in.AttributeDefinitions), sortedNames(used))
	}
	if e := in.SSESpecification; e != nil && e.Enabled {
		d.SSEDescription = &sseDescription{Status: "ENABLED", SSEType: "KMS", KMSMasterKeyArn: e.KMSMasterKeyId}
	}
	if in.TableClass != "" {
		d.TableClassSummary = &tableClassSummary{in.TableClass}
	}
	if sp := in.StreamSpecification; sp != nil {
		if err := sp.check(); err != nil {
			return nil, err
		}
		if *sp.StreamEnabled {
			d.StreamSpecification = sp
		}
	}
	return d, nil
}

// maxUnits bounds the capacity units that can be asked for.
const maxUnits = 1_000_000_000_000

func (t *throughput) checkBounds() error {
	switch {
	case *t.ReadCapacityUnits > maxUnits:
		return invalidf("Given value %d for ReadCapacityUnits is out of bounds", *t.ReadCapacityUnits)
	case *t.WriteCapacityUnits > maxUnits:
		return invalidf("Given value %d for WriteCapacityUnits is out of bounds", *t.WriteCapacityUnits)
	}
	return nil
}

func definedNames(defs []attributeDefinition) string {
	m := map[string]bool{}
	for _, d := range defs {
		m[d.AttributeName] = true
	}
	return sortedNames(m)
}

func sortedNames(m map[string]bool) string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return "[" + strings.Join(names, ", ") + "]"
}

// checkDefinitions wants every key attribute defined, each once.
func checkDefinitions(defs []attributeDefinition, schema []keySchemaElement, global bool) error {
	defined := map[string]bool{}
	var names []string
	for _, d := range defs {
		if defined[d.AttributeName] {
			return badParameter("Duplicate AttributeName in AttributeDefinitions: %s", d.AttributeName)
		}
		defined[d.AttributeName] = true
		names = append(names, d.AttributeName)
	}
	var keys []string
	for _, e := range schema {
		keys = append(keys, e.AttributeName)
	}
	if len(keys) > len(defs) {
		return invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	for _, k := range keys {
		if !defined[k] {
			return badParameter("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]", strings.Join(keys, ", "), strings.Join(names, ", "))
		}
	}
	return checkSchemaOrder(schema, global)
}

// checkSchemaOrder wants the partition key first and no attribute twice; only
// a global index has several in either part.
func checkSchemaOrder(schema []keySchemaElement, global bool) error {
	seen := map[string]bool{}
	count := map[string]int{}
	for i, e := range schema {
		if count[e.KeyType]++; seen[e.AttributeName] {
			return invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
		}
		seen[e.AttributeName] = true
		if global && len(schema) > 2 && i > 0 && e.KeyType == "HASH" && schema[i-1].KeyType == "RANGE" {
			return invalid("Invalid KeySchema: All HASH key elements must come before the RANGE key elements")
		}
	}
	switch {
	case schema[0].KeyType != "HASH":
		return invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case !global && len(schema) == 2 && schema[1].KeyType != "RANGE":
		return invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	case count["HASH"] > maxKeyPart || count["RANGE"] > maxKeyPart:
		return invalidf("Invalid KeySchema: a global secondary index has at most %d HASH and %d RANGE key elements", maxKeyPart, maxKeyPart)
	}
	return nil
}

// DynamoDB's limits on indexes.
const (
	// A global index's key has up to four attributes in either part (Developer
	// guide, "Multi-attribute keys pattern").
	maxKeyPart       = 4
	maxKeyAttributes = 2 * maxKeyPart

	maxLocalIndexes     = 5
	maxGlobalIndexes    = 20
	maxNonKeyAttributes = 100
)

func (in *createInput) describeIndexes(d *description, onDemand bool) error {
	names := map[string]bool{}
	nonKey := 0
	switch {
	case in.LocalSecondaryIndexes != nil && len(in.LocalSecondaryIndexes) == 0:
		return badParameter("List of LocalSecondaryIndexes is empty")
	case in.LocalSecondaryIndexes != nil && len(in.KeySchema) < 2:
		return badParameter("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
	case in.LocalSecondaryIndexes == nil && in.GlobalSecondaryIndexes != nil && len(in.GlobalSecondaryIndexes) == 0:
		return badParameter("List of GlobalSecondaryIndexes is empty")
	}
	local := func(x indexInput) error {
		switch {
		case len(x.KeySchema) < 2:
			return badParameter("Index KeySchema does not have a range key for index: %s", *x.IndexName)
		case x.KeySchema[0].AttributeName != in.KeySchema[0].AttributeName:
			return badParameter("Index KeySchema does not have the same leading hash key as table KeySchema for index: %s. index hash key: %s, table hash key: %s", *x.IndexName, x.KeySchema[0].AttributeName, in.KeySchema[0].AttributeName)
		}
		return nil
	}
	for i, x := range slices.Concat(in.LocalSecondaryIndexes, in.GlobalSecondaryIndexes) {
		global := i >= len(in.LocalSecondaryIndexes)
		if err := checkDefinitions(in.AttributeDefinitions, x.KeySchema, global); err != nil {
			return err
		}
		if !global {
			if err := local(x); err != nil {
				return err
			}
		}
		if names[*x.IndexName] {
			return badParameter("Duplicate index name: %s", *x.IndexName)
		}
		names[*x.IndexName] = true
		if err := checkProjection(x); err != nil {
			return err
		}
		nonKey += len(x.Projection.NonKeyAttributes)
		out := indexDescription{IndexName: *x.IndexName, KeySchema: x.KeySchema, Projection: projectionDescription(*x.Projection)}
		if !global {
			d.LocalSecondaryIndexes = append(d.LocalSecondaryIndexes, out)
			continue
		}
		if err := out.provision(x.ProvisionedThroughput, onDemand, d.WarmThroughput); err != nil {
			return err
		}
		d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, out)
	}
	switch {
	case len(in.LocalSecondaryIndexes) > maxLocalIndexes:
		return badParameter("Number of LocalSecondaryIndexes exceeds per-table limit of %d", maxLocalIndexes)
	case len(in.GlobalSecondaryIndexes) > maxGlobalIndexes:
		return badParameter("GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	case nonKey > maxNonKeyAttributes:
		return badParameter("Number of projected attributes exceeds the per-table limit of %d", maxNonKeyAttributes)
	}
	return nil
}

// provision completes a global index by its throughput; warm is that of an
// on-demand table.
func (x *indexDescription) provision(t *throughput, onDemand bool, warm *warmThroughput) error {
	switch {
	case onDemand && t != nil:
		return badParameter("ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", x.IndexName)
	case !onDemand && (t == nil || t.ReadCapacityUnits == nil || t.WriteCapacityUnits == nil):
		return badParameter("ProvisionedThroughput must be specified for index: %s", x.IndexName)
	}
	x.IndexStatus = "ACTIVE"
	x.ProvisionedThroughput, x.WarmThroughput = &throughputDescription{}, warm
	if !onDemand {
		x.ProvisionedThroughput = &throughputDescription{0, *t.ReadCapacityUnits, *t.WriteCapacityUnits}
		x.WarmThroughput = &warmThroughput{*t.ReadCapacityUnits, *t.WriteCapacityUnits, "ACTIVE"}
	}
	return nil
}

func checkProjection(x indexInput) error {
	p := x.Projection
	switch {
	case p.ProjectionType == "":
		return badParameter("Unknown ProjectionType: null")
	case p.ProjectionType == "INCLUDE" && len(p.NonKeyAttributes) == 0:
		return badParameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	case p.ProjectionType != "INCLUDE" && p.NonKeyAttributes != nil:
		return badParameter("ProjectionType is %s, but NonKeyAttributes is specified", p.ProjectionType)
	}
	return nil
}

// createTable makes a table, which serves at once; the answer says CREATING, as
// DynamoDB's does.
func (s *Service) createTable(c *awshttp.Call) (any, error) {
	var in createInput
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	if in.TableName != nil {
		if name, ok := s.nameOf(*in.TableName); ok {
			in.TableName = &name
		}
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := s.authorize(c, "CreateTable", s.arn(*in.TableName)); err != nil {
		return nil, err
	}
	if err := in.refuse(); err != nil {
		return nil, err
	}
	d, err := in.describe()
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	s.complete(d)
	t := newTable(d, &s.memory)
	t.tags = in.Tags
	if err := s.addTable(t); err != nil {
		return nil, err
	}
	out := t.describe()
	out.TableStatus = "CREATING"
	for i := range out.GlobalSecondaryIndexes {
		out.GlobalSecondaryIndexes[i].IndexStatus = "CREATING"
		out.GlobalSecondaryIndexes[i].WarmThroughput = nil
	}
	out.WarmThroughput = nil
	if out.BillingModeSummary != nil {
		out.BillingModeSummary = &billingModeSummary{BillingMode: out.BillingModeSummary.BillingMode}
	}
	return map[string]any{"TableDescription": out}, nil
}
