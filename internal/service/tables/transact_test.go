package tables

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
)

func id(v string) map[string]types.AttributeValue { return map[string]types.AttributeValue{"id": s(v)} }

// TestTransactionSDK walks a transfer between two tables with the real SDK.
func TestTransactionSDK(t *testing.T) {
	ctx := t.Context()
	sv, c := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "CreateTable", createSorted)
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"from"},"sum":{"N":"10"}}}`)
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"old"}}}`)
	transfer := func(amount int) (*dynamodb.TransactWriteItemsOutput, error) {
		return c.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
			TransactItems: []types.TransactWriteItem{
				{Update: &types.Update{TableName: aws.String("simple"), Key: id("from"), UpdateExpression: aws.String("SET #s = #s - :n"), ConditionExpression: aws.String("#s >= :n"),
					ExpressionAttributeNames: map[string]string{"#s": "sum"}, ExpressionAttributeValues: map[string]types.AttributeValue{":n": n(amount)},
					ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}},
				{Put: &types.Put{TableName: aws.String("sorted"), Item: map[string]types.AttributeValue{"pk": s("log"), "sk": n(amount), "owner_": s("me"), "at": n(1)}}},
				{Delete: &types.Delete{TableName: aws.String("simple"), Key: id("old")}},
				{ConditionCheck: &types.ConditionCheck{TableName: aws.String("arn:aws:dynamodb:us-east-1:" + testAccount + ":table/simple"), Key: id("frozen"), ConditionExpression: aws.String("attribute_not_exists(id)")}},
			},
		})
	}
	out, err := transfer(7)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, u := range out.ConsumedCapacity {
		got[*u.TableName] = *u.CapacityUnits
		if *u.CapacityUnits != *u.WriteCapacityUnits {
			t.Errorf("%s: %v units, %v of them written", *u.TableName, *u.CapacityUnits, *u.WriteCapacityUnits)
		}
	}
	if diff := cmp.Diff(map[string]float64{"simple": 6, "sorted": 6}, got); diff != "" { // two for each action; the put is in two indexes besides
		t.Errorf("consumed (-want +got):\n%s", diff)
	}
	if _, err = transfer(4); err == nil {
		t.Fatal("a transfer beyond the sum was made")
	}
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) || *canceled.Message != "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None, None, None]" {
		t.Fatalf("%v", err)
	}
	r := canceled.CancellationReasons
	if len(r) != 4 || *r[0].Message != "The conditional request failed" || r[0].Item["sum"].(*types.AttributeValueMemberN).Value != "3" || *r[1].Code != "None" || r[1].Message != nil {
		t.Errorf("reasons %+v", r)
	}
	read, err := c.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal, TransactItems: []types.TransactGetItem{
		{Get: &types.Get{TableName: aws.String("simple"), Key: id("from"), ProjectionExpression: aws.String("#s"), ExpressionAttributeNames: map[string]string{"#s": "sum"}}},
		{Get: &types.Get{TableName: aws.String("simple"), Key: id("old")}},
		{Get: &types.Get{TableName: aws.String("sorted"), Key: map[string]types.AttributeValue{"pk": s("log"), "sk": n(7)}}},
		{Get: &types.Get{TableName: aws.String("sorted"), Key: map[string]types.AttributeValue{"pk": s("log"), "sk": n(4)}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 0, 4, 0}, []int{len(read.Responses[0].Item), len(read.Responses[1].Item), len(read.Responses[2].Item), len(read.Responses[3].Item)}); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if u := read.ConsumedCapacity; len(u) != 2 || *u[0].ReadCapacityUnits != 4 || u[0].WriteCapacityUnits != nil {
		t.Errorf("consumed %+v", u)
	}
}

func TestTransactionRefusals(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "CreateTable", createSorted)
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"there"},"x":{"S":"text"}}}`)
	const (
		once     = "ValidationException: 1 validation error detected: "
		canceled = "TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for specific reasons "
		witness  = `{"Put":{"TableName":"simple","Item":{"id":{"S":"witness"}}}}`
	)
	put := func(item string) string { return `{"Put":{"TableName":"simple","Item":` + item + `}}` }
	many := func(one string, times int) string { return strings.TrimSuffix(strings.Repeat(one+",", times), ",") }
	var big []string
	for i := range 12 {
		big = append(big, put(fmt.Sprintf(`{"id":{"S":"b%d"},"x":{"S":"%s"}}`, i, strings.Repeat("x", 380<<10))))
	}
	for _, c := range []struct{ operation, items, want string }{
		{"TransactWriteItems", ``, once + "Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"TransactGetItems", ``, once + "Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"TransactWriteItems", many(`{}`, 101), once + "Value '[" + strings.ReplaceAll(many("TransactWriteItem()", 101), ",", ", ") + "]' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100"},
		{"TransactGetItems", many(`{"Get":{}}`, 101), once + "Value '[" + strings.ReplaceAll(many("TransactGetItem(Get)", 101), ",", ", ") + "]' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100"},
		{"TransactWriteItems", `{}`, "ValidationException: Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"},
		{"TransactWriteItems", `{"Put":{"TableName":"simple","Item":{"id":{"S":"a"}}},"Delete":{"TableName":"simple","Key":{"id":{"S":"a"}}}}`, "ValidationException: TransactItems can only contain one of Check, Put, Update or Delete"},
		{"TransactGetItems", `{}`, once + "Value null at 'transactItems.1.member.get' failed to satisfy constraint: Member must not be null"},
		{"TransactWriteItems", witness + `,{"Update":{"TableName":"simple"}}`, "ValidationException: 2 validation errors detected: Value null at 'transactItems.2.member.update.updateExpression' failed to satisfy constraint: Member must not be null; Value null at 'transactItems.2.member.update.key' failed to satisfy constraint: Member must not be null"},
		{"TransactWriteItems", `{"ConditionCheck":{"Key":{"id":{"S":"a"}}}}`, "ValidationException: 2 validation errors detected: Value null at 'transactItems.1.member.conditionCheck.tableName' failed to satisfy constraint: Member must not be null; Value null at 'transactItems.1.member.conditionCheck.conditionExpression' failed to satisfy constraint: Member must not be null"},
		{"TransactWriteItems", `{"Put":{"TableName":"simple","Item":{"id":{"S":"a"}},"ReturnValues":"ALL_OLD"}}`, "ValidationException: Tidegate does not support the parameter ReturnValues of Put yet"},
		// What is wrong with an expression comes before what is wrong with a table, and that before duplicates.
		{"TransactWriteItems", witness + `,{"Delete":{"TableName":"nope","Key":{"id":{"S":"a"}},"ConditionExpression":"a = :a"}}`, "ValidationException: Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :a"},
		{"TransactWriteItems", `{"Delete":{"TableName":"nope","Key":{"id":{"S":"a"}}}},` + witness + `,` + witness, "ResourceNotFoundException: Requested resource not found"},
		{"TransactGetItems", `{"Get":{"TableName":"simple","Key":{"id":{"S":"a"}},"ProjectionExpression":"!!!"}}`, `ValidationException: Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"`},
		{"TransactWriteItems", witness + `,` + witness, "ValidationException: Transaction request cannot include multiple operations on one item"},
		{"TransactWriteItems", witness + `,{"ConditionCheck":{"TableName":"arn:aws:dynamodb:us-east-1:000000000000:table/simple","Key":{"id":{"S":"witness"}},"ConditionExpression":"attribute_exists(id)"}}`, "ValidationException: Transaction request cannot include multiple operations on one item"},
		{"TransactGetItems", many(`{"Get":{"TableName":"simple","Key":{"id":{"S":"a"}}}}`, 2), "ValidationException: Transaction request cannot include multiple operations on one item"},
		{"TransactWriteItems", strings.Join(big, ","), fmt.Sprintf("ValidationException: The items of a transaction have 4 MB at most, those of this one %d bytes", 12*(380<<10)+12*3+10*2+2*3)},
		{"TransactWriteItems", witness + `,` + put(`{"id":{"S":""}}`), "ValidationException: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id"},
		{"TransactWriteItems", put(`{"id":{"S":"a"},"x":{"S":"` + strings.Repeat("x", 400<<10) + `"}}`), "ValidationException: Item size has exceeded the maximum allowed size"},
		{"TransactWriteItems", witness + `,{"Update":{"TableName":"bad!name","Key":{"id":{"S":"a"}},"UpdateExpression":"SET a = b"}}`, once + "Value 'bad!name' at 'transactItems.2.member.update.tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		// What is wrong with an item otherwise cancels.
		{"TransactWriteItems", `{"Update":{"TableName":"simple","Key":{"id":{"S":"a"}},"UpdateExpression":"SET x = :x","ExpressionAttributeValues":{":x":{"S":"` + strings.Repeat("x", 400<<10) + `"}}}}`, canceled + "[ValidationError]"},
		{"TransactGetItems", `{"Get":{"TableName":"simple","Key":{}}}`, canceled + "[ValidationError]"},
		{"TransactWriteItems", witness + `,` + put(`{"x":{"S":"a"}}`), canceled + "[None, ValidationError]"},
		{"TransactWriteItems", witness + `,{"Put":{"TableName":"sorted","Item":{"pk":{"S":"a"},"sk":{"N":"1"},"owner_":{"N":"1"}}}}`, canceled + "[None, ValidationError]"},
		{"TransactWriteItems", `{"Update":{"TableName":"simple","Key":{"id":{"S":"there"}},"UpdateExpression":"ADD x :one","ExpressionAttributeValues":{":one":{"N":"1"}}}},` + witness, canceled + "[ValidationError, None]"},
		{"TransactWriteItems", `{"Update":{"TableName":"simple","Key":{"id":{"S":"there"}},"UpdateExpression":"SET id = :v","ExpressionAttributeValues":{":v":{"S":"1"}}}},` + witness, canceled + "[ValidationError, None]"},
		{"TransactWriteItems", `{"ConditionCheck":{"TableName":"simple","Key":{"id":{"S":"a"}},"ConditionExpression":"attribute_exists(id)"}},{"Delete":{"TableName":"simple","Key":{"id":{"S":"there"}},"ConditionExpression":"attribute_exists(y)"}},` + witness, canceled + "[ConditionalCheckFailed, ConditionalCheckFailed, None]"},
	} {
		if got := refusal(t, sv, c.operation, `{"TransactItems":[`+c.items+`]}`); got != c.want {
			t.Errorf("%s %.200s\n got %s\nwant %s", c.operation, c.items, got, c.want)
		}
	}
	for _, c := range []struct{ body, want string }{
		{`{}`, once + "Value null at 'transactItems' failed to satisfy constraint: Member must not be null"},
		{`{"TransactItems":[` + witness + `],"ClientRequestToken":""}`, once + "Value '' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{`{"TransactItems":[` + witness + `],"ClientRequestToken":"` + strings.Repeat("x", 37) + `"}`, once + "Value '" + strings.Repeat("x", 37) + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36"},
		{`{"TransactItems":[{"Frob":{}}]}`, "ValidationException: Tidegate does not support the action Frob of TransactWriteItems yet"},
	} {
		if got := refusal(t, sv, "TransactWriteItems", c.body); got != c.want {
			t.Errorf("%.200s\n got %s\nwant %s", c.body, got, c.want)
		}
	}
	_, body, _ := post(t, sv, "TransactWriteItems", `{"TransactItems":[`+put(`{"x":{"S":"a"}}`)+`]}`)
	if want := `"CancellationReasons":[{"Code":"ValidationError","Message":"One or more parameter values were invalid: Missing the key id in the item"}]`; !strings.Contains(body, want) {
		t.Errorf("%s lacks %s", body, want)
	}
	if got := must(t, sv, "Scan", `{"TableName":"simple"}`); got != `{"Count":1,"ScannedCount":1,"Items":[{"id":{"S":"there"},"x":{"S":"text"}}]}` {
		t.Errorf("refused transactions left %s", got)
	}
}

// TestClientRequestToken: within ten minutes a token's transaction happens once,
// whatever the order of the maps in the request; also over a restart.
func TestClientRequestToken(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	dir := t.TempDir()
	open := func() *Service {
		sv, err := New(context.Background(), Config{Dir: dir, Gate: newGate(awshttp.Warn), Clock: clk})
		if err != nil {
			t.Fatal(err)
		}
		return sv
	}
	sv := open()
	must(t, sv, "CreateTable", createSimple)
	count := func(names, token string) string {
		return `{"TransactItems":[{"Update":{"TableName":"simple","Key":{"id":{"S":"c"}},"UpdateExpression":"ADD #n :a, #m :b",` + names + `}}],"ClientRequestToken":"` + token + `","ReturnConsumedCapacity":"TOTAL"}`
	}
	const (
		names = `"ExpressionAttributeNames":{"#n":"n","#m":"m"},"ExpressionAttributeValues":{":a":{"N":"1"},":b":{"N":"2"}}`
		other = `"ExpressionAttributeValues":{":b":{"N":"2.0"},":a":{"N":"1"}},"ExpressionAttributeNames":{"#m":"m","#n":"n"}`
		wrong = `"ExpressionAttributeNames":{"#n":"n","#m":"m"},"ExpressionAttributeValues":{":a":{"N":"1"},":b":{"N":"3"}}`
	)
	item := func(want int) {
		t.Helper()
		if got := must(t, sv, "GetItem", `{"TableName":"simple","Key":{"id":{"S":"c"}}}`); got != fmt.Sprintf(`{"Item":{"id":{"S":"c"},"m":{"N":"%d"},"n":{"N":"%d"}}}`, 2*want, want) {
			t.Errorf("%s, want %d", got, want)
		}
	}
	if got := must(t, sv, "TransactWriteItems", count(names, "one")); got != `{"ConsumedCapacity":[{"TableName":"simple","CapacityUnits":2.0,"WriteCapacityUnits":2.0}]}` {
		t.Error(got)
	}
	if got := must(t, sv, "TransactWriteItems", count(other, "one")); got != `{"ConsumedCapacity":[{"TableName":"simple","CapacityUnits":2.0,"ReadCapacityUnits":2.0}]}` {
		t.Error(got)
	}
	if got := refusal(t, sv, "TransactWriteItems", count(wrong, "one")); !strings.HasPrefix(got, "IdempotentParameterMismatchException: ") {
		t.Error(got)
	}
	item(1)
	must(t, sv, "TransactWriteItems", count(names, "two"))
	item(2)
	clk.Advance(9 * time.Minute)
	if err := sv.Close(); err != nil {
		t.Fatal(err)
	}
	sv = open()
	must(t, sv, "TransactWriteItems", count(names, "one"))
	item(2)
	clk.Advance(time.Minute)
	must(t, sv, "TransactWriteItems", count(names, "one"))
	item(3)
	if n := len(sv.tokens.known); n != 1 {
		t.Errorf("%d tokens are remembered, want that of the last transaction alone", n)
	}
	// A transaction that was canceled spends no token.
	check := `{"TransactItems":[{"ConditionCheck":{"TableName":"simple","Key":{"id":{"S":"d"}},"ConditionExpression":"attribute_exists(id)"}}],"ClientRequestToken":"three"}`
	if got := refusal(t, sv, "TransactWriteItems", check); !strings.HasPrefix(got, "TransactionCanceledException") {
		t.Error(got)
	}
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"d"}}}`)
	must(t, sv, "TransactWriteItems", check)
	if err := sv.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTransactionsAreAtomic: transfers between two tables, in both directions at
// once, keep the sum that every transactional reader sees.
func TestTransactionsAreAtomic(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "CreateTable", strings.Replace(createSimple, `"simple"`, `"another"`, 1))
	for _, table := range []string{"simple", "another"} {
		must(t, sv, "PutItem", `{"TableName":"`+table+`","Item":{"id":{"S":"a"},"n":{"N":"100"}}}`)
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for w := range 4 {
		from, to := "simple", "another"
		if w%2 == 1 {
			from, to = to, from
		}
		writers.Go(func() {
			for range 20 {
				must(t, sv, "TransactWriteItems", `{"TransactItems":[
					{"Update":{"TableName":"`+from+`","Key":{"id":{"S":"a"}},"UpdateExpression":"ADD n :x","ExpressionAttributeValues":{":x":{"N":"-1"}}}},
					{"Update":{"TableName":"`+to+`","Key":{"id":{"S":"a"}},"UpdateExpression":"ADD n :x","ExpressionAttributeValues":{":x":{"N":"1"}}}}]}`)
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				got := must(t, sv, "TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"simple","Key":{"id":{"S":"a"}}}},{"Get":{"TableName":"another","Key":{"id":{"S":"a"}}}}]}`)
				var a, b int
				if _, err := fmt.Sscanf(got, `{"Responses":[{"Item":{"id":{"S":"a"},"n":{"N":"%d"}}},{"Item":{"id":{"S":"a"},"n":{"N":"%d"}}}]}`, &a, &b); err != nil || a+b != 200 {
					t.Errorf("a reader saw %s (%v)", got, err)
					return
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

// TestTransactionPermissions: each action needs the permission of its own.
func TestTransactionPermissions(t *testing.T) {
	gate := newGate(awshttp.Enforce)
	gate.Identities = fakeIdentities{awshttp.Principal{Kind: awshttp.Role, ARN: "arn:aws:sts::" + testAccount + ":assumed-role/r/s", Account: testAccount}}
	_, c := newService(t, nil, gate)
	for permission, it := range map[string]types.TransactWriteItem{
		"PutItem":            {Put: &types.Put{TableName: aws.String("simple"), Item: id("a")}},
		"DeleteItem":         {Delete: &types.Delete{TableName: aws.String("simple"), Key: id("a")}},
		"ConditionCheckItem": {ConditionCheck: &types.ConditionCheck{TableName: aws.String("simple"), Key: id("a"), ConditionExpression: aws.String("a = b")}},
	} {
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{it}})
		if err == nil || !strings.Contains(err.Error(), "dynamodb:"+permission+" on resource: arn:aws:dynamodb:us-east-1:000000000000:table/simple") {
			t.Errorf("a role without policies: %v, want a refusal that names %s", err, permission)
		}
	}
}

// FuzzRequests: whatever a request says, the answer is DynamoDB's 200 or 400, and
// a transaction that is refused changes nothing.
func FuzzRequests(f *testing.F) {
	f.Add("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"simple","Item":{"id":{"S":"a"}},"ConditionExpression":"attribute_exists(id)"}},{"Update":{"TableName":"sorted","Key":{"pk":{"S":"a"},"sk":{"N":"1"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"1"}}}}],"ClientRequestToken":"t","ReturnConsumedCapacity":"INDEXES","ReturnItemCollectionMetrics":"SIZE"}`)
	f.Add("TransactWriteItems", `{"TransactItems":[{"ConditionCheck":{"TableName":"simple","Key":{"id":{"S":"b"}},"ConditionExpression":"attribute_not_exists(id)"}},{"Delete":{"TableName":"simple","Key":{"id":{"S":"a"}}}},null]}`)
	f.Add("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"simple","Key":{"id":{"S":"a"}},"ProjectionExpression":"a.b[0]"}}]}`)
	f.Add("UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"AttributeUpdates":{"x":{"Action":"ADD","Value":{"L":[]}}},"Expected":{"y":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"2"}]},"z":{"Exists":false}},"ConditionalOperator":"OR"}`)
	f.Add("Query", `{"TableName":"sorted","KeyConditions":{"pk":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]},"sk":{"ComparisonOperator":"BEGINS_WITH","AttributeValueList":[{"N":"1"}]}},"QueryFilter":{"n":{"ComparisonOperator":"NULL"}}}`)
	f.Add("UpdateTable", `{"TableName":"simple","AttributeDefinitions":[{"AttributeName":"x","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"byX","KeySchema":[{"AttributeName":"x","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`)
	sv, _ := newService(f, nil, nil)
	must(f, sv, "CreateTable", createSimple)
	must(f, sv, "CreateTable", createSorted)
	f.Fuzz(func(t *testing.T, operation, body string) {
		if operation == "DeleteTable" {
			return
		}
		before := ""
		if operation == "TransactWriteItems" {
			before = must(t, sv, "Scan", `{"TableName":"simple"}`)
		}
		code, out, _ := post(t, sv, operation, body)
		if code != 200 && code != 400 {
			t.Fatalf("%s %q: %d %s", operation, body, code, out)
		}
		if code == 400 && before != "" {
			if after := must(t, sv, "Scan", `{"TableName":"simple"}`); after != before {
				t.Fatalf("%s %q was refused with %s and changed %s to %s", operation, body, out, before, after)
			}
		}
	})
}
