package stack

// The types of IAM. Source: the CloudFormation reference of AWS::IAM.

var iamTypes = map[string]*resourceType{
	"AWS::IAM::Role": {
		name:         "AWS::IAM::Role",
		attributes:   []string{"Arn", "RoleId"},
		nameProperty: "RoleName",
		nameLimit:    64,
		properties: map[string]property{
			"AssumeRolePolicyDocument": required(property{form: aDocument}),
			"Description":              textProperty,
			"ManagedPolicyArns":        {form: texts},
			"MaxSessionDuration":       noEffect(anInteger, "a function's keys don't expire"),
			"Path":                     replaces(textProperty),
			"PermissionsBoundary":      notBuilt(aText),
			"Policies": fields(objects, map[string]property{
				"PolicyDocument": required(property{form: aDocument}),
				"PolicyName":     required(textProperty),
			}),
			"RoleName": replaces(textProperty),
			"Tags":     {form: tagList},
		},
	},
	"AWS::IAM::Policy": {
		name: "AWS::IAM::Policy",
		properties: map[string]property{
			"Groups":         {form: texts, notBuilt: "is not built yet: there are roles, no groups"},
			"PolicyDocument": required(property{form: aDocument}),
			"PolicyName":     required(replaces(textProperty)),
			"Roles":          required(property{form: texts}),
			"Users":          {form: texts, notBuilt: "is not built yet: there are roles, no users"},
		},
	},
}
