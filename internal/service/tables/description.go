package tables

import (
	"encoding/json"
	"math"
	"time"
)

// The wire structs of tables, in AWS's spelling; a description is also what the
// store keeps of a table.

type attributeDefinition struct {
	AttributeName string
	AttributeType string
}

type keySchemaElement struct {
	AttributeName string
	KeyType       string
}

type projectionDescription struct {
	ProjectionType   string
	NonKeyAttributes []string `json:",omitempty"`
}

type throughput struct {
	ReadCapacityUnits  *int64
	WriteCapacityUnits *int64
}

type throughputDescription struct {
	NumberOfDecreasesToday int64
	ReadCapacityUnits      int64
	WriteCapacityUnits     int64
}

type indexDescription struct {
	IndexName             string
	KeySchema             []keySchemaElement
	Projection            projectionDescription
	IndexStatus           string                 `json:",omitempty"` // global only
	ProvisionedThroughput *throughputDescription `json:",omitempty"` // global only
	IndexSizeBytes        int64
	ItemCount             int64
	IndexArn              string
	WarmThroughput        *warmThroughput `json:",omitempty"`
}

type warmThroughput struct {
	ReadUnitsPerSecond  int64
	WriteUnitsPerSecond int64
	Status              string
}

type billingModeSummary struct {
	BillingMode                       string
	LastUpdateToPayPerRequestDateTime epoch `json:",omitzero"`
}

type sseDescription struct {
	Status          string
	SSEType         string
	KMSMasterKeyArn string `json:",omitempty"`
}

type tableClassSummary struct {
	TableClass string
}

type tag struct {
	Key   string
	Value string
}

// A description is a table as DescribeTable shows it.
type description struct {
	AttributeDefinitions      []attributeDefinition `json:",omitempty"`
	TableName                 string
	KeySchema                 []keySchemaElement `json:",omitempty"`
	TableStatus               string
	CreationDateTime          epoch `json:",omitzero"`
	ProvisionedThroughput     throughputDescription
	TableSizeBytes            int64
	ItemCount                 int64
	TableArn                  string
	TableId                   string
	BillingModeSummary        *billingModeSummary `json:",omitempty"`
	LocalSecondaryIndexes     []indexDescription  `json:",omitempty"`
	GlobalSecondaryIndexes    []indexDescription  `json:",omitempty"`
	SSEDescription            *sseDescription     `json:",omitempty"`
	TableClassSummary         *tableClassSummary  `json:",omitempty"`
	DeletionProtectionEnabled bool
	WarmThroughput            *warmThroughput      `json:",omitempty"`
	StreamSpecification       *streamSpecification `json:",omitempty"`
	LatestStreamLabel         string               `json:",omitempty"`
	LatestStreamArn           string               `json:",omitempty"`
}

// A storedTable is what the store keeps of a table beside its items.
type storedTable struct {
	Description description
	Tags        []tag        `json:",omitempty"`
	TimeToLive  *timeToLive  `json:",omitempty"`
	Recovery    *pointInTime `json:",omitempty"`
}

// An epoch is a time on the wire: seconds since 1970 with milliseconds.
type epoch struct{ time.Time }

// MarshalJSON writes the seconds as a JSON number.
func (e epoch) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(e.UnixMilli()) / 1000)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *epoch) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	e.Time = time.UnixMilli(int64(math.Round(f * 1000)))
	return nil
}

var kindOf = map[string]kind{"S": kindString, "N": kindNumber, "B": kindBinary}

// keys resolves a key schema's types.
func (d *description) keys(schema []keySchemaElement) keySchema {
	var k keySchema
	for _, e := range schema {
		a := keyAttribute{name: e.AttributeName}
		for _, def := range d.AttributeDefinitions {
			if def.AttributeName == e.AttributeName {
				a.kind = kindOf[def.AttributeType]
			}
		}
		k.add(a, e.KeyType == "HASH")
	}
	return k
}
