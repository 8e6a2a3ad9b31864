package functions

// Programs in testdata, which go mod tidy doesn't look at, need the module.
import _ "github.com/aws/aws-lambda-go/lambdacontext"
