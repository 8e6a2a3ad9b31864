package apigw

import "time"

// AWS's quotas for WebSocket APIs, which mode aws holds to.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	MaxFrame              = 32 << 10  // bytes of one frame, in and out
	MaxMessage            = 128 << 10 // bytes of one message, in and out
	IdleTimeout           = 10 * time.Minute
	ConnectionLifetime    = 2 * time.Hour
	MinIntegrationTimeout = 50 * time.Millisecond
	MaxIntegrationTimeout = 29 * time.Second
	MaxRoutes             = 300       // an API
	MaxIntegrations       = 300       // an API
	MaxAuthorizers        = 10        // an API
	MaxAuthorizerResult   = 8 << 10   // bytes of what an authorizer returns
	MaxAuthorizerResource = 512       // characters of a resource in an authorizer's policy
	MaxStages             = 10        // an API
	MaxStageVariables     = 100       // a stage
	MaxTemplate           = 300 << 10 // bytes of a mapping template
	MaxModels             = 300       // an API; AWS documents no number for WebSocket APIs
	MaxModel              = 400 << 10 // bytes of a model's schema
	MaxAPIKeys            = 10000     // an account
	MaxUsagePlans         = 300       // an account
	MaxPlansPerKey        = 10        // an API key
	MaxAPIs               = 600       // a region
	MaxTags               = 50        // a resource
)

// Bounds that are Tidegate's own: how many messages may be on their way to
// backends before reads pause.
const (
	MaxInFlightConnection  = 16
	MaxInFlightIntegration = 1024
	MaxInFlightProcess     = 16384
)
