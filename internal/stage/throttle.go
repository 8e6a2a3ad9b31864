package stage

import (
	"tidegate/internal/apigw"
	"tidegate/internal/throttle"
)

// newThrottle returns the bucket of the settings, or nil when they set neither
// rate nor burst: then the account's alone holds. Where they set one, the account's
// fills in the other. A zero rejects everything, as on AWS.
func newThrottle(s apigw.RouteSettings) *throttle.Bucket {
	if s.ThrottlingRateLimit == nil && s.ThrottlingBurstLimit == nil {
		return nil
	}
	rate, burst := float64(apigw.AccountRate), apigw.AccountBurst
	if s.ThrottlingRateLimit != nil {
		rate = *s.ThrottlingRateLimit
	}
	if s.ThrottlingBurstLimit != nil {
		burst = *s.ThrottlingBurstLimit
	}
	return throttle.New(rate, burst)
}
