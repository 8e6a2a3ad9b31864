package tables

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const createMatches = `{"TableName":"matches","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
	"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"},{"AttributeName":"cup","AttributeType":"S"},{"AttributeName":"year","AttributeType":"N"},{"AttributeName":"round","AttributeType":"S"},{"AttributeName":"seat","AttributeType":"N"}],
	"GlobalSecondaryIndexes":[{"IndexName":"byRound","Projection":{"ProjectionType":"KEYS_ONLY"},"KeySchema":[{"AttributeName":"cup","KeyType":"HASH"},{"AttributeName":"year","KeyType":"HASH"},{"AttributeName":"round","KeyType":"RANGE"},{"AttributeName":"seat","KeyType":"RANGE"}]}]}`

// TestMultiAttributeKeys holds an index whose key has two attributes in either
// part to DynamoDB's rules: only complete items, in the order of both sort
// attributes, all partition attributes given, sort attributes from the left.
func TestMultiAttributeKeys(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createMatches)
	put := func(id, cup string, year int, rest string) {
		must(t, sv, "PutItem", fmt.Sprintf(`{"TableName":"matches","Item":{"id":{"S":%q},"cup":{"S":%q},"year":{"N":"%d"}%s}}`, id, cup, year, rest))
	}
	seat := func(round string, n int) string {
		return fmt.Sprintf(`,"round":{"S":%q},"seat":{"N":"%d"}`, round, n)
	}
	put("a10", "c", 1, seat("a", 10))
	put("a9", "c", 1, seat("a", 9))
	put("ab1", "c", 1, seat("ab", 1))
	put("b2", "c", 1, seat("b", 2))
	put("other year", "c", 2, seat("a", 1))
	put("other cup", "c1", 1, seat("a", 1))
	put("no seat", "c", 1, `,"round":{"S":"a"}`)
	put("no round", "c", 1, `,"seat":{"N":"1"}`)

	const values = `":c":{"S":"c"},":y":{"N":"1"}`
	query := func(condition, more, rest string) string {
		return fmt.Sprintf(`{"TableName":"matches","IndexName":"byRound","ExpressionAttributeNames":{"#y":"year"},"KeyConditionExpression":"cup = :c AND #y = :y%s","ExpressionAttributeValues":{%s%s}%s}`, condition, values, more, rest)
	}
	for _, c := range []struct{ condition, values, rest, want string }{
		{"", "", "", "a9 a10 ab1 b2"},
		{"", "", `,"ScanIndexForward":false`, "b2 ab1 a10 a9"},
		{" AND round = :r", `,":r":{"S":"a"}`, "", "a9 a10"},
		{" AND begins_with(round, :r)", `,":r":{"S":"a"}`, "", "a9 a10 ab1"},
		{" AND round > :r", `,":r":{"S":"a"}`, "", "ab1 b2"},
		{" AND round = :r AND seat = :s", `,":r":{"S":"a"},":s":{"N":"10.0"}`, "", "a10"},
		{" AND seat >= :s AND round = :r", `,":r":{"S":"a"},":s":{"N":"10"}`, "", "a10"},
		{" AND round = :r AND seat BETWEEN :s AND :u", `,":r":{"S":"a"},":s":{"N":"1"},":u":{"N":"9"}`, "", "a9"},
	} {
		var got []string
		for from, pages := "", 0; pages < 10; pages++ {
			var out struct {
				Items            []map[string]map[string]string
				LastEvaluatedKey json.RawMessage
			}
			if err := json.Unmarshal([]byte(must(t, sv, "Query", query(c.condition, c.values, c.rest+from+`,"Limit":1`))), &out); err != nil {
				t.Fatal(err)
			}
			for _, it := range out.Items {
				got = append(got, it["id"]["S"])
			}
			if out.LastEvaluatedKey == nil {
				break
			}
			from = `,"ExclusiveStartKey":` + string(out.LastEvaluatedKey)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.condition, diff)
		}
	}
	index := func(schema string) string {
		return strings.Replace(strings.Replace(createMatches, "matches", "other", 1), `"KeySchema":[{"AttributeName":"cup","KeyType":"HASH"},{"AttributeName":"year","KeyType":"HASH"},{"AttributeName":"round","KeyType":"RANGE"},{"AttributeName":"seat","KeyType":"RANGE"}]`, `"KeySchema":[`+schema+`]`, 1)
	}
	for _, c := range []struct{ operation, body, want string }{
		{"Query", query(" AND seat = :s", `,":s":{"N":"1"}`, ""), "ValidationException: Query condition missed key schema element: round"},
		{"Query", query(" AND round > :r AND seat = :s", `,":r":{"S":"a"},":s":{"N":"1"}`, ""), "ValidationException: Query key condition not supported"},
		{"Query", query(" AND round = :r AND id = :r", `,":r":{"S":"a"}`, ""), "ValidationException: Query condition missed key schema element: seat"},
		{"Query", strings.ReplaceAll(query("", "", ""), "#y = :y", "#y > :y"), "ValidationException: Query key condition not supported"},
		{"Query", `{"TableName":"matches","IndexName":"byRound","KeyConditionExpression":"cup = :c","ExpressionAttributeValues":{":c":{"S":"c"}}}`, "ValidationException: Query condition missed key schema element: year"},
		{"PutItem", `{"TableName":"matches","Item":{"id":{"S":"x"},"seat":{"S":"1"}}}`, "ValidationException: One or more parameter values were invalid: Type mismatch for Index Key seat Expected: N Actual: S IndexName: byRound"},
		{"CreateTable", index(`{"AttributeName":"cup","KeyType":"HASH"},{"AttributeName":"round","KeyType":"RANGE"},{"AttributeName":"year","KeyType":"HASH"}`), "ValidationException: Invalid KeySchema: All HASH key elements must come before the RANGE key elements"},
		{"CreateTable", index(`{"AttributeName":"cup","KeyType":"HASH"},{"AttributeName":"year","KeyType":"HASH"},{"AttributeName":"round","KeyType":"HASH"},{"AttributeName":"seat","KeyType":"HASH"},{"AttributeName":"id","KeyType":"HASH"}`), "ValidationException: Invalid KeySchema: a global secondary index has at most 4 HASH and 4 RANGE key elements"},
		{"CreateTable", index(`{"AttributeName":"cup","KeyType":"HASH"},{"AttributeName":"cup","KeyType":"RANGE"}`), "ValidationException: Both the Hash Key and the Range Key element in the KeySchema have the same name"},
	} {
		if got := refusal(t, sv, c.operation, c.body); got != c.want {
			t.Errorf("%s %s\n got %s\nwant %s", c.operation, c.body, got, c.want)
		}
	}
}
