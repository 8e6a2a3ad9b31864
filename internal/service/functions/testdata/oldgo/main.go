// Command oldgo is a function written with aws-lambda-go as it was before it
// knew the Runtime API: it answers with its event, or does what the event says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func handle(ctx context.Context, event json.RawMessage) (interface{}, error) {
	switch string(event) {
	case `"fail"`:
		return nil, errors.New("it failed")
	case `"panic"`:
		panic("it panicked")
	case `"exit"`:
		os.Exit(3)
	case `"sleep"`:
		time.Sleep(time.Minute)
	case `"large"`:
		return strings.Repeat("x", 6<<20+99), nil
	case `"huge"`:
		return strings.Repeat("x", 20<<20), nil
	case `"context"`:
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]interface{}{
			"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "custom": lc.ClientContext.Custom, "trace": ctx.Value("x-amzn-trace-id"),
			"left": time.Until(deadline).Seconds(), "pid": os.Getpid(),
		}, nil
	}
	fmt.Println("said by", os.Getenv("AWS_EXECUTION_ENV"))
	return event, nil
}

func main() { lambda.Start(handle) }
