package tables

import (
	"encoding/base64"
	"strings"

	"tidegate/internal/awshttp"
)

// A shape is the type of a request or of a part of one, as far as DynamoDB's
// deserializer checks it before anything else: it reads the request from left to
// right and stops at the first value of the wrong type. Here requests are read
// straight into what they are for, and only one that was refused is held
// against its shape.
type shape struct {
	kind shapeKind
	// java is the type's name in messages.
	java    string
	element *shape            // of lists and maps
	members map[string]*shape // of structures; others are skipped
}

type shapeKind byte

const (
	shapeString shapeKind = iota
	shapeBoolean
	shapeNumber
	shapeBlob
	shapeList
	shapeMap
	shapeStruct
)

var (
	stringShape  = &shape{kind: shapeString, java: "java.lang.String"}
	booleanShape = &shape{kind: shapeBoolean, java: "java.lang.Boolean"}
	integerShape = &shape{kind: shapeNumber, java: "java.lang.Integer"}
	longShape    = &shape{kind: shapeNumber, java: "java.lang.Long"}
	blobShape    = &shape{kind: shapeBlob, java: "java.nio.ByteBuffer"}
)

func listOf(e *shape) *shape {
	return &shape{kind: shapeList, java: "java.util.List<" + e.java + ">", element: e}
}

func mapOf(e *shape) *shape {
	return &shape{kind: shapeMap, java: "java.util.Map<java.lang.String, " + e.java + ">", element: e}
}

// structOf is the structure that DynamoDB's model has under the name.
func structOf(name string, members map[string]*shape) *shape {
	return &shape{kind: shapeStruct, java: namespace + "." + name, members: members}
}

// with returns the members of both; those of m aren't changed.
func with(m map[string]*shape, of *shape, names ...string) map[string]*shape {
	out := map[string]*shape{}
	for name, sh := range m {
		out[name] = sh
	}
	for _, name := range names {
		out[name] = of
	}
	return out
}

// requestShapes are the shapes of the operations' requests.
func requestShapes() map[string]*shape {
	value := structOf("AttributeValue", map[string]*shape{
		"S": stringShape, "N": stringShape, "B": blobShape, "BOOL": booleanShape, "NULL": booleanShape,
		"SS": listOf(stringShape), "NS": listOf(stringShape), "BS": listOf(blobShape),
	})
	value.members["L"], value.members["M"] = listOf(value), mapOf(value)
	item, names := mapOf(value), mapOf(stringShape)
	condition := map[string]*shape{"AttributeValueList": listOf(value), "ComparisonOperator": stringShape}
	expected := mapOf(structOf("ExpectedAttributeValue", with(with(condition, value, "Value"), booleanShape, "Exists")))
	conditions := mapOf(structOf("Condition", condition))
	updates := mapOf(structOf("AttributeValueUpdate", map[string]*shape{"Action": stringShape, "Value": value}))

	action := with(map[string]*shape{"ExpressionAttributeNames": names, "ExpressionAttributeValues": item},
		stringShape, "TableName", "ConditionExpression", "ReturnValuesOnConditionCheckFailure")
	write := with(with(action, expected, "Expected"), stringShape, "ReturnValues", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "ConditionalOperator")
	read := with(map[string]*shape{"ExpressionAttributeNames": names, "ConsistentRead": booleanShape, "AttributesToGet": listOf(stringShape)},
		stringShape, "TableName", "ProjectionExpression", "ReturnConsumedCapacity")
	page := with(with(with(read, integerShape, "Limit"), item, "ExclusiveStartKey", "ExpressionAttributeValues"),
		stringShape, "IndexName", "FilterExpression", "Select", "ConditionalOperator")
	updateItem := with(with(with(write, item, "Key"), updates, "AttributeUpdates"), stringShape, "UpdateExpression")
	inTransaction := func(name string, more map[string]*shape) *shape { return structOf(name, more) }
	transactWrite := structOf("TransactWriteItem", map[string]*shape{
		"Put":            inTransaction("Put", with(action, item, "Item")),
		"Update":         inTransaction("Update", with(with(action, item, "Key"), stringShape, "UpdateExpression")),
		"Delete":         inTransaction("Delete", with(action, item, "Key")),
		"ConditionCheck": inTransaction("ConditionCheck", with(action, item, "Key")),
	})
	transactGet := structOf("TransactGetItem", map[string]*shape{"Get": structOf("Get", map[string]*shape{
		"TableName": stringShape, "ProjectionExpression": stringShape, "Key": item, "ExpressionAttributeNames": names,
	})})
	writeRequest := structOf("WriteRequest", map[string]*shape{
		"PutRequest":    structOf("PutRequest", map[string]*shape{"Item": item}),
		"DeleteRequest": structOf("DeleteRequest", map[string]*shape{"Key": item}),
	})
	keys := structOf("KeysAndAttributes", with(read, listOf(item), "Keys"))

	out := map[string]map[string]*shape{
		"PutItem":            with(write, item, "Item"),
		"UpdateItem":         updateItem,
		"DeleteItem":         with(write, item, "Key"),
		"GetItem":            with(read, item, "Key"),
		"Query":              with(with(with(page, conditions, "KeyConditions", "QueryFilter"), booleanShape, "ScanIndexForward"), stringShape, "KeyConditionExpression"),
		"Scan":               with(with(page, conditions, "ScanFilter"), integerShape, "Segment", "TotalSegments"),
		"BatchGetItem":       {"RequestItems": mapOf(keys), "ReturnConsumedCapacity": stringShape},
		"BatchWriteItem":     with(map[string]*shape{"RequestItems": mapOf(listOf(writeRequest))}, stringShape, "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"),
		"TransactWriteItems": with(map[string]*shape{"TransactItems": listOf(transactWrite)}, stringShape, "ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "ClientRequestToken"),
		"TransactGetItems":   {"TransactItems": listOf(transactGet), "ReturnConsumedCapacity": stringShape},
	}
	controlShapes(out)
	shapes := map[string]*shape{}
	for operation, members := range out {
		shapes[operation] = structOf(operation+"Input", members)
	}
	return shapes
}

// controlShapes adds the shapes of the operations on tables.
func controlShapes(out map[string]map[string]*shape) {
	throughput := structOf("ProvisionedThroughput", map[string]*shape{"ReadCapacityUnits": longShape, "WriteCapacityUnits": longShape})
	schema := listOf(structOf("KeySchemaElement", map[string]*shape{"AttributeName": stringShape, "KeyType": stringShape}))
	projection := structOf("Projection", map[string]*shape{"ProjectionType": stringShape, "NonKeyAttributes": listOf(stringShape)})
	index := map[string]*shape{"IndexName": stringShape, "KeySchema": schema, "Projection": projection}
	global := with(index, throughput, "ProvisionedThroughput")
	tags := listOf(structOf("Tag", map[string]*shape{"Key": stringShape, "Value": stringShape}))
	stream := structOf("StreamSpecification", map[string]*shape{"StreamEnabled": booleanShape, "StreamViewType": stringShape})
	sse := structOf("SSESpecification", map[string]*shape{"Enabled": booleanShape, "SSEType": stringShape, "KMSMasterKeyId": stringShape})
	table := with(map[string]*shape{
		"AttributeDefinitions":  listOf(structOf("AttributeDefinition", map[string]*shape{"AttributeName": stringShape, "AttributeType": stringShape})),
		"ProvisionedThroughput": throughput, "StreamSpecification": stream, "SSESpecification": sse, "DeletionProtectionEnabled": booleanShape,
	}, stringShape, "TableName", "BillingMode", "TableClass")

	create := with(with(table, schema, "KeySchema"), tags, "Tags")
	create["LocalSecondaryIndexes"] = listOf(structOf("LocalSecondaryIndex", index))
	create["GlobalSecondaryIndexes"] = listOf(structOf("GlobalSecondaryIndex", global))
	out["CreateTable"] = create
	out["UpdateTable"] = with(table, listOf(structOf("GlobalSecondaryIndexUpdate", map[string]*shape{
		"Create": structOf("CreateGlobalSecondaryIndexAction", global),
		"Update": structOf("UpdateGlobalSecondaryIndexAction", map[string]*shape{"IndexName": stringShape, "ProvisionedThroughput": throughput}),
		"Delete": structOf("DeleteGlobalSecondaryIndexAction", map[string]*shape{"IndexName": stringShape}),
	})), "GlobalSecondaryIndexUpdates")
	named := map[string]*shape{"TableName": stringShape}
	for _, operation := range []string{"DescribeTable", "DeleteTable", "DescribeTimeToLive", "DescribeContinuousBackups"} {
		out[operation] = named
	}
	out["ListTables"] = map[string]*shape{"ExclusiveStartTableName": stringShape, "Limit": integerShape}
	out["TagResource"] = map[string]*shape{"ResourceArn": stringShape, "Tags": tags}
	out["UntagResource"] = map[string]*shape{"ResourceArn": stringShape, "TagKeys": listOf(stringShape)}
	out["ListTagsOfResource"] = map[string]*shape{"ResourceArn": stringShape, "NextToken": stringShape}
	out["UpdateTimeToLive"] = with(named, structOf("TimeToLiveSpecification", map[string]*shape{"Enabled": booleanShape, "AttributeName": stringShape}), "TimeToLiveSpecification")
	out["UpdateContinuousBackups"] = with(named, structOf("PointInTimeRecoverySpecification", map[string]*shape{"PointInTimeRecoveryEnabled": booleanShape, "RecoveryPeriodInDays": integerShape}), "PointInTimeRecoverySpecification")
}

// shaped gives what fn refuses the words of DynamoDB's deserializer when the
// request isn't of the shape.
func shaped(fn awshttp.HandlerFunc, sh *shape) awshttp.HandlerFunc {
	return func(c *awshttp.Call) (any, error) {
		v, err := fn(c)
		if e, ok := err.(*awshttp.Error); ok && (e.Code == codeValidation || e.Code == codeSerialization) {
			s := &scanner{b: c.Body}
			if m, ok := s.conform(sh, false).(*awshttp.Error); ok && m.Code == codeSerialization && !s.bad {
				return nil, m
			}
		}
		return v, err
	}
}

// cast is what a list or map inside another becomes when it is neither.
const cast = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"

// conform reads a value and says what of it isn't as sh has it; inside tells
// whether it is an element of a list or map.
func (s *scanner) conform(sh *shape, inside bool) error {
	c := s.peek()
	if c == 'n' {
		return s.literal("null")
	}
	scalar := c == '"' || c == 't' || c == 'f' || c == '-' || isDigit(c)
	switch {
	case sh.kind < shapeList:
		return s.conformScalar(sh)
	case scalar && inside && sh.kind == shapeStruct:
		return serializationError("Unexpected value type in payload")
	case scalar && inside:
		return serializationError(cast)
	case scalar:
		return serializationError("Unexpected field type")
	case sh.kind == shapeList && c == '{':
		return serializationError("Start of structure or map found where not expected")
	case sh.kind == shapeMap && c == '[':
		return serializationError("Unrecognized collection type %s", sh.java)
	case sh.kind == shapeStruct && c == '[':
		return serializationError("Unrecognized collection type class %s", sh.java)
	case c == '[':
		return s.array(func(int) error { return s.conform(sh.element, true) })
	}
	return s.object(func(name string) error {
		switch m := sh.members[name]; {
		case sh.kind == shapeMap:
			return s.conform(sh.element, true)
		case m == nil:
			return s.skip()
		default:
			return s.conform(m, false)
		}
	})
}

// conformScalar is conform for what has no parts.
func (s *scanner) conformScalar(sh *shape) error {
	c := s.peek()
	name := sh.java[strings.LastIndexByte(sh.java, '.')+1:]
	const notBytes = "only base-64-encoded strings are convertible to bytes"
	switch {
	case c == '[':
		return serializationError("Unrecognized collection type class %s", sh.java)
	case c == '{':
		return serializationError("Start of structure or map found where not expected")
	case c == '"':
		text, err := s.text()
		switch {
		case err != nil:
			return err
		case sh.kind == shapeBlob:
			return checkBase64(text)
		case sh.kind == shapeBoolean:
			if _, ok := wordOf(text); !ok {
				return serializationError("Unexpected token received from parser")
			}
		case sh.kind == shapeNumber:
			return serializationError("STRING_VALUE cannot be converted to %s", name)
		}
		return nil
	case (c == 't' || c == 'f') && sh.kind == shapeBoolean, (c == '-' || isDigit(c)) && sh.kind == shapeNumber:
		return s.skip()
	case sh.kind == shapeBlob && c != 0:
		return serializationError(notBytes)
	}
	kind := "NUMBER_VALUE"
	switch c {
	case 't':
		kind = "TRUE_VALUE"
	case 'f':
		kind = "FALSE_VALUE"
	default:
		if c != '-' && !isDigit(c) {
			return s.syntax()
		}
		text, err := s.number()
		if err != nil {
			return err
		}
		if strings.ContainsAny(text, ".eE") {
			kind = "DECIMAL_VALUE"
		}
	}
	return serializationError("%s cannot be converted to %s", kind, name)
}

func checkBase64(text string) error {
	if len(text)%4 != 0 {
		return serializationError("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(text))
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(text); err != nil {
		return serializationError("Invalid last non-pad Base64 character dectected") // AWS's spelling
	}
	return nil
}

// wordOf is what a Boolean member may be as a string.
func wordOf(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true, true
	case "false", "0", "no":
		return false, true
	}
	return false, false
}

// skip reads a value that nobody wants.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func(string) error { return s.skip() })
	case c == '[':
		return s.array(func(int) error { return s.skip() })
	case c == '"':
		_, err := s.text()
		return err
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '-' || isDigit(c):
		_, err := s.number()
		return err
	}
	return s.syntax()
}
