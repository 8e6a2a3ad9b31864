package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tidegate/internal/awshttp"
	"tidegate/internal/kv"
)

// accountKey is where the account's settings lie.
const accountKey = "account"

// account is what UpdateAccount changes. Stages log whether or not there is a
// role: it is kept for tools that set it before they switch logging on.
type account struct {
	CloudWatchRoleARN string
}

// accountOutput is AWS's Account. The throttles are AWS's own for most regions.
type accountOutput struct {
	CloudwatchRoleArn string           `json:"cloudwatchRoleArn,omitempty"`
	ThrottleSettings  throttleSettings `json:"throttleSettings"`
	Features          []string         `json:"features"`
	ApiKeyVersion     string           `json:"apiKeyVersion"`
}

func (s *Service) account(ctx context.Context) (account, error) {
	var a account
	e, err := s.store.Get(ctx, accountKey)
	if errors.Is(err, kv.ErrNotFound) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(e.Value, &a); err != nil {
		return a, fmt.Errorf("usage: %s is damaged: %w", accountKey, err)
	}
	return a, nil
}

func wireAccount(a account) accountOutput {
	burst, rate := 5000, 10000.0
	return accountOutput{
		CloudwatchRoleArn: a.CloudWatchRoleARN, ThrottleSettings: throttleSettings{BurstLimit: &burst, RateLimit: &rate},
		Features: []string{"UsagePlans"}, ApiKeyVersion: "4",
	}
}

func (f *face) getAccount(c *awshttp.Call) (any, error) {
	a, err := f.account(c.Context())
	return wireAccount(a), err
}

func (f *face) updateAccount(c *awshttp.Call) (any, error) {
	var in patch
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	a, err := f.account(c.Context())
	if err != nil {
		return nil, err
	}
	for _, op := range in.PatchOperations {
		switch {
		case op.Path == "/cloudwatchRoleArn" && op.Op == "remove":
			a.CloudWatchRoleARN = ""
		case op.Path == "/cloudwatchRoleArn" && op.Op == "replace":
			if op.Value != "" && (!strings.HasPrefix(op.Value, "arn:") || !strings.Contains(op.Value, ":role/") || len(op.Value) > 2048) {
				return nil, badRequest("The role ARN is not well formed")
			}
			a.CloudWatchRoleARN = op.Value
		case op.Path == "/features" && op.Op == "add" && op.Value == "UsagePlans": // always on
		default:
			return nil, badRequest("Invalid patch path %q or operation %q specified: of an account, replace /cloudwatchRoleArn is served", op.Path, op.Op)
		}
	}
	value, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if _, err := f.store.Put(c.Context(), accountKey, value); err != nil {
		return nil, err
	}
	return wireAccount(a), nil
}
