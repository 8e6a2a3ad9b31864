package tables

import (
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"tidegate/internal/awshttp"
)

// maxRequest is the largest request that DynamoDB takes: 16 MB, a full
// BatchWriteItem.
const maxRequest = 16 << 20

// laterOperations are those of DynamoDB that Tidegate lacks; each is refused by
// name.
var laterOperations = []string{
	"BatchExecuteStatement", "CreateBackup", "CreateGlobalTable", "DeleteBackup", "DeleteResourcePolicy", "DescribeBackup",
	"DescribeContributorInsights", "DescribeExport", "DescribeGlobalTable",
	"DescribeGlobalTableSettings", "DescribeImport", "DescribeKinesisStreamingDestination",
	"DescribeTableReplicaAutoScaling", "DisableKinesisStreamingDestination", "EnableKinesisStreamingDestination",
	"ExecuteStatement", "ExecuteTransaction", "ExportTableToPointInTime", "GetResourcePolicy", "ImportTable", "ListBackups",
	"ListContributorInsights", "ListExports", "ListGlobalTables", "ListImports", "PutResourcePolicy",
	"RestoreTableFromBackup", "RestoreTableToPointInTime",
	"UpdateContributorInsights", "UpdateGlobalTable", "UpdateGlobalTableSettings",
	"UpdateKinesisStreamingDestination", "UpdateTableReplicaAutoScaling",
}

// HasOperation says that DynamoDB's API has an operation of this name.
func (s *Service) HasOperation(name string) bool { return s.names[name] }

// routes builds the protocol's handler.
func (s *Service) routes() http.Handler {
	ops := map[string]awshttp.HandlerFunc{
		"CreateTable":        s.createTable,
		"DescribeTable":      s.describeTable,
		"ListTables":         s.listTables,
		"DeleteTable":        s.deleteTable,
		"UpdateTable":        s.updateTable,
		"PutItem":            s.putItem,
		"GetItem":            s.getItem,
		"UpdateItem":         s.updateItem,
		"DeleteItem":         s.deleteItem,
		"Query":              s.query,
		"Scan":               s.scan,
		"BatchGetItem":       s.batchGetItem,
		"BatchWriteItem":     s.batchWriteItem,
		"TransactGetItems":   s.transactGetItems,
		"TransactWriteItems": s.transactWriteItems,
		"TagResource":        s.tagResource,
		"UntagResource":      s.untagResource,
		"ListTagsOfResource": s.listTagsOfResource,
		"UpdateTimeToLive":   s.updateTimeToLive,
		"DescribeTimeToLive": s.describeTimeToLive,
		"DescribeLimits":     s.describeLimits,
		"DescribeEndpoints":  s.describeEndpoints,

		"DescribeContinuousBackups": s.describeContinuousBackups,
		"UpdateContinuousBackups":   s.updateContinuousBackups,
	}
	for _, name := range laterOperations {
		ops[name] = func(*awshttp.Call) (any, error) { return nil, unsupported("the operation " + name) }
	}
	for name, sh := range requestShapes() {
		ops[name] = shaped(ops[name], sh)
	}
	s.names = map[string]bool{}
	for name := range ops {
		s.names[name] = true
	}
	p := awshttp.Protocol{Gate: s.gate, Service: "dynamodb", MaxBody: maxRequest}
	inner := p.JSON("1.0", "DynamoDB_20120810", namespace, ops)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(&checksumWriter{ResponseWriter: w, plain: isPlainJSON(r.Header.Get("Content-Type"))}, r)
	})
}

// isPlainJSON tells whether the content type is application/json, with or
// without parameters: DynamoDB takes it for its own and answers in kind.
func isPlainJSON(contentType string) bool {
	name, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(name), "application/json")
}

// A checksumWriter adds what every answer of DynamoDB has: the CRC-32 of its
// body, which the SDKs check. It also turns 403 into DynamoDB's 400 (API
// reference, "Common errors") and answers application/json with the same.
type checksumWriter struct {
	http.ResponseWriter
	status int
	plain  bool // the request is application/json
}

// WriteHeader only notes the status: the header needs the body.
func (w *checksumWriter) WriteHeader(status int) { w.status = status }

// Write sends the whole body.
func (w *checksumWriter) Write(b []byte) (int, error) {
	if w.status != 0 {
		if w.status == http.StatusForbidden {
			w.status = http.StatusBadRequest
		}
		if w.plain {
			w.Header().Set("Content-Type", "application/json")
		}
		w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10))
		w.ResponseWriter.WriteHeader(w.status)
		w.status = 0
	}
	return w.ResponseWriter.Write(b)
}

// raw is an answer that is JSON already.
func raw(b []byte) *awshttp.Response { return &awshttp.Response{Raw: b} }
