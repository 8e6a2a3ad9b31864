package stack

// The types of DynamoDB. Source: the CloudFormation reference of
// AWS::DynamoDB::Table.

var (
	keySchema = fields(objects, map[string]property{
		"AttributeName": required(textProperty),
		"KeyType":       required(oneOf("HASH", "RANGE")),
	})
	throughput = fields(anObject, map[string]property{
		"ReadCapacityUnits":  required(integerProperty),
		"WriteCapacityUnits": required(integerProperty),
	})
	projection = fields(anObject, map[string]property{
		"NonKeyAttributes": {form: texts},
		"ProjectionType":   oneOf("ALL", "KEYS_ONLY", "INCLUDE"),
	})
)

const notMetered = "tables are as fast as the machine and cost nothing"

var dynamoDBTypes = map[string]*resourceType{
	"AWS::DynamoDB::Table": {
		name:         "AWS::DynamoDB::Table",
		attributes:   []string{"Arn"},
		nameProperty: "TableName",
		nameLimit:    255,
		properties: map[string]property{
			"AttributeDefinitions": fields(objects, map[string]property{
				"AttributeName": required(textProperty),
				"AttributeType": required(oneOf("S", "N", "B")),
			}),
			"BillingMode":                      oneOf("PAY_PER_REQUEST", "PROVISIONED"),
			"ContributorInsightsSpecification": noEffect(anyJSON, "there are no contributor insights"),
			"DeletionProtectionEnabled":        booleanProperty,
			"GlobalSecondaryIndexes": fields(objects, map[string]property{
				"ContributorInsightsSpecification": noEffect(anyJSON, "there are no contributor insights"),
				"IndexName":                        required(textProperty),
				"KeySchema":                        required(keySchema),
				"OnDemandThroughput":               noEffect(anyJSON, notMetered),
				"Projection":                       required(projection),
				"ProvisionedThroughput":            throughput,
				"WarmThroughput":                   noEffect(anyJSON, notMetered),
			}),
			"ImportSourceSpecification":  notBuilt(anyJSON),
			"KeySchema":                  required(replaces(keySchema)),
			"KinesisStreamSpecification": noEffect(anyJSON, "Tidegate has no Kinesis"),
			"LocalSecondaryIndexes": replaces(fields(objects, map[string]property{
				"IndexName":  required(textProperty),
				"KeySchema":  required(keySchema),
				"Projection": required(projection),
			})),
			"OnDemandThroughput":               noEffect(anyJSON, notMetered),
			"PointInTimeRecoverySpecification": noEffect(anyJSON, "there are no backups"),
			"ProvisionedThroughput":            throughput,
			"ResourcePolicy":                   notBuilt(anyJSON),
			"SSESpecification":                 noEffect(anyJSON, "items lie on this machine as they are"),
			"StreamSpecification":              {form: anyJSON, notBuilt: "is not built yet: tables have no streams"},
			"TableClass":                       noEffect(aText, notMetered),
			"TableName":                        replaces(textProperty),
			"Tags":                             {form: tagList},
			"TimeToLiveSpecification": fields(anObject, map[string]property{
				"AttributeName": textProperty,
				"Enabled":       required(booleanProperty),
			}),
			"WarmThroughput": noEffect(anyJSON, notMetered),
		},
	},
}
