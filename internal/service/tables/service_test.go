package tables

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
)

// post calls an operation without an SDK and returns status, body and header.
func post(t testing.TB, h http.Handler, operation, body string) (int, string, http.Header) {
	t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

// must is post that has to succeed; it returns the body.
func must(t testing.TB, h http.Handler, operation, body string) string {
	t.Helper()
	code, out, _ := post(t, h, operation, body)
	if code != 200 {
		t.Fatalf("%s %s: %d %s", operation, body, code, out)
	}
	return out
}

// refusal is post that has to fail; it returns "Code: message".
func refusal(t testing.TB, h http.Handler, operation, body string) string {
	t.Helper()
	code, out, _ := post(t, h, operation, body)
	var e struct {
		Type     string `json:"__type"`
		Message  string `json:"message"`
		Message2 string `json:"Message"`
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != 400 {
		t.Fatalf("%s %s: %d %s, want a 400", operation, body, code, out)
	}
	_, name, _ := strings.Cut(e.Type, "#")
	return name + ": " + e.Message + e.Message2
}

const (
	createSimple = `{"TableName":"simple","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`
	createSorted = `{"TableName":"sorted","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"N"},{"AttributeName":"owner_","AttributeType":"S"},{"AttributeName":"at","AttributeType":"N"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],"BillingMode":"PAY_PER_REQUEST",
		"GlobalSecondaryIndexes":[{"IndexName":"byOwner","KeySchema":[{"AttributeName":"owner_","KeyType":"HASH"},{"AttributeName":"at","KeyType":"RANGE"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["note"]}}],
		"LocalSecondaryIndexes":[{"IndexName":"byTime","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"at","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}]}`
)

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v int) types.AttributeValue    { return &types.AttributeValueMemberN{Value: strconv.Itoa(v)} }

// TestSDK walks an app's way with the real SDK: create, wait, put, get, update,
// query, scan, delete, with conditions.
func TestSDK(t *testing.T) {
	ctx := t.Context()
	_, c := newService(t, nil, nil)
	created, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String("connections"),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("connectionId"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("connectionId"), KeyType: types.KeyTypeHash}},
		ProvisionedThroughput: &types.ProvisionedThroughput{
			ReadCapacityUnits: aws.Int64(5), WriteCapacityUnits: aws.Int64(5),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if created.TableDescription.TableStatus != types.TableStatusCreating {
		t.Errorf("CreateTable says %s", created.TableDescription.TableStatus)
	}
	if err := dynamodb.NewTableExistsWaiter(c).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("connections")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	table := created.TableDescription.TableArn // an ARN does where a name does
	if want := "arn:aws:dynamodb:us-east-1:000000000000:table/connections"; *table != want {
		t.Errorf("ARN %s, want %s", *table, want)
	}
	for i := range 5 {
		if _, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: map[string]types.AttributeValue{
			"connectionId": s(fmt.Sprint("c", i)), "room": s("lobby"), "seen": n(i),
			"bin": &types.AttributeValueMemberB{Value: []byte{0, 1, 2}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: table, Item: map[string]types.AttributeValue{"connectionId": s("c1")},
		ConditionExpression:                 aws.String("attribute_not_exists(connectionId)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || failed.Item["seen"].(*types.AttributeValueMemberN).Value != "1" {
		t.Errorf("a conditional put over an item: %v", err)
	}
	up, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: table, Key: map[string]types.AttributeValue{"connectionId": s("c1")},
		UpdateExpression:          aws.String("SET seen = seen + :one, #n = if_not_exists(#n, :name)"),
		ExpressionAttributeNames:  map[string]string{"#n": "name"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":one": n(1), ":name": s("anon")},
		ReturnValues:              types.ReturnValueUpdatedNew,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"seen": "2", "name": "anon"}, map[string]string{
		"seen": up.Attributes["seen"].(*types.AttributeValueMemberN).Value, "name": up.Attributes["name"].(*types.AttributeValueMemberS).Value,
	}); diff != "" || len(up.Attributes) != 2 {
		t.Errorf("UPDATED_NEW: %v", up.Attributes)
	}
	got, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: map[string]types.AttributeValue{"connectionId": s("c1")}, ConsistentRead: aws.Bool(true)})
	if err != nil || len(got.Item) != 5 {
		t.Errorf("GetItem: %v, %v", got, err)
	}
	scan, err := c.Scan(ctx, &dynamodb.ScanInput{TableName: table, ProjectionExpression: aws.String("connectionId"),
		FilterExpression: aws.String("seen >= :two"), ExpressionAttributeValues: map[string]types.AttributeValue{":two": n(2)}})
	if err != nil || scan.Count != 4 || scan.ScannedCount != 5 || len(scan.Items[0]) != 1 {
		t.Errorf("Scan: %+v, %v", scan, err)
	}
	if _, err := c.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: map[string]types.AttributeValue{"connectionId": s("c1")}}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table}); err != nil {
		t.Error(err)
	}
	if err := dynamodb.NewTableNotExistsWaiter(c).Wait(ctx, &dynamodb.DescribeTableInput{TableName: table}, time.Minute); err != nil {
		t.Error(err)
	}
	_, err = c.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: map[string]types.AttributeValue{"connectionId": s("c1")}})
	var gone *types.ResourceNotFoundException
	if !errors.As(err, &gone) {
		t.Errorf("GetItem from a deleted table: %v", err)
	}
	var api smithy.APIError
	_, err = c.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{Statement: aws.String("SELECT * FROM simple")})
	if !errors.As(err, &api) || api.ErrorCode() != "ValidationException" || api.ErrorMessage() != "Tidegate does not support the operation ExecuteStatement yet" {
		t.Errorf("an operation that isn't there: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "CreateTable", createSorted)
	big := strings.Repeat("x", 400<<10)
	const once = "1 validation error detected: "
	for _, c := range []struct{ operation, body, want string }{
		{"CreateTable", createSimple, "ResourceInUseException: Table already exists: simple"},
		{"CreateTable", `{"TableName":"ab"}`, "ValidationException: 3 validation errors detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3; Value null at 'attributeDefinitions' failed to satisfy constraint: Member must not be null; Value null at 'keySchema' failed to satisfy constraint: Member must not be null"},
		{"CreateTable", strings.Replace(createSimple, `"BillingMode":"PAY_PER_REQUEST"`, `"Frob":1`, 1), "ValidationException: Tidegate does not support the parameter Frob yet"},
		{"CreateTable", strings.Replace(createSimple, `,"BillingMode":"PAY_PER_REQUEST"`, ``, 1), "ValidationException: One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{"DescribeTable", `{"TableName":"nope"}`, "ResourceNotFoundException: Requested resource not found: Table: nope not found"},
		{"DeleteTable", `{"TableName":"non-existent"}`, "ResourceNotFoundException: Requested resource not found: Table: non-existent not found"},
		{"PutItem", `{"TableName":"nope","Item":{"id":{"S":"a"}}}`, "ResourceNotFoundException: Requested resource not found"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"}}`, "SerializationException: "},
		{"PutItem", `{"TableName":5}`, "SerializationException: NUMBER_VALUE cannot be converted to String"},
		{"PutItem", `{"Item":{}}`, "ValidationException: " + once + "Value null at 'tableName' failed to satisfy constraint: Member must not be null"},
		{"PutItem", `{"TableName":"","Item":{}}`, "ValidationException: " + once + "Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"PutItem", `{"TableName":"bad table!@#","Item":{}}`, "ValidationException: " + once + "Value 'bad table!@#' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"}},"ReturnValues":"ALL_NEW"}`, "ValidationException: " + once + "ReturnValues can only be ALL_OLD or NONE"},
		{"PutItem", `{"TableName":"simple","Item":{"x":{"S":"a"}}}`, "ValidationException: One or more parameter values were invalid: Missing the key id in the item"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"N":"1"}}}`, "ValidationException: One or more parameter values were invalid: Type mismatch for key id expected: S actual: N"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":""}}}`, "ValidationException: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"` + big[:2049] + `"}}}`, "ValidationException: One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"},"x":{"S":"` + big + `"}}}`, "ValidationException: Item size has exceeded the maximum allowed size"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"}},"Frob":{}}`, "ValidationException: Tidegate does not support the parameter Frob of PutItem yet"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"}},"ConditionExpression":"a = :a"}`, "ValidationException: " + once + "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :a"},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"}},"ExpressionAttributeValues":{":a":{"S":"x"}}}`, "ValidationException: " + once + "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"},
		{"PutItem", `{"TableName":"sorted","Item":{"pk":{"S":"a"},"sk":{"N":"1"},"owner_":{"N":"1"}}}`, "ValidationException: One or more parameter values were invalid: Type mismatch for Index Key owner_ Expected: S Actual: N IndexName: byOwner"},
		{"UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"UpdateExpression":"SET id = :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`, "ValidationException: One or more parameter values were invalid: Cannot update attribute id. This attribute is part of the key"},
		{"UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"UpdateExpression":"SET x = :a","ExpressionAttributeValues":{":a":{"S":"x"},":b":{"S":"x"}}}`, "ValidationException: " + once + "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}"},
		{"UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"UpdateExpression":"SET x = :a","ExpressionAttributeValues":{":a":{"S":"` + big + `"}}}`, "ValidationException: Item size to update has exceeded the maximum allowed size"},
		{"DeleteItem", `{"TableName":"sorted","Key":{"pk":{"S":"a"}}}`, "ValidationException: The provided key element does not match the schema"},
		{"GetItem", `{"TableName":"simple","Key":{"id":{"S":"a"},"x":{"S":"a"}}}`, "ValidationException: The provided key element does not match the schema"},
		{"Query", `{"TableName":"sorted"}`, "ValidationException: Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"sk = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`, "ValidationException: Query condition missed key schema element: pk"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a AND x = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: Query condition missed key schema element: sk"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk > :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: Query key condition not supported"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a OR sk = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: Invalid operator used in KeyConditionExpression: OR"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a AND sk < :b","ExpressionAttributeValues":{":a":{"S":"1"},":b":{"BOOL":true}}}`, "ValidationException: Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a AND sk < :a AND note = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a AND pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a AND sk = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: One or more parameter values were invalid: Condition parameter type does not match schema type"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a","FilterExpression":"sk = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"},
		{"Query", `{"TableName":"sorted","IndexName":"nope","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: The table does not have the specified index: nope"},
		{"Query", `{"TableName":"sorted","IndexName":"byOwner","ConsistentRead":true,"KeyConditionExpression":"owner_ = :a","ExpressionAttributeValues":{":a":{"S":"1"}}}`, "ValidationException: Consistent reads are not supported on global secondary indexes"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"ExclusiveStartKey":{"pk":{"S":"2"},"sk":{"N":"1"}}}`, "ValidationException: The provided starting key is outside query boundaries based on provided conditions"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"Limit":0}`, "ValidationException: " + once + "Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"Scan", `{"TableName":"simple","Limit":0}`, "ValidationException: " + once + "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"Scan", `{"TableName":"simple","Segment":5,"TotalSegments":5}`, "ValidationException: The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 5 is not less than TotalSegments: 5"},
		{"BatchWriteItem", `{"RequestItems":{}}`, "ValidationException: The requestItems parameter is required for BatchWriteItem"},
		{"BatchWriteItem", `{"RequestItems":{"simple":[{"PutRequest":{"Item":{"id":{"S":"a"}}}},{"DeleteRequest":{"Key":{"id":{"S":"a"}}}}]}}`, "ValidationException: Provided list of item keys contains duplicates"},
		{"BatchWriteItem", `{"RequestItems":{"simple":[{"PutRequest":{"Item":{"id":{"N":"1"}}}}]}}`, "ValidationException: The provided key element does not match the schema"},
		{"BatchGetItem", `{"RequestItems":{"nope":{"Keys":[{"id":{"S":"a"}}]}}}`, "ResourceNotFoundException: Requested resource not found"},
		{"BatchGetItem", `{"RequestItems":{"simple":{"Keys":[{"id":{"S":"a"}},{"id":{"S":"a"}}]}}}`, "ValidationException: Provided list of item keys contains duplicates"},
		{"CreateTable", `{"TableName":"named","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"LocalSecondaryIndexes":[{"IndexName":"aa","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}],"GlobalSecondaryIndexes":[{"IndexName":"zz","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}]}`, "ValidationException: 2 validation errors detected: Value 'zz' at 'globalSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must have length greater than or equal to 3; Value 'aa' at 'localSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"UpdateExpression":"ADD x :a","ExpressionAttributeValues":{":a":{"SS":[]}}}`, "ValidationException: " + once + "One or more parameter values were invalid: An string set  may not be empty"},
		{"GetItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"ExpressionAttributeNames":{"#a":"a"}}`, "ValidationException: ExpressionAttributeNames can only be specified when using expressions"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"Select":"SPECIFIC_ATTRIBUTES"}`, "ValidationException: " + once + "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"},
		{"Scan", `{"TableName":"sorted","Select":"SPECIFIC_ATTRIBUTES"}`, "ValidationException: Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = x","FilterExpression":""}`, "ValidationException: Invalid FilterExpression: The expression can not be empty;"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"sk < :b AND pk = :none","ExpressionAttributeValues":{":b":{"BOOL":true}}}`, "ValidationException: Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"},
		{"Query", `{"TableName":"nope","KeyConditions":{},"ConditionalOperator":"XOR","Select":"BOGUS"}`, "ValidationException: Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"},
		{"BatchWriteItem", `{"RequestItems":{"bad!":[{"PutRequest":{"Item":{"id":{"S":"secret"}}}}]}}`, "ValidationException: " + once + "Value '{bad!=[WriteRequest(putRequest=PutRequest(item={id=AttributeValue}))]}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"ExclusiveStartKey":{}}`, "ValidationException: The provided starting key is invalid"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"x = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"ExclusiveStartKey":{"pk":{"S":"1"},"x":{"N":"1"}}}`, "ValidationException: Query condition missed key schema element: pk"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"x = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"ExclusiveStartKey":{"pk":{"N":"1"},"sk":{"N":"1"}}}`, "ValidationException: The provided key element does not match the schema"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"ExclusiveStartKey":{"pk":{"S":"1"},"sk":{"S":"1"}}}`, "ValidationException: The provided key element does not match the schema"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"1"}},"ExclusiveStartKey":{"pk":{},"sk":{"N":"1"}}}`, "ValidationException: The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a AND sk > :b","ExpressionAttributeValues":{":a":{"S":"1"},":b":{"N":"5"}},"ExclusiveStartKey":{"pk":{"S":"1"},"sk":{"N":"5"}}}`, "ValidationException: The provided starting key does not match the range key predicate"},
		{"Query", `{"TableName":"sorted","KeyConditionExpression":"pk = :a AND sk > :b","ExpressionAttributeValues":{":a":{"S":"1"},":b":{"N":"5"}},"ExclusiveStartKey":{"pk":{"S":"2"},"sk":{"N":"6"}}}`, "ValidationException: The query can return at most one row and cannot be restarted"},
		{"Query", `{"TableName":"sorted","ConditionalOperator":"OR","ExpressionAttributeNames":{"#a":"a"}}`, "ValidationException: ExpressionAttributeNames can only be specified when using expressions"},
		{"Query", `{"TableName":"sorted","ExpressionAttributeValues":{":a":{"S":"a"}}}`, "ValidationException: ExpressionAttributeValues can only be specified when using expressions: FilterExpression and KeyConditionExpression are null"},
		{"Query", `{"TableName":"sorted","QueryFilter":{"a":{"ComparisonOperator":"LT","AttributeValueList":[{"NS":["1"]}]}}}`, "ValidationException: One or more parameter values were invalid: ComparisonOperator LT is not valid for NS AttributeValue type"},
		{"ListTagsOfResource", `{}`, "ValidationException: Invalid TableArn"},
		{"ListTagsOfResource", `{"ResourceArn":"a:b:c:d:e:f/g"}`, "ValidationException: Invalid TableArn: Invalid ResourceArn provided as input a:b:c:d:e:f/g"},
		{"TagResource", `{"ResourceArn":"a:b:c:d:e:f/g"}`, "ValidationException: 1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null"},
		{"UntagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/none","TagKeys":[]}`, "ValidationException: Atleast one Tag Key needs to be provided as Input."},
		{"BatchGetItem", `{"RequestItems":{"a":{"Keys":[{"id":{"S":"secret"}}]}}}`, "ValidationException: 1 validation error detected: Value '{a=KeysAndAttributes(keys=[{id=AttributeValue}])}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]"},
		// What the first look finds is told all at once.
		{"BatchGetItem", `{"ReturnConsumedCapacity":"hi"}`, "ValidationException: 2 validation errors detected: Value 'hi' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value null at 'requestItems' failed to satisfy constraint: Member must not be null"},
		{"BatchGetItem", `{"RequestItems":{"a":{},"simple":{"Keys":[],"AttributesToGet":[]}},"ReturnConsumedCapacity":"hi"}`, "ValidationException: 5 validation errors detected: Value 'hi' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value '{a=KeysAndAttributes(keys=[...]), simple=KeysAndAttributes(keys=[...])}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]; Value null at 'requestItems.a.member.keys' failed to satisfy constraint: Member must not be null; Value '[]' at 'requestItems.simple.member.keys' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '[]' at 'requestItems.simple.member.attributesToGet' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"BatchWriteItem", `{"RequestItems":{"a":[]},"ReturnConsumedCapacity":"hi"}`, "ValidationException: 3 validation errors detected: Value 'hi' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value '{a=[]}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]; Value '{a=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"},
		{"TransactGetItems", `{"TransactItems":[{},{}],"ReturnConsumedCapacity":"hi"}`, "ValidationException: 3 validation errors detected: Value 'hi' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value null at 'transactItems.1.member.get' failed to satisfy constraint: Member must not be null; Value null at 'transactItems.2.member.get' failed to satisfy constraint: Member must not be null"},
		{"FrobTable", `{}`, `UnknownOperationException: Tidegate's dynamodb has no operation "DynamoDB_20120810.FrobTable"`},
	} {
		if got := refusal(t, sv, c.operation, c.body); got != c.want {
			t.Errorf("%s %.150s\n got %s\nwant %s", c.operation, c.body, got, c.want)
		}
	}
	if got := must(t, sv, "Scan", `{"TableName":"simple"}`); got != `{"Count":0,"ScannedCount":0,"Items":[]}` {
		t.Errorf("refused writes left %s", got)
	}
}

var requestID = regexp.MustCompile(`^[0-9A-Z]{52}$`)

func TestWire(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	for _, call := range []struct{ operation, body string }{{"CreateTable", createSimple}, {"ListTables", `{}`}, {"DescribeTable", `{"TableName":"nope"}`}, {"Nope", ``}} {
		_, body, h := post(t, sv, call.operation, call.body)
		if want := strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10); h.Get("X-Amz-Crc32") != want {
			t.Errorf("%s: X-Amz-Crc32 %q, want %q", call.operation, h.Get("X-Amz-Crc32"), want)
		}
		if h.Get("Content-Type") != "application/x-amz-json-1.0" || !requestID.MatchString(h.Get("X-Amzn-Requestid")) || h.Get("Content-Length") != strconv.Itoa(len(body)) {
			t.Errorf("%s: header %v", call.operation, h)
		}
	}
	_, body, _ := post(t, sv, "PutItem", `{"TableName":"simple","Item":{}}`)
	if want := `"__type":"com.amazon.coral.validate#ValidationException"`; !strings.Contains(body, want) {
		t.Errorf("%s lacks %s", body, want)
	}
	_, body, _ = post(t, sv, "FrobTable", `{}`)
	if want := `"__type":"com.amazon.coral.service#UnknownOperationException"`; !strings.Contains(body, want) {
		t.Errorf("%s lacks %s", body, want)
	}
	_, body, _ = post(t, sv, "PutItem", `{"TableName":"nope","Item":{}}`)
	if want := `"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"`; !strings.Contains(body, want) {
		t.Errorf("%s lacks %s", body, want)
	}
}

func TestAuthorization(t *testing.T) {
	gate := newGate(awshttp.Enforce)
	role := awshttp.Principal{Kind: awshttp.Role, ARN: "arn:aws:sts::" + testAccount + ":assumed-role/r/s", Account: testAccount}
	gate.Identities = fakeIdentities{role}
	sv, c := newService(t, nil, gate)
	_, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("simple"), Key: map[string]types.AttributeValue{"id": s("a")}})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" || !strings.Contains(api.ErrorMessage(), "dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/simple") {
		t.Errorf("a role without policies: %v", err)
	}
	var hr interface{ HTTPStatusCode() int }
	if errors.As(err, &hr) && hr.HTTPStatusCode() != 400 {
		t.Errorf("refused with %d, DynamoDB does with 400", hr.HTTPStatusCode())
	}
	if code, body, _ := post(t, sv, "ListTables", `{}`); code != 400 || !strings.Contains(body, "MissingAuthenticationTokenException") {
		t.Errorf("unsigned: %d %s", code, body)
	}
}

// TestQueryRanges checks every sort key operator in both directions against
// what a filter over all items gives.
func TestQueryRanges(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSorted)
	values := []string{"-100", "-10", "-9.5", "-1", "0", "0.5", "1", "2", "9", "10", "11", "100", "1000"}
	for i, v := range values {
		for _, pk := range []string{"a", "ab"} {
			must(t, sv, "PutItem", fmt.Sprintf(`{"TableName":"sorted","Item":{"pk":{"S":%q},"sk":{"N":%q},"owner_":{"S":"o"},"at":{"N":"%d"},"note":{"S":"n"},"other":{"S":"x"}}}`, pk, v, i%4))
		}
	}
	query := func(index, cond, args string, backward bool, limit int) (got []string) {
		from := ""
		for pages := 0; ; pages++ {
			if pages > 50 {
				t.Fatalf("%s never ends", cond)
			}
			body := fmt.Sprintf(`{"TableName":"sorted",%s"KeyConditionExpression":%q,"ExpressionAttributeValues":%s,"ScanIndexForward":%v%s`, index, cond, args, !backward, from)
			if limit > 0 {
				body += fmt.Sprintf(`,"Limit":%d`, limit)
			}
			var out struct {
				Items            []map[string]map[string]string
				LastEvaluatedKey json.RawMessage
			}
			if err := json.Unmarshal([]byte(must(t, sv, "Query", body+"}")), &out); err != nil {
				t.Fatal(err)
			}
			for _, it := range out.Items {
				got = append(got, it["sk"]["N"])
			}
			if out.LastEvaluatedKey == nil {
				return got
			}
			from = `,"ExclusiveStartKey":` + string(out.LastEvaluatedKey)
		}
	}
	for cond, want := range map[string]func(int) bool{
		"sk = :x":              func(i int) bool { return i == 8 },
		"sk < :x":              func(i int) bool { return i < 8 },
		"sk <= :x":             func(i int) bool { return i <= 8 },
		"sk > :x":              func(i int) bool { return i > 8 },
		"sk >= :x":             func(i int) bool { return i >= 8 },
		":x < sk":              func(i int) bool { return i > 8 },
		"sk BETWEEN :w AND :x": func(i int) bool { return i >= 3 && i <= 8 },
		"":                     func(int) bool { return true },
	} {
		args := `{":pk":{"S":"a"},":x":{"N":"9.0"}}`
		full := "pk = :pk AND " + cond
		switch {
		case strings.Contains(cond, ":w"):
			args = `{":pk":{"S":"a"},":x":{"N":"9.0"},":w":{"N":"-1"}}`
		case cond == "":
			full, args = "pk = :pk", `{":pk":{"S":"a"}}`
		}
		var expect []string
		for i, v := range values {
			if want(i) {
				expect = append(expect, v)
			}
		}
		for _, limit := range []int{0, 1, 2, 5} {
			if diff := cmp.Diff(expect, query("", full, args, false, limit)); diff != "" {
				t.Errorf("%q by %d (-want +got):\n%s", cond, limit, diff)
			}
			reversed := slices.Clone(expect)
			slices.Reverse(reversed)
			if diff := cmp.Diff(reversed, query("", full, args, true, limit)); diff != "" {
				t.Errorf("%q backward by %d (-want +got):\n%s", cond, limit, diff)
			}
		}
	}
	// at = i%4 == 1: -10, 0.5, 10 … of each partition; the local index stays in one.
	if diff := cmp.Diff([]string{"-10", "0.5", "10"}, sortedNumbers(query(`"IndexName":"byTime",`, "pk = :pk AND #at = :x", `{":pk":{"S":"a"},":x":{"N":"1"}},"ExpressionAttributeNames":{"#at":"at"}`, false, 2))); diff != "" {
		t.Errorf("local index (-want +got):\n%s", diff)
	}
	if got := query(`"IndexName":"byOwner",`, "owner_ = :pk AND #at <= :x", `{":pk":{"S":"o"},":x":{"N":"1"}},"ExpressionAttributeNames":{"#at":"at"}`, true, 3); len(got) != 14 {
		t.Errorf("global index: %d items %v, want 14", len(got), got)
	}
	out := must(t, sv, "Query", `{"TableName":"sorted","IndexName":"byOwner","KeyConditionExpression":"owner_ = :o","ExpressionAttributeValues":{":o":{"S":"o"}},"Limit":1}`)
	if strings.Contains(out, `"other"`) || !strings.Contains(out, `"note"`) {
		t.Errorf("the index's projection: %s", out)
	}
	for _, key := range []string{"pk", "sk", "owner_", "at"} {
		if _, last, _ := strings.Cut(out, "LastEvaluatedKey"); !strings.Contains(last, `"`+key+`"`) {
			t.Errorf("LastEvaluatedKey lacks %s: %s", key, last)
		}
	}
	must(t, sv, "UpdateItem", `{"TableName":"sorted","Key":{"pk":{"S":"a"},"sk":{"N":"0"}},"UpdateExpression":"REMOVE owner_"}`)
	if got := query(`"IndexName":"byOwner",`, "owner_ = :pk", `{":pk":{"S":"o"}}`, false, 0); len(got) != 25 {
		t.Errorf("after an item left the global index it has %d items, want 25", len(got))
	}
}

func sortedNumbers(in []string) []string {
	slices.SortFunc(in, compareNumbers)
	return in
}

// TestPages: a page ends before 1 MB; parallel scans find every item once.
func TestPages(t *testing.T) {
	sv, c := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	payload := strings.Repeat("x", 60_000)
	for i := range 40 {
		must(t, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","Item":{"id":{"S":"i%d"},"p":{"S":%q}}}`, i, payload))
	}
	scan := func(segment, total int32) map[string]int {
		in := &dynamodb.ScanInput{TableName: aws.String("simple")}
		if total > 0 {
			in.Segment, in.TotalSegments = aws.Int32(segment), aws.Int32(total)
		}
		seen := map[string]int{}
		p := dynamodb.NewScanPaginator(c, in)
		for p.HasMorePages() {
			out, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Items) > 17 {
				t.Fatalf("a page of %d items of 60,000 bytes", len(out.Items))
			}
			for _, it := range out.Items {
				seen[it["id"].(*types.AttributeValueMemberS).Value]++
			}
		}
		return seen
	}
	if seen := scan(0, 0); len(seen) != 40 {
		t.Errorf("the scan found %d of 40 items", len(seen))
	}
	all := map[string]int{}
	for seg := range int32(7) {
		for id, n := range scan(seg, 7) {
			all[id] += n
		}
	}
	if len(all) != 40 {
		t.Errorf("7 segments found %d of 40 items", len(all))
	}
	for id, n := range all {
		if n != 1 {
			t.Errorf("7 segments found %s %d times", id, n)
		}
	}
	count := must(t, sv, "Scan", `{"TableName":"simple","Select":"COUNT","Limit":10}`)
	if !strings.HasPrefix(count, `{"Count":10,"ScannedCount":10,"LastEvaluatedKey":{"id":`) {
		t.Errorf("COUNT: %s", count)
	}
}

func TestBatches(t *testing.T) {
	sv, c := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	var writes []types.WriteRequest
	var keys []map[string]types.AttributeValue
	for i := range 25 {
		id := map[string]types.AttributeValue{"id": s(fmt.Sprint(i))}
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: id}})
		keys = append(keys, id)
	}
	out, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"simple": writes}, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal})
	if err != nil || len(out.UnprocessedItems) != 0 || *out.ConsumedCapacity[0].CapacityUnits != 25 {
		t.Fatalf("%+v, %v", out, err)
	}
	got, err := c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"simple": {Keys: append(keys, map[string]types.AttributeValue{"id": s("missing")})}}})
	if err != nil || len(got.Responses["simple"]) != 25 || len(got.UnprocessedKeys) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"simple": {{DeleteRequest: &types.DeleteRequest{Key: keys[0]}}}}}); err != nil {
		t.Error(err)
	}
	if infos := sv.Tables(); len(infos) != 1 || infos[0].Items != 24 || infos[0].Name != "simple" || infos[0].Bytes == 0 {
		t.Errorf("Tables() = %+v", infos)
	}
}

// TestConcurrentWriters: conditions and arithmetic are atomic with the write.
func TestConcurrentWriters(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	var wins, wg = make(chan int, 200), sync.WaitGroup{}
	for w := range 16 {
		wg.Go(func() {
			for range 10 {
				must(t, sv, "UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"counter"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`)
			}
			if code, _, _ := post(t, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","Item":{"id":{"S":"lock"},"holder":{"N":"%d"}},"ConditionExpression":"attribute_not_exists(id)"}`, w)); code == 200 {
				wins <- w
			}
		})
	}
	wg.Wait()
	if got := must(t, sv, "GetItem", `{"TableName":"simple","Key":{"id":{"S":"counter"}}}`); got != `{"Item":{"id":{"S":"counter"},"n":{"N":"160"}}}` {
		t.Errorf("160 increments gave %s", got)
	}
	if len(wins) != 1 {
		t.Errorf("%d writers took the lock", len(wins))
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	open := func() *Service {
		sv, err := New(context.Background(), Config{Dir: dir, Gate: newGate(awshttp.Warn)})
		if err != nil {
			t.Fatal(err)
		}
		return sv
	}
	sv := open()
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "CreateTable", createSorted)
	must(t, sv, "PutItem", `{"TableName":"sorted","Item":{"pk":{"S":"a"},"sk":{"N":"1"},"owner_":{"S":"o"},"at":{"N":"7"},"big":{"N":"12345678901234567890.5"}}}`)
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"gone"}}}`)
	must(t, sv, "DeleteItem", `{"TableName":"simple","Key":{"id":{"S":"gone"}}}`)
	must(t, sv, "TagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/simple","Tags":[{"Key":"k","Value":"v"}]}`)
	if _, err := New(context.Background(), Config{Dir: dir, Gate: newGate(awshttp.Warn)}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second service on the same folder: %v", err)
	}
	describe := must(t, sv, "DescribeTable", `{"TableName":"sorted"}`)
	if err := sv.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body, _ := post(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"late"}}}`); code != 500 || !strings.Contains(body, "InternalServerError") {
		t.Errorf("a write after Close: %d %s", code, body)
	}
	sv = open()
	defer sv.Close()
	if diff := cmp.Diff(describe, must(t, sv, "DescribeTable", `{"TableName":"sorted"}`)); diff != "" {
		t.Errorf("DescribeTable changed (-before +after):\n%s", diff)
	}
	got := must(t, sv, "Query", `{"TableName":"sorted","IndexName":"byOwner","Select":"ALL_PROJECTED_ATTRIBUTES","KeyConditionExpression":"owner_ = :o","ExpressionAttributeValues":{":o":{"S":"o"}}}`)
	if want := `{"Count":1,"ScannedCount":1,"Items":[{"at":{"N":"7"},"owner_":{"S":"o"},"pk":{"S":"a"},"sk":{"N":"1"}}]}`; got != want {
		t.Errorf("after reopening the index gives %s, want %s", got, want)
	}
	if got := must(t, sv, "Scan", `{"TableName":"simple"}`); got != `{"Count":0,"ScannedCount":0,"Items":[]}` {
		t.Errorf("after reopening the table has %s", got)
	}
	if got := must(t, sv, "ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/simple"}`); got != `{"Tags":[{"Key":"k","Value":"v"}]}` {
		t.Errorf("after reopening the tags are %s", got)
	}
}

func TestTimeToLive(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clk := clock.NewManual(start)
	sv, _ := newService(t, clk, nil)
	must(t, sv, "CreateTable", createSimple)
	put := func(id, ttl string) {
		must(t, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","Item":{"id":{"S":%q},"ttl":%s}}`, id, ttl))
	}
	put("soon", fmt.Sprintf(`{"N":"%d"}`, start.Unix()+60))
	put("later", fmt.Sprintf(`{"N":"%d"}`, start.Unix()+6000))
	put("milliseconds", fmt.Sprintf(`{"N":"%d"}`, start.UnixMilli()))
	put("ancient", `{"N":"5"}`)
	put("text", `{"S":"1"}`)
	must(t, sv, "UpdateTimeToLive", `{"TableName":"simple","TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":true}}`)
	if got := must(t, sv, "DescribeTimeToLive", `{"TableName":"simple"}`); got != `{"TimeToLiveDescription":{"AttributeName":"ttl","TimeToLiveStatus":"ENABLED"}}` {
		t.Errorf("DescribeTimeToLive: %s", got)
	}
	count := func() string {
		out := must(t, sv, "Scan", `{"TableName":"simple","Select":"COUNT"}`)
		return out
	}
	if sv.expireAll(); count() != `{"Count":5,"ScannedCount":5}` {
		t.Errorf("before anything expired: %s", count())
	}
	clk.Advance(61 * time.Second)
	if sv.expireAll(); count() != `{"Count":4,"ScannedCount":4}` {
		t.Errorf("after 61 s: %s", count())
	}
	if got := must(t, sv, "GetItem", `{"TableName":"simple","Key":{"id":{"S":"soon"}}}`); got != `{}` {
		t.Errorf("the expired item: %s", got)
	}
}

// TestConsumedCapacity holds the arithmetic: half a unit for 4 KB eventually
// consistent, one for 1 KB written, indexes apart.
func TestConsumedCapacity(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSorted)
	put := `{"TableName":"sorted","Item":{"pk":{"S":"a"},"sk":{"N":"1"},"owner_":{"S":"o"},"at":{"N":"1"},"x":{"S":"` + strings.Repeat("x", 1500) + `"}},"ReturnConsumedCapacity":"INDEXES"}`
	if got, want := must(t, sv, "PutItem", put), `{"ConsumedCapacity":{"TableName":"sorted","CapacityUnits":4.0,"Table":{"CapacityUnits":2.0},"LocalSecondaryIndexes":{"byTime":{"CapacityUnits":1.0}},"GlobalSecondaryIndexes":{"byOwner":{"CapacityUnits":1.0}}}}`; got != want {
		t.Errorf("first put: %s, want %s", got, want)
	}
	if got, want := must(t, sv, "PutItem", put), `{"ConsumedCapacity":{"TableName":"sorted","CapacityUnits":2.0,"Table":{"CapacityUnits":2.0}}}`; got != want {
		t.Errorf("the same again: %s, want %s", got, want)
	}
	if got := must(t, sv, "GetItem", `{"TableName":"sorted","Key":{"pk":{"S":"a"},"sk":{"N":"1"}},"ProjectionExpression":"sk","ReturnConsumedCapacity":"TOTAL"}`); got != `{"Item":{"sk":{"N":"1"}},"ConsumedCapacity":{"TableName":"sorted","CapacityUnits":0.5}}` {
		t.Errorf("GetItem: %s", got)
	}
	fetch := `{"TableName":"sorted","IndexName":"byTime","KeyConditionExpression":"pk = :a","ExpressionAttributeValues":{":a":{"S":"a"}},"Select":"ALL_ATTRIBUTES","ConsistentRead":true,"ReturnConsumedCapacity":"INDEXES"}`
	if got, want := must(t, sv, "Query", fetch), `"ConsumedCapacity":{"TableName":"sorted","CapacityUnits":2.0,"Table":{"CapacityUnits":1.0},"LocalSecondaryIndexes":{"byTime":{"CapacityUnits":1.0}}}}`; !strings.HasSuffix(got, want) {
		t.Errorf("items fetched through a local index: %.300s, want %s at its end", got, want)
	}
}

// TestUnsigned: a call without a signature is refused in DynamoDB's words when
// policies are enforced.
func TestUnsigned(t *testing.T) {
	sv, _ := newService(t, nil, newGate(awshttp.Enforce))
	const want = `{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}`
	if status, body, _ := post(t, sv, "ListTables", `{}`); status != 400 || body != want {
		t.Errorf("%d %s, want 400 %s", status, body, want)
	}
}

// TestPlainJSON: application/json is answered in kind, a body that isn't JSON
// with no more than the code.
func TestPlainJSON(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	for _, c := range []struct {
		contentType, body, wantType, want string
		status                            int
	}{
		{"application/json", `{}`, "application/json", `{"TableNames":[]}`, 200},
		{" Application/JSON ; charset=x", `{}`, "application/json", `{"TableNames":[]}`, 200},
		{"application/x-amz-json-1.0", `hi`, "application/x-amz-json-1.0", `{"__type":"com.amazon.coral.service#SerializationException"}`, 400},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.contentType)
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
		w := httptest.NewRecorder()
		sv.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); w.Code != c.status || got != c.wantType || w.Body.String() != c.want {
			t.Errorf("%s %s: %d %s %s, want %d %s %s", c.contentType, c.body, w.Code, got, w.Body, c.status, c.wantType, c.want)
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	r := httptest.NewRequest("POST", "/", io.LimitReader(zeros{}, maxRequest+10))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	w := httptest.NewRecorder()
	sv.ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestFailedCommit: when a write can't reach the disk it isn't acknowledged, no
// later one is taken, and reads go on. TestFullDisk (cmd/tidegate) sees a disk
// come back.
func TestFailedCommit(t *testing.T) {
	dir := t.TempDir()
	sv, err := New(t.Context(), Config{Dir: dir, Gate: newGate(awshttp.Warn)})
	if err != nil {
		t.Fatal(err)
	}
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"good"}}}`)
	sv.store.journal.f.Close() // the disk goes away
	for _, c := range []struct{ operation, body string }{
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"first"}}}`},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"second"}}}`},
		{"DeleteItem", `{"TableName":"simple","Key":{"id":{"S":"good"}}}`},
		{"CreateTable", createSorted},
		{"DeleteTable", `{"TableName":"simple"}`},
	} {
		if code, body, _ := post(t, sv, c.operation, c.body); code != 500 || !strings.Contains(body, "#InternalServerError") {
			t.Errorf("%s after the disk went away: %d %s", c.operation, code, body)
		}
	}
	if got := must(t, sv, "GetItem", `{"TableName":"simple","Key":{"id":{"S":"good"}}}`); got != `{"Item":{"id":{"S":"good"}}}` {
		t.Errorf("GetItem: %s", got)
	}
	sv.Close()
	if sv, err = New(t.Context(), Config{Dir: dir, Gate: newGate(awshttp.Warn)}); err != nil {
		t.Fatal(err)
	}
	defer sv.Close()
	if got := must(t, sv, "Scan", `{"TableName":"simple"}`); got != `{"Count":1,"ScannedCount":1,"Items":[{"id":{"S":"good"}}]}` {
		t.Errorf("after a new start: %s", got)
	}
}
