package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTablesChange applies one template after the other to the same table and
// looks at the calls of UpdateTable: DynamoDB takes one new or leaving index a
// call.
func TestTablesChange(t *testing.T) {
	f, d := newFake(t)
	const (
		keys     = "KeySchema: [{AttributeName: id, KeyType: HASH}], AttributeDefinitions: [{AttributeName: id, AttributeType: S}, {AttributeName: x, AttributeType: S}]"
		onDemand = ", BillingMode: PAY_PER_REQUEST"
		paid     = ", ProvisionedThroughput: {ReadCapacityUnits: 5, WriteCapacityUnits: 6}"
		byX      = "{IndexName: byX, KeySchema: [{AttributeName: x, KeyType: HASH}], Projection: {ProjectionType: ALL}"
		lessOfX  = "{IndexName: byX, KeySchema: [{AttributeName: x, KeyType: HASH}], Projection: {ProjectionType: KEYS_ONLY}"
		byXToo   = "{IndexName: byXToo, KeySchema: [{AttributeName: x, KeyType: HASH}], Projection: {ProjectionType: INCLUDE, NonKeyAttributes: [a, b]}"
		three    = ", ProvisionedThroughput: {ReadCapacityUnits: 3, WriteCapacityUnits: 3}"
	)
	for _, step := range []struct {
		name, properties string
		want             []string // UpdateTable's bodies, without the table's name
	}{
		{"made", keys + onDemand, nil},
		{"two indexes", keys + onDemand + ", GlobalSecondaryIndexes: [" + byX + "}, " + byXToo + "}]", []string{
			`{"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"},{"AttributeName":"x","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"byX","KeySchema":[{"AttributeName":"x","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`,
			`{"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"},{"AttributeName":"x","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"byXToo","KeySchema":[{"AttributeName":"x","KeyType":"HASH"}],"Projection":{"NonKeyAttributes":["a","b"],"ProjectionType":"INCLUDE"}}}]}`}},
		{"one with another projection, the other gone, and protected", keys + onDemand + ", DeletionProtectionEnabled: true, GlobalSecondaryIndexes: [" + lessOfX + "}]", []string{
			`{"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"byX"}}]}`,
			`{"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"byXToo"}}]}`,
			`{"DeletionProtectionEnabled":true}`,
			`{"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"},{"AttributeName":"x","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"byX","KeySchema":[{"AttributeName":"x","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}}]}`}},
		{"paid for, and not protected", keys + paid + ", GlobalSecondaryIndexes: [" + lessOfX + three + "}]", []string{
			`{"BillingMode":"PROVISIONED","DeletionProtectionEnabled":false,"GlobalSecondaryIndexUpdates":[{"Update":{"IndexName":"byX","ProvisionedThroughput":{"ReadCapacityUnits":3,"WriteCapacityUnits":3}}}],"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":6}}`}},
		{"the same", keys + paid + ", GlobalSecondaryIndexes: [" + lessOfX + three + "}]", nil},
		{"on demand again, without indexes", keys + onDemand, []string{
			`{"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"byX"}}]}`,
			`{"BillingMode":"PAY_PER_REQUEST"}`}},
	} {
		f.reset()
		path := filepath.Join(t.TempDir(), "template.yaml")
		if err := os.WriteFile(path, []byte("Resources:\n  T:\n    Type: AWS::DynamoDB::Table\n    Properties: {TableName: things, "+step.properties+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		mustApply(t, d, mustLoad(t, path, Options{StackName: "s"}))
		var got []string
		for _, body := range f.bodies["UpdateTable"] {
			delete(body, "TableName")
			b, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(b))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: calls of UpdateTable (-want +got):\n%s", step.name, diff)
		}
	}
}
