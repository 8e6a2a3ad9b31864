// Command goproxy is a function whose clients know nothing of Tidegate: they
// have no endpoint, or that of AWS. Only the environment leads them.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func handle(ctx context.Context, e events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	cfg := aws.Config{
		Region:      os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
	}
	table, key := os.Getenv("TABLE"), map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: e.RequestContext.ConnectionID}}
	db := dynamodb.NewFromConfig(cfg)
	if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: key}); err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	got, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key})
	if err != nil || len(got.Item) != 1 {
		return events.APIGatewayProxyResponse{}, fmt.Errorf("read %v: %w", got, err)
	}
	world, err := fetch(ctx)
	if err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	endpoint := fmt.Sprintf("https://%s.execute-api.%s.amazonaws.com/%s", e.RequestContext.APIID, cfg.Region, e.RequestContext.Stage)
	push := apigatewaymanagementapi.NewFromConfig(cfg, func(o *apigatewaymanagementapi.Options) { o.BaseEndpoint = &endpoint })
	_, err = push.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &e.RequestContext.ConnectionID, Data: []byte("pushed; " + world)})
	return events.APIGatewayProxyResponse{StatusCode: 200}, err
}

// fetch asks a server that is none of AWS's. Go passes by the proxy for loopback,
// where the test's server is, so it is told to use it.
func fetch(ctx context.Context) (string, error) {
	proxy, err := url.Parse(os.Getenv("HTTPS_PROXY"))
	if err != nil {
		return "", err
	}
	roots, err := x509.SystemCertPool() // SSL_CERT_FILE
	if err != nil {
		return "", err
	}
	roots.AppendCertsFromPEM([]byte(os.Getenv("WORLD_CERT")))
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("WORLD"), nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(b)), err
}

func main() { lambda.Start(handle) }
