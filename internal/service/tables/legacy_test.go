package tables

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

// TestLegacySDK does with the old parameters what TestSDK does with expressions.
func TestLegacySDK(t *testing.T) {
	ctx := t.Context()
	sv, c := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSorted)
	for i := range 5 {
		if _, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("sorted"),
			Item:     map[string]types.AttributeValue{"pk": s("p"), "sk": n(i), "note": s(strings.Repeat("x", i))},
			Expected: map[string]types.ExpectedAttributeValue{"pk": {Exists: aws.Bool(false)}}}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.Query(ctx, &dynamodb.QueryInput{TableName: aws.String("sorted"), AttributesToGet: []string{"sk"},
		KeyConditions: map[string]types.Condition{
			"pk": {ComparisonOperator: types.ComparisonOperatorEq, AttributeValueList: []types.AttributeValue{s("p")}},
			"sk": {ComparisonOperator: types.ComparisonOperatorBetween, AttributeValueList: []types.AttributeValue{n(1), n(3)}},
		},
		QueryFilter:      map[string]types.Condition{"note": {ComparisonOperator: types.ComparisonOperatorNe, AttributeValueList: []types.AttributeValue{s("xx")}}},
		ScanIndexForward: aws.Bool(false)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range out.Items {
		if len(it) != 1 {
			t.Errorf("an item has %d attributes, want sk alone", len(it))
		}
		got = append(got, it["sk"].(*types.AttributeValueMemberN).Value)
	}
	if diff := cmp.Diff([]string{"3", "1"}, got); diff != "" || out.ScannedCount != 3 {
		t.Errorf("%d looked at; (-want +got):\n%s", out.ScannedCount, diff)
	}
	if _, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("sorted"), Key: map[string]types.AttributeValue{"pk": s("p"), "sk": n(0)},
		AttributeUpdates: map[string]types.AttributeValueUpdate{"n": {Action: types.AttributeActionAdd, Value: n(2)}, "note": {Action: types.AttributeActionDelete}, "set": {Value: &types.AttributeValueMemberSS{Value: []string{"a", "b"}}}}}); err != nil {
		t.Fatal(err)
	}
	if got := must(t, sv, "GetItem", `{"TableName":"sorted","Key":{"pk":{"S":"p"},"sk":{"N":"0"}}}`); got != `{"Item":{"n":{"N":"2"},"pk":{"S":"p"},"set":{"SS":["a","b"]},"sk":{"N":"0"}}}` {
		t.Error(got)
	}
}

// TestComparisonOperators checks each operator against items of every kind.
func TestComparisonOperators(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	for _, it := range []string{`"id":{"S":"text"},"x":{"S":"abc"}`, `"id":{"S":"number"},"x":{"N":"7"}`, `"id":{"S":"set"},"x":{"SS":["a","abc"]}`, `"id":{"S":"list"},"x":{"L":[{"S":"abc"},{"N":"7"}]}`, `"id":{"S":"none"}`} {
		must(t, sv, "PutItem", `{"TableName":"simple","Item":{`+it+`}}`)
	}
	for _, c := range []struct{ condition, want string }{
		{`"EQ","AttributeValueList":[{"S":"abc"}]`, "text"},
		{`"EQ","AttributeValueList":[{"SS":["abc","a"]}]`, "set"},
		{`"EQ","AttributeValueList":[{"L":[{"S":"abc"},{"N":"7"}]}]`, "list"},
		{`"NE","AttributeValueList":[{"N":"7.0"}]`, "list none set text"},
		{`"LT","AttributeValueList":[{"S":"abd"}]`, "text"},
		{`"LE","AttributeValueList":[{"N":"7"}]`, "number"},
		{`"GT","AttributeValueList":[{"N":"7"}]`, ""},
		{`"GE","AttributeValueList":[{"N":"7"}]`, "number"},
		{`"NULL"`, "none"},
		{`"NOT_NULL"`, "list number set text"},
		{`"CONTAINS","AttributeValueList":[{"S":"abc"}]`, "list set text"},
		{`"NOT_CONTAINS","AttributeValueList":[{"S":"abc"}]`, "none number"},
		{`"BEGINS_WITH","AttributeValueList":[{"S":"ab"}]`, "text"},
		{`"IN","AttributeValueList":[{"S":"x"},{"S":"abc"}]`, "text"},
		{`"BETWEEN","AttributeValueList":[{"N":"6"},{"N":"8"}]`, "number"},
	} {
		body := `{"x":{"ComparisonOperator":` + c.condition + `}}`
		if got := ids(must(t, sv, "Scan", `{"TableName":"simple","ScanFilter":`+body+`}`)); got != c.want {
			t.Errorf("ScanFilter %s found %q, want %q", body, got, c.want)
		}
		// Expected means the same.
		for _, id := range []string{"text", "number", "set", "list", "none"} {
			code, out, _ := post(t, sv, "UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"`+id+`"}},"AttributeUpdates":{"seen":{"Value":{"N":"1"}}},"Expected":`+body+`}`)
			if want := strings.Contains(" "+c.want+" ", " "+id+" "); (code == 200) != want {
				t.Errorf("Expected %s of %s: %d %s", body, id, code, out)
			}
		}
	}
	two := `"ScanFilter":{"x":{"ComparisonOperator":"NULL"},"id":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"set"}]}}`
	if got := ids(must(t, sv, "Scan", `{"TableName":"simple",`+two+`,"ConditionalOperator":"OR"}`)); got != "none set" {
		t.Errorf("OR found %q", got)
	}
	if got := ids(must(t, sv, "Scan", `{"TableName":"simple",`+two+`}`)); got != "" {
		t.Errorf("AND found %q", got)
	}
}

// ids are the ids in a Scan's answer, sorted.
func ids(answer string) string {
	var out []string
	for _, part := range strings.Split(answer, `"id":{"S":"`)[1:] {
		out = append(out, part[:strings.IndexByte(part, '"')])
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestAttributeUpdates(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	for _, c := range []struct{ name, before, updates, want string }{
		{"put", `,"x":{"S":"a"}`, `"x":{"Value":{"N":"1"},"Action":"PUT"},"y":{"Value":{"BOOL":true}}`, `{"id":{"S":"i"},"x":{"N":"1"},"y":{"BOOL":true}}`},
		{"add a number", `,"x":{"N":"5"}`, `"x":{"Value":{"N":"-2"},"Action":"ADD"},"y":{"Value":{"N":"3"},"Action":"ADD"}`, `{"id":{"S":"i"},"x":{"N":"3"},"y":{"N":"3"}}`},
		{"add to a set", `,"x":{"SS":["b"]}`, `"x":{"Value":{"SS":["a","b"]},"Action":"ADD"}`, `{"id":{"S":"i"},"x":{"SS":["a","b"]}}`},
		{"add to a list", `,"x":{"L":[{"N":"1"}]}`, `"x":{"Value":{"L":[{"N":"1"}]},"Action":"ADD"}`, `{"id":{"S":"i"},"x":{"L":[{"N":"1"},{"N":"1"}]}}`},
		{"delete", `,"x":{"S":"a"}`, `"x":{"Action":"DELETE"},"y":{"Action":"DELETE"}`, `{"id":{"S":"i"}}`},
		{"delete from a set", `,"x":{"NS":["1","2"]},"y":{"NS":["1"]}`, `"x":{"Value":{"NS":["2"]},"Action":"DELETE"},"y":{"Value":{"NS":["1"]},"Action":"DELETE"}`, `{"id":{"S":"i"},"x":{"NS":["1"]}}`},
		{"put makes an item", ``, `"x":{"Value":{"N":"1"}}`, `{"id":{"S":"i"},"x":{"N":"1"}}`},
		{"delete makes none", ``, `"x":{"Action":"DELETE"}`, ``},
		{"nothing makes an item", ``, ``, `{"id":{"S":"i"}}`},
	} {
		must(t, sv, "DeleteItem", `{"TableName":"simple","Key":{"id":{"S":"i"}}}`)
		if c.before != "" {
			must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"i"}`+c.before+`}}`)
		}
		must(t, sv, "UpdateItem", `{"TableName":"simple","Key":{"id":{"S":"i"}},"AttributeUpdates":{`+c.updates+`}}`)
		want := `{"Item":` + c.want + `}`
		if c.want == "" {
			want = `{}`
		}
		if got := must(t, sv, "GetItem", `{"TableName":"simple","Key":{"id":{"S":"i"}}}`); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}

func TestLegacyRefusals(t *testing.T) {
	sv, _ := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	must(t, sv, "CreateTable", createSorted)
	must(t, sv, "PutItem", `{"TableName":"simple","Item":{"id":{"S":"a"},"x":{"S":"text"}}}`)
	const (
		invalidly = "One or more parameter values were invalid: "
		mixed     = "Can not use both expression and non-expression parameters in the same request: "
		once      = "1 validation error detected: "
	)
	for _, c := range []struct{ operation, rest, want string }{
		{"PutItem", `"Item":{"id":{"S":"a"}},"Expected":{"id":{"Exists":false}},"ConditionExpression":"attribute_not_exists(id)"`, once + mixed + "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"},
		{"UpdateItem", `"Key":{"id":{"S":"a"}},"AttributeUpdates":{},"Expected":{},"UpdateExpression":"REMOVE x"`, once + mixed + "Non-expression parameters: {AttributeUpdates, Expected} Expression parameters: {UpdateExpression}"},
		{"GetItem", `"Key":{"id":{"S":"a"}},"AttributesToGet":["a"],"ProjectionExpression":"a"`, mixed + "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"},
		{"Query", `"AttributesToGet":["a"],"QueryFilter":{},"KeyConditions":{},"ProjectionExpression":"a","KeyConditionExpression":"a = :a"`, mixed + "Non-expression parameters: {AttributesToGet, QueryFilter, KeyConditions} Expression parameters: {ProjectionExpression, KeyConditionExpression}"},
		{"Scan", `"ScanFilter":{},"ConditionalOperator":"OR","FilterExpression":"a = b"`, mixed + "Non-expression parameters: {ScanFilter, ConditionalOperator} Expression parameters: {FilterExpression}"},
		{"GetItem", `"Key":{"id":{"S":"a"}},"AttributesToGet":["a","b","a"]`, invalidly + "Duplicate value in attribute name: a"},
		{"GetItem", `"Key":{"id":{"S":"a"}},"AttributesToGet":[]`, once + "Value '[]' at 'attributesToGet' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"Scan", `"ScanFilter":{"a":{"ComparisonOperator":"NULL"}},"ConditionalOperator":"OR"`, "ConditionalOperator can only be used when Filter or Expected has two or more elements"},
		{"PutItem", `"Item":{"id":{"S":"a"}},"ConditionalOperator":"OR"`, once + "ConditionalOperator cannot be used without Filter or Expected"},
		{"Scan", `"ScanFilter":{"a":{}}`, once + "Value null at 'scanFilter.a.member.comparisonOperator' failed to satisfy constraint: Member must not be null"},
		{"Scan", `"ScanFilter":{"a":{"ComparisonOperator":"LIKE"}},"ConditionalOperator":"XOR"`, "2 validation errors detected: Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: Member must satisfy enum value set: [OR, AND]; Value 'LIKE' at 'scanFilter.a.member.comparisonOperator' failed to satisfy constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]"},
		{"Scan", `"ScanFilter":{"a":{"ComparisonOperator":"EQ"}}`, invalidly + "Invalid number of argument(s) for the EQ ComparisonOperator"},
		{"Scan", `"ScanFilter":{"a":{"ComparisonOperator":"NULL","AttributeValueList":[{"S":"a"}]}}`, invalidly + "Invalid number of argument(s) for the NULL ComparisonOperator"},
		{"Scan", `"ScanFilter":{"a":{"ComparisonOperator":"IN","AttributeValueList":[{"S":"a"},{"N":"1"}]}}`, invalidly + "AttributeValues inside AttributeValueList must be of same type"},
		{"Scan", `"ScanFilter":{"a":{"ComparisonOperator":"LT","AttributeValueList":[{"BOOL":true}]}}`, invalidly + "ComparisonOperator LT is not valid for BOOL AttributeValue type"},
		{"Scan", `"ScanFilter":{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"10"},{"N":"9"}]}}`, "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"},
		{"Scan", `"Select":"COUNT","AttributesToGet":["a"]`, "Cannot specify the AttributesToGet when choosing to get only the Count"},
		{"DeleteItem", `"Key":{"id":{"S":"a"}},"Expected":{"a":{}}`, once + invalidly + "Value must be provided when Exists is null for Attribute: a"},
		{"DeleteItem", `"Key":{"id":{"S":"a"}},"Expected":{"a":{"Exists":true}}`, once + invalidly + "Value must be provided when Exists is true for Attribute: a"},
		{"DeleteItem", `"Key":{"id":{"S":"a"}},"Expected":{"a":{"Exists":false,"Value":{"S":"a"}}}`, once + invalidly + "Value cannot be used when Exists is false for Attribute: a"},
		{"DeleteItem", `"Key":{"id":{"S":"a"}},"Expected":{"a":{"ComparisonOperator":"EQ","Exists":true}}`, once + invalidly + "Exists and ComparisonOperator cannot be used together for Attribute: a"},
		{"DeleteItem", `"Key":{"id":{"S":"a"}},"Expected":{"a":{"ComparisonOperator":"EQ"}}`, once + invalidly + "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a"},
		{"DeleteItem", `"Key":{"id":{"S":"a"}},"Expected":{"a":{"AttributeValueList":[]}}`, once + invalidly + "AttributeValueList can only be used with a ComparisonOperator for Attribute: a"},
		{"DeleteItem", `"Key":{"id":{"S":"a"}},"Expected":{"a":{"Value":{"S":"a"},"AttributeValueList":[]}}`, once + invalidly + "Value and AttributeValueList cannot be used together for Attribute: a"},
		{"UpdateItem", `"Key":{"id":{"S":"a"}},"AttributeUpdates":{"x":{"Action":"PUT"}}`, once + invalidly + "Only DELETE action is allowed when no attribute value is specified"},
		{"UpdateItem", `"Key":{"id":{"S":"a"}},"AttributeUpdates":{"x":{"Action":"DELETE","Value":{"S":"a"}}}`, once + invalidly + "DELETE action with value is not supported for the type S"},
		{"UpdateItem", `"Key":{"id":{"S":"a"}},"AttributeUpdates":{"x":{"Action":"ADD","Value":{"S":"a"}}}`, once + invalidly + "ADD action is not supported for the type S"},
		{"UpdateItem", `"Key":{"id":{"S":"a"}},"AttributeUpdates":{"id":{"Value":{"S":"a"}}}`, invalidly + "Cannot update attribute id. This attribute is part of the key"},
		{"UpdateItem", `"Key":{"id":{"S":"a"}},"AttributeUpdates":{"x":{"Action":"ADD","Value":{"N":"1"}}}`, "Type mismatch for attribute to update"},
		{"Query", `"KeyConditions":{}`, "Conditions can be of length 1 or 2 only"},
		{"Query", `"KeyConditions":{"id":{"ComparisonOperator":"NE","AttributeValueList":[{"S":"a"}]}}`, "Attempted conditional constraint is not an indexable operation"},
		{"Query", `"KeyConditions":{"id":{"ComparisonOperator":"GT","AttributeValueList":[{"S":"a"}]}}`, "Query key condition not supported"},
		{"Query", `"KeyConditions":{"id":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"}]}}`, invalidly + "Condition parameter type does not match schema type"},
		{"Query", `"KeyConditions":{"x":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"1"}]}}`, "Query condition missed key schema element: id"},
		{"Query", `"KeyConditions":{"id":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]}},"QueryFilter":{"id":{"ComparisonOperator":"NULL"}}`, "QueryFilter can only contain non-primary key attributes: Primary key attribute: id"},
	} {
		if got := refusal(t, sv, c.operation, `{"TableName":"simple",`+c.rest+`}`); got != "ValidationException: "+c.want {
			t.Errorf("%s %s\n got %s\nwant ValidationException: %s", c.operation, c.rest, got, c.want)
		}
	}
	if got, want := refusal(t, sv, "BatchGetItem", `{"RequestItems":{"simple":{"Keys":[{"id":{"S":"a"}}],"AttributesToGet":["x"],"ProjectionExpression":"x"}}}`), "ValidationException: "+mixed+"Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"; got != want {
		t.Errorf("BatchGetItem: %s", got)
	}
	if got := must(t, sv, "BatchGetItem", `{"RequestItems":{"simple":{"Keys":[{"id":{"S":"a"}}],"AttributesToGet":["x"]}}}`); !strings.Contains(got, `"simple":[{"x":{"S":"text"}}]`) {
		t.Errorf("BatchGetItem: %s", got)
	}
}
