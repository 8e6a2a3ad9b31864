// Package mapping builds what a backend receives from what a client sent:
// parameters, such as integration.request.header.id from context.connectionId,
// and bodies by mapping templates.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
package mapping

import (
	"maps"
	"slices"

	"tidegate/internal/event"
)

// Input is what mappings read.
type Input struct {
	Context *event.Context
	Connect *event.ConnectRequest // the handshake, on $connect only
	Body    []byte                // the message, or in a response template the backend's body
}

// SubstituteStageVariables replaces each ${stageVariables.NAME} in an
// integration's URI. See event.SubstituteStageVariables.
func SubstituteStageVariables(uri string, vars map[string]string) string {
	return event.SubstituteStageVariables(uri, vars)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
