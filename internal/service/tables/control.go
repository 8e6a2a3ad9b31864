package tables

import (
	"net/http"
	"slices"
	"strings"

	"tidegate/internal/awshttp"
)

// named finds the table that a control request names, by name or ARN, and asks
// whether the caller may.
func (s *Service) named(c *awshttp.Call, operation string, ref *string) (string, *table, error) {
	if ref == nil {
		return "", nil, invalid("The parameter 'TableName' is required but was not present in the request")
	}
	name, ok := s.nameOf(*ref)
	if !ok {
		name = *ref
		var list constraints
		if strings.HasPrefix(name, "arn:") {
			return "", nil, namedTableNotFound(name)
		}
		if list.checkName(name, "tableName"); len(list) > 0 {
			return "", nil, list.err()
		}
	}
	if err := s.authorize(c, operation, s.arn(name)); err != nil {
		return "", nil, err
	}
	return name, s.lookup(name), nil
}

func (s *Service) describeTable(c *awshttp.Call) (any, error) {
	var in struct{ TableName *string }
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	name, t, err := s.named(c, "DescribeTable", in.TableName)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, namedTableNotFound(name)
	}
	return map[string]any{"Table": t.describe()}, nil
}

func (s *Service) deleteTable(c *awshttp.Call) (any, error) {
	var in struct{ TableName *string }
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	name, _, err := s.named(c, "DeleteTable", in.TableName)
	if err != nil {
		return nil, err
	}
	t, err := s.dropTable(name)
	if err != nil {
		return nil, err
	}
	d := t.describe()
	return map[string]any{"TableDescription": &description{
		TableName: d.TableName, TableStatus: "DELETING", ProvisionedThroughput: d.ProvisionedThroughput, BillingModeSummary: d.BillingModeSummary,
		TableSizeBytes: d.TableSizeBytes, ItemCount: d.ItemCount, TableArn: d.TableArn, TableId: d.TableId,
	}}, nil
}

func (s *Service) listTables(c *awshttp.Call) (any, error) {
	var in struct {
		ExclusiveStartTableName *string
		Limit                   *int
	}
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	var list constraints
	if in.ExclusiveStartTableName != nil {
		list.checkName(*in.ExclusiveStartTableName, "exclusiveStartTableName")
	}
	limit := 100
	if in.Limit != nil {
		if limit = *in.Limit; limit < 1 {
			list.add("Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", limit)
		} else if limit > 100 {
			list.add("Value '%d' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100", limit)
		}
	}
	if err := list.err(); err != nil {
		return nil, err
	}
	if err := s.authorize(c, "ListTables", s.arn("*")); err != nil {
		return nil, err
	}
	s.mu.RLock()
	names := make([]string, 0, len(s.tables))
	for n := range s.tables {
		if in.ExclusiveStartTableName == nil || n > *in.ExclusiveStartTableName {
			names = append(names, n)
		}
	}
	s.mu.RUnlock()
	slices.Sort(names)
	out := map[string]any{}
	if len(names) > limit {
		names = names[:limit]
		out["LastEvaluatedTableName"] = names[limit-1]
	}
	out["TableNames"] = names
	return out, nil
}

// describeLimits answers with the quotas of a new account; none is enforced.
func (s *Service) describeLimits(c *awshttp.Call) (any, error) {
	if err := s.authorize(c, "DescribeLimits", "*"); err != nil {
		return nil, err
	}
	return map[string]int{
		"AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000,
		"TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000,
	}, nil
}

// describeEndpoints answers with the address the caller used.
func (s *Service) describeEndpoints(c *awshttp.Call) (any, error) {
	if err := s.authorize(c, "DescribeEndpoints", "*"); err != nil {
		return nil, err
	}
	return map[string]any{"Endpoints": []map[string]any{{"Address": c.Request.Host, "CachePeriodInMinutes": 1440}}}, nil
}

func badARN(ref string) error {
	return invalid("Invalid TableArn: Invalid ResourceArn provided as input " + ref)
}

// resource finds the table of a tagging call by its ARN. nothing, when not
// empty, refuses a call without tags, which comes before the table's lookup.
func (s *Service) resource(c *awshttp.Call, operation string, ref *string, nothing string) (*table, error) {
	if ref == nil {
		return nil, invalid("Invalid TableArn")
	}
	name, ok := s.nameOf(*ref)
	if !ok {
		if strings.HasPrefix(*ref, "arn:aws:dynamodb:") && !strings.HasPrefix(*ref, s.arnPrefix()) { // another account's or region's
			return nil, &awshttp.Error{Code: codeAccessDenied, Status: http.StatusBadRequest, MessageKey: "Message",
				Message: "User: " + c.Principal.ARN + " is not authorized to perform: dynamodb:" + operation + " on resource: " + *ref}
		}
		return nil, badARN(*ref)
	}
	if len(name) < 3 {
		return nil, badARN(*ref)
	}
	if err := s.authorize(c, operation, s.arn(name)); err != nil {
		return nil, err
	}
	if nothing != "" {
		return nil, invalid(nothing)
	}
	t := s.lookup(name)
	if t == nil {
		return nil, &awshttp.Error{Code: codeNotFound, Status: http.StatusBadRequest, Message: "Requested resource not found: ResourcArn: " + *ref + " not found"}
	}
	return t, nil
}

const maxTags = 50

func checkTags(tags []tag) error {
	seen := map[string]bool{}
	for _, g := range tags {
		switch {
		case g.Key == "" || len(g.Key) > 512 || len(g.Value) > 1024:
			return invalid("a tag's key has 1 to 128 characters, its value at most 256")
		case strings.HasPrefix(g.Key, "aws:"):
			return invalid("a tag's key can't begin with aws:")
		case seen[g.Key]:
			return invalid("Duplicate tag key: " + g.Key)
		}
		seen[g.Key] = true
	}
	if len(tags) > maxTags {
		return &awshttp.Error{Code: codeLimit, Status: http.StatusBadRequest, Message: "Too many tags: a table has at most 50"}
	}
	return nil
}

func (s *Service) tagResource(c *awshttp.Call) (any, error) {
	var in struct {
		ResourceArn *string
		Tags        []tag
	}
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	if in.ResourceArn != nil && in.Tags == nil {
		return nil, invalid("1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null")
	}
	nothing := ""
	if len(in.Tags) == 0 {
		nothing = "Atleast one Tag needs to be provided as Input."
	}
	t, err := s.resource(c, "TagResource", in.ResourceArn, nothing)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return nil, s.alter(t, func() error {
		tags := slices.Clone(t.tags)
		for _, g := range in.Tags {
			tags = append(slices.DeleteFunc(tags, func(o tag) bool { return o.Key == g.Key }), g)
		}
		if err := checkTags(tags); err != nil {
			return err
		}
		t.tags = tags
		return nil
	})
}

func (s *Service) untagResource(c *awshttp.Call) (any, error) {
	var in struct {
		ResourceArn *string
		TagKeys     []string
	}
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	if in.ResourceArn != nil && in.TagKeys == nil {
		return nil, invalid("1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null")
	}
	nothing := ""
	if len(in.TagKeys) == 0 {
		nothing = "Atleast one Tag Key needs to be provided as Input."
	}
	t, err := s.resource(c, "UntagResource", in.ResourceArn, nothing)
	if err != nil {
		return nil, err
	}
	return nil, s.alter(t, func() error {
		t.tags = slices.DeleteFunc(slices.Clone(t.tags), func(o tag) bool { return slices.Contains(in.TagKeys, o.Key) })
		return nil
	})
}

func (s *Service) listTagsOfResource(c *awshttp.Call) (any, error) {
	var in struct {
		ResourceArn *string
		NextToken   *string
	}
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	t, err := s.resource(c, "ListTagsOfResource", in.ResourceArn, "")
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		return nil, invalid("Invalid NextToken") // all tags fit one answer, which gave none
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return map[string]any{"Tags": append([]tag{}, t.tags...)}, nil
}

// alter changes the table beside its items, durably; change runs under its
// lock.
func (s *Service) alter(t *table, change func() error) error {
	t.mu.Lock()
	if t.dropped {
		t.mu.Unlock()
		return tableNotFound()
	}
	err := s.store.usable()
	if err == nil {
		err = change()
	}
	var data []byte
	if err == nil {
		data, err = t.stored()
	}
	if err != nil {
		t.mu.Unlock()
		return err
	}
	c := s.store.append(record{kind: recordTable, table: t.desc.TableId, data: data})
	t.mu.Unlock()
	return c.wait()
}
