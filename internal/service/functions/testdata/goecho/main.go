// Command goecho is a function written with aws-lambda-go: it answers with its
// event, or with its environment when the event is "environment".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func handle(ctx context.Context, event json.RawMessage) (any, error) {
	switch string(event) {
	case `"fail"`:
		return nil, errors.New("it failed")
	case `"panic"`:
		panic("it panicked")
	case `"environment"`:
		lc, _ := lambdacontext.FromContext(ctx)
		return map[string]any{"environment": os.Environ(), "arn": lc.InvokedFunctionArn, "version": lambdacontext.FunctionVersion}, nil
	}
	return event, nil
}

func main() { lambda.Start(handle) }
