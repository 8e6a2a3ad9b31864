package tables

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestStreamSpecificationIsKept(t *testing.T) {
	sv, c := newService(t, nil, nil)
	must(t, sv, "CreateTable", strings.Replace(createSimple, `"simple"`, `"simple","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}`, 1))
	describe := func() *types.TableDescription {
		out, err := c.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("simple")})
		if err != nil {
			t.Fatal(err)
		}
		return out.Table
	}
	d := describe()
	if d.StreamSpecification == nil || !*d.StreamSpecification.StreamEnabled || d.StreamSpecification.StreamViewType != "NEW_IMAGE" ||
		d.LatestStreamArn == nil || *d.LatestStreamArn != *d.TableArn+"/stream/"+*d.LatestStreamLabel {
		t.Errorf("described as %+v, stream %v", d.StreamSpecification, d.LatestStreamArn)
	}
	first := *d.LatestStreamArn
	update := func(spec, want string) {
		t.Helper()
		code, body, _ := post(t, sv, "UpdateTable", `{"TableName":"simple","StreamSpecification":`+spec+`}`)
		var got struct{ Message string }
		json.Unmarshal([]byte(body), &got)
		if got.Message != want || (code == 200) != (want == "") {
			t.Errorf("%s: %d %s", spec, code, body)
		}
	}
	update(`{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"}`, "Table already has an enabled stream: TableName: simple")
	update(`{"StreamEnabled":false}`, "")
	if d = describe(); d.StreamSpecification != nil || d.LatestStreamArn == nil || *d.LatestStreamArn != first {
		t.Errorf("after its end described as %+v, stream %v", d.StreamSpecification, d.LatestStreamArn)
	}
	update(`{"StreamEnabled":false}`, "Table has no stream to disable: TableName: simple")
	update(`{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"}`, "")
	if d = describe(); d.StreamSpecification == nil || d.StreamSpecification.StreamViewType != "KEYS_ONLY" {
		t.Errorf("begun again described as %+v", d.StreamSpecification)
	}
}

func TestContinuousBackupsAreKept(t *testing.T) {
	sv, c := newService(t, nil, nil)
	must(t, sv, "CreateTable", createSimple)
	status := func() (types.PointInTimeRecoveryStatus, *int32) {
		out, err := c.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String("simple")})
		if err != nil {
			t.Fatal(err)
		}
		p := out.ContinuousBackupsDescription.PointInTimeRecoveryDescription
		return p.PointInTimeRecoveryStatus, p.RecoveryPeriodInDays
	}
	if s, _ := status(); s != types.PointInTimeRecoveryStatusDisabled {
		t.Errorf("at first %s", s)
	}
	must(t, sv, "UpdateContinuousBackups", `{"TableName":"simple","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true,"RecoveryPeriodInDays":7}}`)
	if s, days := status(); s != types.PointInTimeRecoveryStatusEnabled || days == nil || *days != 7 {
		t.Errorf("then %s, %v days", s, days)
	}
	if _, err := c.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String("nowhere")}); err == nil || !strings.Contains(err.Error(), "TableNotFoundException") {
		t.Errorf("of no table: %v", err)
	}
}
