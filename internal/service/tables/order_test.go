package tables

import (
	"strings"
	"testing"
)

// TestRefusalOrder: a request with several mistakes is refused for the one that
// DynamoDB looks at first: the types of its values, its members, expressions
// beside what they replaced, attribute values, the item's size, the table.
func TestRefusalOrder(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	big := strings.Repeat("x", 400<<10)
	const (
		once  = "ValidationException: 1 validation error detected: "
		empty = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	)
	for _, c := range []struct{ operation, body, want string }{
		{"PutItem", `{"Item":{"a":{}},"ReturnValues":true}`, "SerializationException: TRUE_VALUE cannot be converted to String"},
		{"PutItem", `{"Item":{"a":{}}}`, once + "Value null at 'tableName' failed to satisfy constraint: Member must not be null"},
		{"GetItem", `{"TableName":"nope","Key":{"a":{}},"ProjectionExpression":"a","AttributesToGet":["a"]}`, "ValidationException: Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"},
		{"GetItem", `{"TableName":"nope","Key":{"a":{}},"ExpressionAttributeNames":{"#a":"a"}}`, "ValidationException: ExpressionAttributeNames can only be specified when using expressions"},
		{"GetItem", `{"TableName":"nope","Key":{"a":{}},"ProjectionExpression":"a,,"}`, "ValidationException: " + empty},
		{"GetItem", `{"TableName":"nope","Key":{"a":{}},"ProjectionExpression":"a","ExpressionAttributeNames":{}}`, "ValidationException: " + empty},
		{"Scan", `{"TableName":"nope","Segment":1,"ScanFilter":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[{}]}}}`, "ValidationException: " + empty},
		{"PutItem", `{"TableName":"nope","ExpressionAttributeValues":{":a":{"SS":[]}},"Item":{"a":{}},"ConditionExpression":"a = :a"}`, once + empty},
		{"PutItem", `{"TableName":"nope","Item":{"a":{"S":"` + big + `"}}}`, "ValidationException: Item size has exceeded the maximum allowed size"},
		{"BatchWriteItem", `{"RequestItems":{"nope":[{"PutRequest":{"Item":{"a":{"S":"` + big + `"}}}}]}}`, "ValidationException: Item size has exceeded the maximum allowed size"},
		{"BatchGetItem", `{"RequestItems":{"nope":{"Keys":[{"a":{"N":"1"}},{"a":{"N":"1.0"}}]}}}`, "ValidationException: Provided list of item keys contains duplicates"},
		{"GetItem", `{"TableName":"nope","Key":{"a":{"S":"a"}},"ProjectionExpression":"b[1], b.a, a.b, a"}`, "ValidationException: Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a]"},
		{"CreateTable", `{"TableName":"wide","AttributeDefinitions":[],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"ProvisionedThroughput":{"ReadCapacityUnits":1000000000001,"WriteCapacityUnits":1}}`, "ValidationException: Given value 1000000000001 for ReadCapacityUnits is out of bounds"},
		{"CreateTable", `{"TableName":"none","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`, "ValidationException: Invalid KeySchema: Some index key attribute have no definition"},
		{"CreateTable", `{"TableName":"none","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"LocalSecondaryIndexes":[]}`, "ValidationException: One or more parameter values were invalid: List of LocalSecondaryIndexes is empty"},
		{"ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:eu-west-1:111122223333:table/theirs"}`, "AccessDeniedException: User: arn:aws:iam::" + testAccount + ":root is not authorized to perform: dynamodb:ListTagsOfResource on resource: arn:aws:dynamodb:eu-west-1:111122223333:table/theirs"},
	} {
		if got := refusal(t, sv, c.operation, c.body); got != c.want {
			t.Errorf("%s %.200s\n got %s\nwant %s", c.operation, c.body, got, c.want)
		}
	}
}
