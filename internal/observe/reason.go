package observe

// A Reason is why something was refused, dropped or ended: in the log's outcome,
// status or reason, the same word in the metrics' labels, and here what to do next.
type Reason struct {
	Name string // the constant
	Says string // what the log's why holds besides
	Next string // what to do
}

// Reasons are all of them, by where they come from.
var Reasons = []struct {
	Of   string // what ended so
	List []Reason
}{
	{"A handshake, a message or a $disconnect", []Reason{
		{"unknown-stage", "", "deploy the stage, or connect to one that is: `up` lists them"},
		{"draining", "", "connect again when it has started anew"},
		{"no-slot", "", "disconnect clients: this process holds as many as it can"},
		{"missing-parameter", "which", "send the headers or query parameters that the route's requestParameters require"},
		{"identity-missing", "which identity source", "send it in the handshake, or take it out of the authorizer's identity sources"},
		{"unauthorized", "what the function threw", "look at the authorizer's lines below the same request id"},
		{"authorizer-denied", "the statement, or what the policy allows instead", "let the policy allow execute-api:Invoke on the ARN that why names"},
		{"authorizer-failed", "the function's error", "mend the authorizer's function; its trace is below the same request id"},
		{"authorizer-answer", "what is wrong with the answer", "return principalId and a policyDocument"},
		{"unsigned", "", "sign the handshake with SigV4, in headers or in the query, for execute-api"},
		{"signature-refused", "the key, token, service, region or signature that is wrong", "sign with a key of this Tidegate: `tidegate env`"},
		{"rejected-by-backend", "the status that $connect answered", "see why $connect said no: only a 2xx lets a client in"},
		{"no-route", "the expression, its value, the routes", "send the value of a route, or add a route or $default"},
		{"no-integration", "", "give the route a Target"},
		{"invalid-api-key", "what is wrong with the key", "send an enabled key of a usage plan with this stage in x-api-key"},
		{"api-key-throttled", "", "send less, or raise the usage plan's rate and burst"},
		{"api-key-quota", "", "wait for the quota's period to end, or raise it"},
		{"throttled", "whose rate and burst: the route's or the stage's", "send less, or raise ThrottlingRateLimit and ThrottlingBurstLimit"},
		{"account-throttled", "", "send less; account_rate and account_burst are settings in --mode extended"},
		{"connection-rate", "", "connect more slowly; connection_rate is a setting in --mode extended"},
		{"misbehaving-client", "how often", "have the client wait after Too Many Requests"},
		{"integration-busy", "", "make the backend faster: it has as many messages as it may have"},
		{"invalid-body", "the model, a JSON pointer into the message, the keyword of the schema", "send what the model asks for"},
		{"unsupported-media-type", "passthroughBehavior and the templates' keys", "add a request template for the key, or $default, or let the message pass"},
		{"no-integration-response", "what the key was chosen by", "add an integration response for it, or $default"},
		{"mapping-failed", "the template, its line and column, the expression", "mend the template there"},
		{"integration-timeout", "after how long", "answer within TimeoutInMillis, 29 s at most; do the rest in another invocation"},
		{"function-error", "error type and message", "read the trace below the same request id"},
		{"malformed-response", "what is wrong with it", "return an object with statusCode and a body that is text"},
		{"invocation-refused", "Lambda's or the service's status, code and message", "give the API a permission or its role a statement, or name what exists"},
		{"backend-unreachable", "the dial, TLS or read error", "start the backend, or mend its address"},
		{"reply-too-large", "", "return message_size at most, 128 KB in mode aws; push larger things in parts"},
		{"reply-queue-full", "", "have the client read faster"},
		{"client-gone", "", "nothing: the client left before its answer"},
		{"stopped", "", "nothing: the process was told to end"},
		{"failed", "the error", "tell us: this is a fault of Tidegate's"},
	}},
	{"A request at the door", []Reason{
		{"no-such-stage", "the stages that there are", "ask one of those"},
		{"no-mapping", "the domain's mappings", "create an API mapping, or use a path that one begins"},
		{"ambiguous-stage", "the addresses to use", "put the API's id before the stage"},
		{"endpoint-disabled", "", "use the custom domain, or allow the execute-api endpoint"},
		{"wrong-host", "the host", "use localhost or an address that Tidegate listens on"},
		{"foreign-origin", "the origin", "`--allow-origin` lets a page's origin in"},
		{"cross-site", "", "`--allow-origin` lets a page's origin in"},
		{"own-path", "", "connect to a stage: /_tidegate has no WebSocket"},
		{"wrong-listener", "", "ask the listener that the answer names: `tidegate serve` has one for each"},
		{"no-tls", "", "use wss:// or https://"},
		{"url-too-long", "its size and the bound", "send less in the query"},
		{"header-too-large", "its size and the bound", "send fewer or smaller headers and cookies"},
		{"no-upgrade", "", "use a WebSocket client, or POST to @connections"},
		{"no-such-service", "the service and the variable to set", "run it elsewhere and name it in AWS_ENDPOINT_URL_SERVICE or `--fallback-endpoint`"},
		{"fallback-silent", "the error", "start what listens at the fallback endpoint"},
		{"panic", "the stack", "tell us: this is a fault of Tidegate's"},
	}},
	{"A push", []Reason{
		{"gone", "whether the client left, has not been let in yet, or never was", "forget the connection id; push after $connect has answered, not in it"},
		{"elsewhere", "the connection's stage and the call's", "use the endpoint of the connection's own stage"},
		{"queue-full", "", "push less to who reads too slowly, and try again later"},
	}},
	{"A connection", []Reason{
		{"closed-by-client", "", "nothing: the client closed it in good order"},
		{"too-many-connections", "", "disconnect others: the process has as many as it may"},
		{"handshake-timeout", "", "send the whole handshake at once"},
		{"bad-request", "what is wrong", "speak HTTP/1.1"},
		{"bad-handshake", "what is wrong", "send Sec-WebSocket-Key and -Version: 13, as every client library does"},
		{"tls-handshake", "the error", "trust the certificate: `tidegate env` names its file"},
		{"bad-response-field", "the field", "return header values without control characters"},
		{"protocol-error", "the rule of RFC 6455", "mend the client's WebSocket library"},
		{"invalid-utf8", "", "send text as UTF-8"},
		{"frame-too-big", "its size", "send frames of frame_size at most, 32 KB in mode aws: fragment larger messages"},
		{"message-too-big", "its size", "send messages of message_size at most, 128 KB in mode aws"},
		{"binary-unsupported", "", "send text: base64 what isn't"},
		{"idle", "", "send a message before idle is over, 10 minutes in mode aws; pings are none"},
		{"lifetime", "", "connect again before lifetime is over, 2 hours in mode aws"},
		{"pong-queue-full", "", "have the client read: its pings' answers pile up"},
		{"write-timeout", "", "have the client read: it took no byte in time"},
		{"close-timeout", "", "nothing: the client didn't answer the close frame"},
		{"after-close", "", "nothing: the message came after the close frame"},
		{"connection-lost", "the network's error", "nothing, unless it happens often: the client went away without a close frame"},
		{"engine-closed", "", "connect again: the process was told to end"},
		{"handler-panic", "the stack", "tell us: this is a fault of Tidegate's"},
		{"in-transit", "", "push again: the client was being handed off to another process, which took too long"},
		{"thaw-failed", "why", "connect again: the new process of a hand-off could not go on with the connection; if it says more than that a limit is lower there, tell us"},
	}},
}

// nexts are the Reasons' Next by name.
var nexts = func() map[string]string {
	m := map[string]string{}
	for _, group := range Reasons {
		for _, r := range group.List {
			m[r.Name] = r.Next
		}
	}
	return m
}()

// Next says what to do about a reason, "" when there is nothing to say of it.
func Next(reason string) string { return nexts[reason] }
