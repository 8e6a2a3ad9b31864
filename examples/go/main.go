// The chat: one program serves every route and the schedule.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	gone "github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A chat is what lives as long as the process.
type chat struct {
	config aws.Config
	table  *dynamodb.Client
	name   *string
}

// The same function is called by routes and by the rule, whose event has no
// requestContext but the endpoint as its input.
type event struct {
	events.APIGatewayWebsocketProxyRequest
	Endpoint string `json:"endpoint"`
}

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	c := &chat{config: cfg, table: dynamodb.NewFromConfig(cfg), name: aws.String(os.Getenv("TABLE_NAME"))}
	lambda.Start(c.handle)
}

func (c *chat) handle(ctx context.Context, e event) (events.APIGatewayProxyResponse, error) {
	ok := events.APIGatewayProxyResponse{StatusCode: 200}
	r := e.RequestContext
	switch r.RouteKey {
	case "$connect":
		_, err := c.table.PutItem(ctx, &dynamodb.PutItemInput{TableName: c.name, Item: key(r.ConnectionID)})
		return ok, err
	case "$disconnect":
		_, err := c.table.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: c.name, Key: key(r.ConnectionID)})
		return ok, err
	case "sendmessage":
		var message struct{ Data string }
		if err := json.Unmarshal([]byte(e.Body), &message); err != nil {
			return ok, err
		}
		return ok, c.everyone(ctx, c.clients("https://"+r.DomainName+"/"+r.Stage), message.Data)
	case "$default":
		return ok, c.post(ctx, c.clients("https://"+r.DomainName+"/"+r.Stage), r.ConnectionID, `Send {"action":"sendmessage","data":"…"}.`)
	}
	return ok, c.everyone(ctx, c.clients(e.Endpoint), "Hello from Lambda")
}

// clients is the API's management client.
func (c *chat) clients(endpoint string) *apigatewaymanagementapi.Client {
	return apigatewaymanagementapi.NewFromConfig(c.config, func(o *apigatewaymanagementapi.Options) { o.BaseEndpoint = aws.String(endpoint) })
}

// everyone posts to every connection in the table.
func (c *chat) everyone(ctx context.Context, api *apigatewaymanagementapi.Client, text string) error {
	pages := dynamodb.NewScanPaginator(c.table, &dynamodb.ScanInput{TableName: c.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		errs := make([]error, len(page.Items))
		var posts sync.WaitGroup
		for i, item := range page.Items {
			posts.Go(func() { errs[i] = c.post(ctx, api, item["connectionId"].(*types.AttributeValueMemberS).Value, text) })
		}
		posts.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// post sends to one client, and forgets one that is gone.
func (c *chat) post(ctx context.Context, api *apigatewaymanagementapi.Client, id, text string) error {
	_, err := api.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte(text)})
	var left *gone.GoneException
	if errors.As(err, &left) {
		_, err = c.table.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: c.name, Key: key(id)})
	}
	return err
}

func key(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"connectionId": &types.AttributeValueMemberS{Value: id}}
}
