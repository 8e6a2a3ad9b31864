package tidegatetest

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"

	"tidegate/internal/client"
)

// A crowd is clients who each send a message a second and wait for its answer,
// while the API behind them is deployed anew.
type crowd struct {
	t       testing.TB
	api     *apigatewayv2.Client
	apiID   *string
	mock    *string
	answer  *string
	version atomic.Int64 // of the deployment that serves what is sent from now on

	dropped atomic.Int64
	stale   atomic.Int64 // answers of an older deployment than the one that served when the message was sent

	mu        sync.Mutex
	latencies []time.Duration // of the present phase
}

func newCrowd(t testing.TB) (*crowd, string) {
	t.Helper()
	s := Start(t, Options{})
	c := &crowd{t: t, api: apigatewayv2.New(apigatewayv2.Options{
		Region: Region, BaseEndpoint: aws.String(s.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretAccessKey, ""),
	})}
	ctx := t.Context()
	api, err := c.api.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("crowd"), ProtocolType: "WEBSOCKET", RouteSelectionExpression: aws.String("$request.body.action")})
	c.must(err)
	c.apiID = api.ApiId
	mock, err := c.api.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: c.apiID, IntegrationType: "MOCK",
		TemplateSelectionExpression: aws.String("ok"), RequestTemplates: map[string]string{"ok": `{"statusCode":200}`}})
	c.must(err)
	c.mock = mock.IntegrationId
	answer, err := c.api.CreateIntegrationResponse(ctx, &apigatewayv2.CreateIntegrationResponseInput{ApiId: c.apiID, IntegrationId: c.mock,
		IntegrationResponseKey: aws.String("$default"), TemplateSelectionExpression: aws.String("ok"), ResponseTemplates: map[string]string{"ok": "0"}})
	c.must(err)
	c.answer = answer.IntegrationResponseId
	route, err := c.api.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: c.apiID, RouteKey: aws.String("$default"),
		Target: aws.String("integrations/" + *c.mock), RouteResponseSelectionExpression: aws.String("$default")})
	c.must(err)
	_, err = c.api.CreateRouteResponse(ctx, &apigatewayv2.CreateRouteResponseInput{ApiId: c.apiID, RouteId: route.RouteId, RouteResponseKey: aws.String("$default")})
	c.must(err)
	_, err = c.api.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: c.apiID, StageName: aws.String("prod")})
	c.must(err)
	c.redeploy()
	return c, "ws" + s.Endpoint()[len("http"):] + "/prod"
}

func (c *crowd) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// redeploy lets the API answer with the next version.
func (c *crowd) redeploy() {
	c.t.Helper()
	next := c.version.Load() + 1
	_, err := c.api.UpdateIntegrationResponse(c.t.Context(), &apigatewayv2.UpdateIntegrationResponseInput{ApiId: c.apiID, IntegrationId: c.mock, IntegrationResponseId: c.answer,
		ResponseTemplates: map[string]string{"ok": strconv.FormatInt(next, 10)}})
	c.must(err)
	_, err = c.api.CreateDeployment(c.t.Context(), &apigatewayv2.CreateDeploymentInput{ApiId: c.apiID, StageName: aws.String("prod")})
	c.must(err)
	c.version.Store(next)
}

// talk is one client, until stop is closed.
func (c *crowd) talk(ws *client.WebSocket, phase time.Duration, stop <-chan struct{}) {
	select {
	case <-time.After(phase):
	case <-stop:
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		least, sent := c.version.Load(), time.Now()
		err := ws.Send([]byte(`{"action":"hello"}`))
		var answer []byte
		if err == nil {
			answer, err = ws.Receive()
		}
		if err != nil {
			c.dropped.Add(1)
			return
		}
		if got, err := strconv.ParseInt(string(answer), 10, 64); err != nil || got < least {
			c.stale.Add(1)
		}
		took := time.Since(sent)
		c.mu.Lock()
		c.latencies = append(c.latencies, took)
		c.mu.Unlock()
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// phase returns what answers took since the last call: the 99.9th percentile and
// the longest.
func (c *crowd) phase() (tail, most time.Duration, count int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.latencies)
	if count = len(c.latencies); count > 0 {
		tail, most = c.latencies[count*999/1000], c.latencies[count-1]
	}
	c.latencies = nil
	return tail, most, count
}

// A redeployment drops no client and loses no message, and what is sent after it
// returned is served by it. TIDEGATE_REDEPLOY_CLIENTS sets how many clients there
// are; what answers took is logged.
func TestRedeployUnderLoad(t *testing.T) {
	clients, length := 300, 2*time.Second
	if text := os.Getenv("TIDEGATE_REDEPLOY_CLIENTS"); text != "" {
		var err error
		if clients, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		length = 10 * time.Second
	}
	c, url := newCrowd(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range clients {
		ws, err := client.Dial(t.Context(), url, client.DialOptions{})
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		defer ws.Close()
		if clients > 400 {
			time.Sleep(2500 * time.Microsecond) // AWS lets 500 in a second
		}
		wg.Go(func() { c.talk(ws, time.Duration(i)*time.Second/time.Duration(clients), stop) })
	}
	time.Sleep(2 * time.Second) // all have begun
	c.phase()
	time.Sleep(length)
	tail, most, count := c.phase()
	t.Logf("%d clients, at rest: %d answers, 99.9%% within %v, all within %v", clients, count, tail, most)
	const times = 10
	for range times {
		c.redeploy()
		time.Sleep(length / times)
	}
	tail, most, count = c.phase()
	t.Logf("%d clients, %d redeployments: %d answers, 99.9%% within %v, all within %v", clients, times, count, tail, most)
	close(stop)
	wg.Wait()
	if dropped, stale := c.dropped.Load(), c.stale.Load(); dropped != 0 || stale != 0 || count < clients {
		t.Errorf("%d clients lost, %d answers of an older deployment, %d answers in all", dropped, stale, count)
	}
}
