package apigw

import "time"

// A VPCLink is a way into a private network. On AWS one of version 2 serves HTTP
// APIs; here it is a record, since every address is reached in the same way.
type VPCLink struct {
	ID               string
	Name             string
	SubnetIDs        []string
	SecurityGroupIDs []string
	Tags             map[string]string
	Created          time.Time
}
