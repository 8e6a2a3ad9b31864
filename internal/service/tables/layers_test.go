package tables

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestValueMessages: DynamoDB checks attribute values in one of two layers, with
// words of their own, depending on the operation (recorded in several regions in
// October 2026).
func TestValueMessages(t *testing.T) {
	const (
		one     = "1 validation error detected: "
		invalid = "One or more parameter values were invalid: "
		over    = "Number overflow. Attempting to store a number with magnitude larger than supported range"
		under   = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
		numeric = "The parameter cannot be converted to a numeric value"
		wrapper = "ExpressionAttributeValues contains invalid value: "
	)
	values := []struct{ value, current, older string }{
		{`{"N":"abc"}`, numeric + ": abc", numeric + ": abc"},
		{`{"N":""}`, numeric + ": ", numeric},
		{`{"N":"1e126"}`, over, over},
		{`{"N":"1e2147483647"}`, over, under}, // the older layer's exponent wraps around
		{`{"SS":["b","a","b"]}`, invalid + `Input collection ["a", "b", "b"] contains duplicates.`, invalid + "Input collection [b, a, b] contains duplicates."},
		{`{"BS":["/w==","AA==","AA=="]}`, invalid + `Input collection ["AA==","/w==","AA=="]of type BS contains duplicates.`, invalid + "Input collection [/w==, AA==, AA==]of type BS contains duplicates."},
		{`{"NS":["2","1","2"]}`, invalid + "Input collection contains duplicates.", "Input collection contains duplicates"},
	}
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	for _, c := range []struct {
		operation, body string
		prefix          string
		older, wrapped  bool
	}{
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"},"v":V}}`, one, false, false},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"},"v":{"M":{"x":{"L":[V]}}}}}`, one, false, false},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"}},"ConditionExpression":"v = :v","ExpressionAttributeValues":{":v":V}}`, one, false, false},
		{"PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"}},"Expected":{"v":{"Value":V}}}`, one, false, false},
		{"UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"UpdateExpression":"SET v = :v","ExpressionAttributeValues":{":v":V}}`, one, false, false},
		{"UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"AttributeUpdates":{"v":{"Action":"PUT","Value":V}}}`, one, false, false},
		{"UpdateItem", `{"TableName":"simple","Key":{"id":V},"UpdateExpression":"SET v = :v","ExpressionAttributeValues":{":v":{"N":"1"}}}`, one, false, false},
		{"DeleteItem", `{"TableName":"simple","Key":{"id":V}}`, one, false, false},
		{"DeleteItem", `{"TableName":"simple","Key":{"id":{"S":"a"}},"ConditionExpression":"v = :v","ExpressionAttributeValues":{":v":V}}`, one, false, false},
		{"GetItem", `{"TableName":"simple","Key":{"id":V}}`, "", false, false},
		{"BatchGetItem", `{"RequestItems":{"simple":{"Keys":[{"id":V}]}}}`, "", false, false},
		{"Query", `{"TableName":"simple","KeyConditionExpression":"id = :v","ExpressionAttributeValues":{":v":V}}`, "", false, false},
		{"Query", `{"TableName":"simple","KeyConditionExpression":"id = :i","FilterExpression":"v = :v","ExpressionAttributeValues":{":i":{"S":"a"},":v":V}}`, "", false, false},
		{"Query", `{"TableName":"simple","KeyConditionExpression":"id = :i","ExclusiveStartKey":{"id":V},"ExpressionAttributeValues":{":i":{"S":"a"}}}`, "", false, false},
		{"BatchWriteItem", `{"RequestItems":{"simple":[{"PutRequest":{"Item":{"id":{"S":"a"},"v":V}}}]}}`, "", true, false},
		{"BatchWriteItem", `{"RequestItems":{"simple":[{"DeleteRequest":{"Key":{"id":V}}}]}}`, "", true, false},
		{"Scan", `{"TableName":"simple","FilterExpression":"v = :v","ExpressionAttributeValues":{":v":V}}`, "", true, true},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"simple","Item":{"id":{"S":"a"},"v":V}}}]}`, "", true, false},
		{"TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"simple","Key":{"id":{"S":"a"}},"UpdateExpression":"SET v = :v","ExpressionAttributeValues":{":v":V}}}]}`, "", true, true},
		{"TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"simple","Key":{"id":V}}}]}`, "", true, false},
	} {
		for _, v := range values {
			body := strings.ReplaceAll(c.body, "V}", v.value+"}")
			body = strings.ReplaceAll(body, "V]", v.value+"]")
			want := v.current
			if c.older {
				want = v.older
			}
			if c.wrapped {
				want = wrapper + want + " for key :v"
			}
			want = c.prefix + want
			code, text, _ := post(t, sv, c.operation, body)
			var got struct{ Message string }
			json.Unmarshal([]byte(text), &got)
			if code != 400 || got.Message != want {
				t.Errorf("%s %s\n got %s\nwant %s", c.operation, body, got.Message, want)
			}
		}
	}
}
