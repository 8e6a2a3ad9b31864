// Command gochat is a WebSocket handler in Go: it answers a message with the
// alias and the version that it was called by.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func handle(ctx context.Context, e events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	alias := ""
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		alias = lc.InvokedFunctionArn[strings.LastIndexByte(lc.InvokedFunctionArn, ':')+1:]
	}
	return events.APIGatewayProxyResponse{StatusCode: 200, Body: fmt.Sprintf("%s of version %s got %s", alias, lambdacontext.FunctionVersion, e.Body)}, nil
}

func main() { lambda.Start(handle) }
