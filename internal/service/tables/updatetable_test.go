package tables

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"tidegate/internal/awshttp"
)

// TestUpdateTableSDK adds an index to a table with items, reads by it, opens the
// file again and deletes the index, with the real SDK.
func TestUpdateTableSDK(t *testing.T) {
	ctx := t.Context()
	sv, c := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	for _, it := range []string{`"id":{"S":"a"},"room":{"S":"r"},"n":{"N":"2"}`, `"id":{"S":"b"},"room":{"S":"r"},"n":{"N":"1"}`, `"id":{"S":"c"},"room":{"S":"r"}`,
		`"id":{"S":"d"},"room":{"N":"1"},"n":{"N":"1"}`, `"id":{"S":"e"},"room":{"S":""},"n":{"N":"1"}`, `"id":{"S":"f"},"room":{"S":"` + strings.Repeat("x", 2049) + `"},"n":{"N":"1"}`} {
		must(t, sv, "PutItem", `{"TableName":"simple","Item":{`+it+`}}`)
	}
	out, err := c.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: aws.String("simple"),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("room"), AttributeType: "S"}, {AttributeName: aws.String("n"), AttributeType: "N"}},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{IndexName: aws.String("byRoom"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("room"), KeyType: "HASH"}, {AttributeName: aws.String("n"), KeyType: "RANGE"}},
			Projection: &types.Projection{ProjectionType: "KEYS_ONLY"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if x := out.TableDescription.GlobalSecondaryIndexes; out.TableDescription.TableStatus != "UPDATING" || len(x) != 1 || x[0].IndexStatus != "CREATING" {
		t.Errorf("%s, %+v", out.TableDescription.TableStatus, x)
	}
	const query = `{"TableName":"simple","IndexName":"byRoom","KeyConditionExpression":"room = :r","ExpressionAttributeValues":{":r":{"S":"r"}}}`
	const want = `{"Count":2,"ScannedCount":2,"Items":[{"id":{"S":"b"},"n":{"N":"1"},"room":{"S":"r"}},{"id":{"S":"a"},"n":{"N":"2"},"room":{"S":"r"}}]}`
	if got := must(t, sv, "Query", query); got != want {
		t.Errorf("the new index gives %s", got)
	}
	// What can't be in the index isn't, and can be deleted.
	must(t, sv, "DeleteItem", `{"TableName":"simple","Key":{"id":{"S":"e"}}}`)
	must(t, sv, "DeleteItem", `{"TableName":"simple","Key":{"id":{"S":"f"}}}`)
	desc, err := c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("simple")})
	if err != nil {
		t.Fatal(err)
	}
	if x := desc.Table.GlobalSecondaryIndexes[0]; desc.Table.TableStatus != "ACTIVE" || x.IndexStatus != "ACTIVE" || *x.ItemCount != 2 || *x.IndexSizeBytes != 2*(2+1+4+1+1+2) || len(desc.Table.AttributeDefinitions) != 3 {
		t.Errorf("%+v", desc.Table)
	}
	if got := refusal(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"x"},"room":{"N":"1"}}}`); !strings.Contains(got, "Type mismatch for Index Key room Expected: S Actual: N IndexName: byRoom") {
		t.Error(got)
	}
	if _, err := c.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: aws.String("simple"),
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("byRoom")}}}}); err != nil {
		t.Fatal(err)
	}
	if got := refusal(t, sv, "Query", query); got != "ValidationException: The table does not have the specified index: byRoom" {
		t.Error(got)
	}
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"x"},"room":{"N":"1"}}}`)
	desc, err = c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("simple")})
	if err != nil || len(desc.Table.AttributeDefinitions) != 1 || len(desc.Table.GlobalSecondaryIndexes) != 0 {
		t.Errorf("%+v, %v", desc.Table, err)
	}
}

// TestUpdateTableIsDurable: an added index, its items and the other settings are
// there when the file is opened again.
func TestUpdateTableIsDurable(t *testing.T) {
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
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"},"room":{"S":"r"}}}`)
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"b"},"room":{"S":""}}}`)
	must(t, sv, "UpdateTable", `{"TableName":"simple","DeletionProtectionEnabled":true,"TableClass":"STANDARD_INFREQUENT_ACCESS","AttributeDefinitions":[{"AttributeName":"room","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"byRoom","KeySchema":[{"AttributeName":"room","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`)
	before := must(t, sv, "DescribeTable", `{"TableName":"simple"}`)
	if err := sv.Close(); err != nil {
		t.Fatal(err)
	}
	sv = open()
	defer sv.Close()
	if after := must(t, sv, "DescribeTable", `{"TableName":"simple"}`); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
	if got := must(t, sv, "Scan", `{"TableName":"simple","IndexName":"byRoom"}`); got != `{"Count":1,"ScannedCount":1,"Items":[{"id":{"S":"a"},"room":{"S":"r"}}]}` {
		t.Errorf("the index gives %s", got)
	}
	if got := refusal(t, sv, "DeleteTable", `{"TableName":"simple"}`); !strings.Contains(got, "protected against deletion") {
		t.Error(got)
	}
	must(t, sv, "UpdateTable", `{"TableName":"simple","DeletionProtectionEnabled":false}`)
	must(t, sv, "DeleteTable", `{"TableName":"simple"}`)
}

func TestUpdateTableRefusals(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "CreateTable", createSorted)
	must(t, sv, "CreateTable", `{"TableName":"paid","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":6}}`)
	const (
		invalidly = "ValidationException: One or more parameter values were invalid: "
		byX       = `{"Create":{"IndexName":"byX","KeySchema":[{"AttributeName":"x","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}`
		defineX   = `"AttributeDefinitions":[{"AttributeName":"x","AttributeType":"S"}],`
	)
	for _, c := range []struct{ table, rest, want string }{
		{"nope", `"BillingMode":"PAY_PER_REQUEST"`, "ResourceNotFoundException: Requested resource not found: Table: nope not found"},
		{"simple", `"AttributeDefinitions":[]`, "ValidationException: At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"},
		{"simple", `"BillingMode":"FREE"`, "ValidationException: 1 validation error detected: Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"},
		{"simple", `"BillingMode":"PROVISIONED"`, invalidly + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED"},
		{"simple", `"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}`, invalidly + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		{"paid", `"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":6}`, "ValidationException: The provisioned throughput for the table will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. Current WriteCapacityUnits provisioned for the table: 6. Requested WriteCapacityUnits: 6. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."},
		{"sorted", `"BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}`, invalidly + "ProvisionedThroughput must be specified for index: byOwner"},
		{"simple", `"StreamSpecification":{"StreamEnabled":true}`, "ValidationException: One or more parameter values were invalid: StreamViewType is required when StreamEnabled is true"},
		{"simple", `"GlobalSecondaryIndexUpdates":[{}]`, invalidly + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null"},
		{"simple", `"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"byX"}},` + byX + `]`, invalidly + "Only one global secondary index update per index is allowed simultaneously. Index: byX"},
		{"simple", defineX + `"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"byY"}},` + byX + `]`, "LimitExceededException: Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"},
		{"simple", `"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"byY"}}]`, "ResourceNotFoundException: Requested resource not found"},
		{"simple", `"GlobalSecondaryIndexUpdates":[` + byX + `]`, invalidly + "Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: [id]"},
		{"paid", defineX + `"GlobalSecondaryIndexUpdates":[` + byX + `]`, invalidly + "ProvisionedThroughput must be specified for index: byX"},
		{"sorted", `"GlobalSecondaryIndexUpdates":[` + strings.ReplaceAll(byX, `"byX"`, `"byOwner"`) + `]`, "ValidationException: Attempting to create an index which already exists"},
		{"sorted", `"AttributeDefinitions":[{"AttributeName":"at","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[` + strings.ReplaceAll(byX, `"x"`, `"at"`) + `]`, invalidly + "The attribute at is of type N in a key of the table or of one of its indexes and can't be of type S too"},
		{"simple", `"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"x"}}]`, "ValidationException: 3 validation errors detected: Value 'x' at 'globalSecondaryIndexUpdates.1.member.create.indexName' failed to satisfy constraint: Member must have length greater than or equal to 3; Value null at 'globalSecondaryIndexUpdates.1.member.create.keySchema' failed to satisfy constraint: Member must not be null; Value null at 'globalSecondaryIndexUpdates.1.member.create.projection' failed to satisfy constraint: Member must not be null"},
	} {
		before := ""
		if c.table != "nope" {
			before = must(t, sv, "DescribeTable", `{"TableName":"`+c.table+`"}`)
		}
		if got := refusal(t, sv, "UpdateTable", `{"TableName":"`+c.table+`",`+c.rest+`}`); got != c.want {
			t.Errorf("%s %s\n got %s\nwant %s", c.table, c.rest, got, c.want)
		}
		if before != "" && must(t, sv, "DescribeTable", `{"TableName":"`+c.table+`"}`) != before {
			t.Errorf("%s %s: refused, and changed the table", c.table, c.rest)
		}
	}
	// Both ways between the billing modes.
	must(t, sv, "UpdateTable", `{"TableName":"sorted","BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5},"GlobalSecondaryIndexUpdates":[{"Update":{"IndexName":"byOwner","ProvisionedThroughput":{"ReadCapacityUnits":3,"WriteCapacityUnits":4}}}]}`)
	if got := must(t, sv, "DescribeTable", `{"TableName":"sorted"}`); !strings.Contains(got, `"ReadCapacityUnits":3,"WriteCapacityUnits":4`) || !strings.Contains(got, `"BillingMode":"PROVISIONED"`) {
		t.Error(got)
	}
	must(t, sv, "UpdateTable", `{"TableName":"sorted","BillingMode":"PAY_PER_REQUEST"}`)
	if got := must(t, sv, "DescribeTable", `{"TableName":"sorted"}`); strings.Contains(got, `"ReadCapacityUnits":3`) || !strings.Contains(got, `"BillingMode":"PAY_PER_REQUEST"`) {
		t.Error(got)
	}
}

// TestUpdateTableUnderLoad: indexes come and go while items are written and read;
// an index has every item there is.
func TestUpdateTableUnderLoad(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 15 {
				must(t, sv, "PutItem", fmt.Sprintf(`{"TableName":"simple","ReturnConsumedCapacity":"INDEXES","Item":{"id":{"S":"%d-%d"},"x":{"S":"x"}}}`, w, i))
				post(t, sv, "Query", `{"TableName":"simple","IndexName":"byX","KeyConditionExpression":"x = :x","ExpressionAttributeValues":{":x":{"S":"x"}}}`)
			}
		})
	}
	wg.Go(func() {
		for i := range 9 {
			update := `{"Create":{"IndexName":"byX","KeySchema":[{"AttributeName":"x","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}`
			if i%2 == 1 {
				update = `{"Delete":{"IndexName":"byX"}}`
			}
			must(t, sv, "UpdateTable", `{"TableName":"simple","AttributeDefinitions":[{"AttributeName":"x","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[`+update+`]}`)
		}
	})
	wg.Wait()
	if got := must(t, sv, "Scan", `{"TableName":"simple","IndexName":"byX","Select":"COUNT"}`); got != `{"Count":60,"ScannedCount":60}` {
		t.Errorf("of 60 items the index has %s", got)
	}
}
