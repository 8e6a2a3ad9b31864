package tables

import (
	"fmt"
	"testing"
)

// TestWrongTypes holds requests whose values have the wrong type to the words of
// DynamoDB's deserializer.
func TestWrongTypes(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	const casted = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"
	value := func(v string) string {
		return fmt.Sprintf(`{"TableName":"simple","Item":{"a":%s}}`, v)
	}
	for _, c := range []struct{ operation, body, want string }{
		{"PutItem", `{"TableName":true}`, "TRUE_VALUE cannot be converted to String"},
		{"PutItem", `{"TableName":34.5}`, "DECIMAL_VALUE cannot be converted to String"},
		{"PutItem", `{"TableName":["simple"]}`, "Unrecognized collection type class java.lang.String"},
		{"PutItem", `{"TableName":{}}`, "Start of structure or map found where not expected"},
		{"PutItem", `{"Item":[]}`, "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>"},
		{"PutItem", `{"Item":"a"}`, "Unexpected field type"},
		{"PutItem", value(`"x"`), "Unexpected value type in payload"},
		{"PutItem", value(`[]`), "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"},
		{"PutItem", value(`{"S":5}`), "NUMBER_VALUE cannot be converted to String"},
		{"PutItem", value(`{"S":{}}`), "Start of structure or map found where not expected"},
		{"PutItem", value(`{"SS":"x"}`), "Unexpected field type"},
		{"PutItem", value(`{"SS":{}}`), "Start of structure or map found where not expected"},
		{"PutItem", value(`{"BOOL":"x"}`), "Unexpected token received from parser"},
		{"PutItem", value(`{"BOOL":1}`), "NUMBER_VALUE cannot be converted to Boolean"},
		{"PutItem", value(`{"B":1}`), "only base-64-encoded strings are convertible to bytes"},
		{"PutItem", value(`{"B":"23456"}`), "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{"PutItem", value(`{"B":"=+/="}`), "Invalid last non-pad Base64 character dectected"},
		{"PutItem", value(`{"L":[{"M":{"b":{"N":1}}}]}`), "NUMBER_VALUE cannot be converted to String"},
		// What is of the wrong type comes before what can't be.
		{"PutItem", `{"TableName":"","Item":{"a":{}},"ReturnValues":1}`, "NUMBER_VALUE cannot be converted to String"},
		{"Query", `{"TableName":"simple","Limit":"1"}`, "STRING_VALUE cannot be converted to Integer"},
		{"BatchGetItem", `{"RequestItems":{"simple":{"Keys":[5]}}}`, casted},
		{"BatchGetItem", `{"RequestItems":{"simple":5}}`, "Unexpected value type in payload"},
		{"BatchWriteItem", `{"RequestItems":[]}`, "Unrecognized collection type java.util.Map<java.lang.String, java.util.List<com.amazonaws.dynamodb.v20120810.WriteRequest>>"},
		{"BatchWriteItem", `{"RequestItems":{"simple":"x"}}`, casted},
		{"TransactWriteItems", `{"TransactItems":[{"Put":[]}]}`, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.Put"},
		{"CreateTable", `{"TableName":false}`, "FALSE_VALUE cannot be converted to String"},
		{"CreateTable", `{"ProvisionedThroughput":{"ReadCapacityUnits":"1"}}`, "STRING_VALUE cannot be converted to Long"},
		{"CreateTable", `{"GlobalSecondaryIndexes":[{"Projection":[]}]}`, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.Projection"},
		{"UpdateTable", `{"GlobalSecondaryIndexUpdates":["x"]}`, "Unexpected value type in payload"},
		{"ListTables", `{"Limit":true}`, "TRUE_VALUE cannot be converted to Integer"},
	} {
		if got := refusal(t, sv, c.operation, c.body); got != "SerializationException: "+c.want {
			t.Errorf("%s %s\n got %s\nwant SerializationException: %s", c.operation, c.body, got, c.want)
		}
	}
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "GetItem", `{"TableName":"simple","Key":{"id":{"S":"a","Unknown":[1,{"x":null}]}},"ConsistentRead":"yes"}`)
}
