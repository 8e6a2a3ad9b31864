package apigw

import "time"

// AWS's quotas for WebSocket APIs, which mode aws holds to. docs/quotas.md says
// of each what happens there.
//
// Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html,
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const (
	MaxFrame              = 32 << 10  // bytes of one frame, in and out
	MaxMessage            = 128 << 10 // bytes of one message, in and out
	IdleTimeout           = 10 * time.Minute
	ConnectionLifetime    = 2 * time.Hour
	ConnectionRate        = 500    // new connections a second, an account and region
	AccountRate           = 10_000 // messages, handshakes and calls of @connections a second, an account and region
	AccountBurst          = 5_000  // of these at once
	MaxURL                = 4096   // bytes of a handshake's path and query
	MaxHeaderValues       = 10_240 // bytes of all of a handshake's header values
	MinIntegrationTimeout = 50 * time.Millisecond
	MaxIntegrationTimeout = 29 * time.Second
	MaxRoutes             = 300       // an API
	MaxIntegrations       = 300       // an API
	MaxAuthorizers        = 10        // an API
	MaxAuthorizerResult   = 8 << 10   // bytes of what an authorizer returns
	MaxAuthorizerResource = 512       // characters of a resource in an authorizer's policy
	MaxStages             = 10        // an API
	MaxStageVariables     = 100       // a stage
	MaxAccessLogFormat    = 3 << 10   // bytes
	MaxTemplate           = 300 << 10 // bytes of a mapping template
	MaxForeach            = 1000      // iterations of one #foreach in a mapping template (WS-05-033)
	MaxModels             = 300       // an API; AWS documents no number for WebSocket APIs
	MaxModel              = 400 << 10 // bytes of a model's schema
	MaxAPIKeys            = 10000     // an account
	MaxUsagePlans         = 300       // an account
	MaxPlansPerKey        = 10        // an API key
	MaxAPIs               = 600       // a region
	MaxDomains            = 120       // custom domain names, a region
	MaxMappings           = 200       // a custom domain name; AWS documents it for keys with '/'
	MaxTags               = 50        // a resource
)

// A client that sends this many messages in a row within RefusedWindow, each of
// them over a throttle, misbehaves and is closed with 1008. AWS documents the
// close code, and neither number: both are guesses, high enough that a client
// which is merely too fast goes on getting Too Many Requests.
const (
	MaxRefused    = 100
	RefusedWindow = 10 * time.Second
)

// Bounds that are Tidegate's own: how many messages may be on their way to
// backends before reads pause, and by how many connections they go to one of them.
const (
	MaxInFlightConnection  = 16
	MaxInFlightIntegration = 1024
	MaxInFlightProcess     = 16384
	MaxBackendConnections  = 1024
)
