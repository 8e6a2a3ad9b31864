package schedules

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// TestSDK talks to the service with the AWS SDK for Go.
func TestSDK(t *testing.T) {
	f := newFixture(t, newBucket(), nil)
	defer f.Close()
	server := httptest.NewServer(f)
	defer server.Close()
	client := eventbridge.New(eventbridge.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: rootKey.AccessKeyID, SecretAccessKey: rootKey.SecretAccessKey}, nil
		}),
	})
	name := aws.String("tick")
	put, err := client.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: name, ScheduleExpression: aws.String("rate(1 hour)"), Description: aws.String("d"), State: types.RuleStateDisabled, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	if err != nil || *put.RuleArn != ruleARN {
		t.Fatalf("PutRule: %+v, %v", put, err)
	}
	targets, err := client.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: name, Targets: []types.Target{{Id: aws.String("fn"), Arn: aws.String(fnARN), Input: aws.String(`{"a":1}`), RetryPolicy: &types.RetryPolicy{MaximumRetryAttempts: aws.Int32(3)}}}})
	if err != nil || targets.FailedEntryCount != 0 {
		t.Fatalf("PutTargets: %+v, %v", targets, err)
	}
	rule, err := client.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: name})
	if err != nil || rule.State != types.RuleStateDisabled || *rule.ScheduleExpression != "rate(1 hour)" || *rule.Description != "d" {
		t.Errorf("DescribeRule: %+v, %v", rule, err)
	}
	list, err := client.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: name})
	if err != nil || len(list.Targets) != 1 || *list.Targets[0].Input != `{"a":1}` || *list.Targets[0].RetryPolicy.MaximumRetryAttempts != 3 {
		t.Errorf("ListTargetsByRule: %+v, %v", list, err)
	}
	if _, err := client.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: name}); err != nil {
		t.Errorf("EnableRule: %v", err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := client.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("none")}); !errors.As(err, &missing) {
		t.Errorf("DescribeRule of none: %v", err)
	}
	if _, err := client.RemoveTargets(t.Context(), &eventbridge.RemoveTargetsInput{Rule: name, Ids: []string{"fn"}}); err != nil {
		t.Errorf("RemoveTargets: %v", err)
	}
	if _, err := client.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: name}); err != nil {
		t.Errorf("DeleteRule: %v", err)
	}
	if rules := f.Rules(); len(rules) != 0 {
		t.Errorf("%+v", rules)
	}
}
