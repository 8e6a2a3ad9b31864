package identity

import (
	"net/http"

	"tidegate/internal/awshttp"
)

// maxRequest bounds a request's body: a policy of 128 KiB, percent-encoded, and
// what stands around it.
const maxRequest = 512 << 10

// Handlers returns the service's two faces by signing name, "iam" and "sts".
// gate is the one whose Identities the service is.
func (s *Service) Handlers(gate *awshttp.Gate) map[string]http.Handler {
	iam := awshttp.Protocol{Gate: gate, Service: "iam", MaxBody: maxRequest, InternalCode: "ServiceFailure"}
	sts := awshttp.Protocol{Gate: gate, Service: "sts", MaxBody: maxRequest, InternalCode: "InternalFailure"}
	return map[string]http.Handler{
		"iam": iam.Query("https://iam.amazonaws.com/doc/2010-05-08/", s.iamOperations()),
		"sts": sts.Query("https://sts.amazonaws.com/doc/2011-06-15/", s.stsOperations(gate)),
	}
}
