package tables

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tidegate/internal/awshttp"
)

// updateTableInput is UpdateTable's request. What Tidegate can't do yet is there
// to be refused by name.
type updateTableInput struct {
	TableName                   *string
	AttributeDefinitions        []attributeDefinition
	BillingMode                 string
	ProvisionedThroughput       *throughput
	GlobalSecondaryIndexUpdates []indexUpdate
	DeletionProtectionEnabled   *bool
	TableClass                  string
	SSESpecification            *sseSpecification
	OnDemandThroughput          json.RawMessage // no effect here, as in CreateTable
	WarmThroughput              json.RawMessage
	StreamSpecification         *streamSpecification
	ReplicaUpdates              json.RawMessage
	MultiRegionConsistency      json.RawMessage
	GlobalTableWitnessUpdates   json.RawMessage
	GlobalTableSettings         json.RawMessage `json:"GlobalTableSettingsReplicationMode"`
}

// An indexUpdate is an entry of GlobalSecondaryIndexUpdates, of which one member
// is given.
type indexUpdate struct {
	Create *indexInput
	Update *struct {
		IndexName             *string
		ProvisionedThroughput *throughput
		OnDemandThroughput    json.RawMessage
		WarmThroughput        json.RawMessage
	}
	Delete *struct{ IndexName *string }
}

func (u *indexUpdate) name() string {
	switch {
	case u.Create != nil:
		return *u.Create.IndexName
	case u.Update != nil:
		return *u.Update.IndexName
	}
	return *u.Delete.IndexName
}

// check is the first look: shapes and enums, all at once.
func (in *updateTableInput) check() error {
	var c constraints
	c.enum(in.BillingMode, "billingMode", "PROVISIONED, PAY_PER_REQUEST", "PROVISIONED", "PAY_PER_REQUEST")
	c.enum(in.TableClass, "tableClass", "STANDARD, STANDARD_INFREQUENT_ACCESS", "STANDARD", "STANDARD_INFREQUENT_ACCESS")
	for i, a := range in.AttributeDefinitions {
		c.enum(a.AttributeType, fmt.Sprintf("attributeDefinitions.%d.member.attributeType", i+1), "B, N, S", "B", "N", "S")
	}
	if in.ProvisionedThroughput != nil {
		c.checkThroughput(in.ProvisionedThroughput, "provisionedThroughput")
	}
	c.checkStream(in.StreamSpecification)
	for i, u := range in.GlobalSecondaryIndexUpdates {
		at := fmt.Sprintf("globalSecondaryIndexUpdates.%d.member.", i+1)
		if x := u.Create; x != nil {
			c.checkIndex(*x, at+"create.", maxKeyAttributes)
			if x.ProvisionedThroughput != nil {
				c.checkThroughput(x.ProvisionedThroughput, at+"create.provisionedThroughput")
			}
		}
		if x := u.Update; x != nil {
			c.checkIndexName(x.IndexName, at+"update.")
			if x.ProvisionedThroughput != nil {
				c.checkThroughput(x.ProvisionedThroughput, at+"update.provisionedThroughput")
			}
		}
		if x := u.Delete; x != nil {
			c.checkIndexName(x.IndexName, at+"delete.")
		}
	}
	slices.Sort(c)
	if err := c.err(); err != nil {
		return err
	}
	return in.checkUpdates()
}

// checkUpdates checks what can be known without the table.
func (in *updateTableInput) checkUpdates() error {
	for name, given := range map[string]bool{
		"ReplicaUpdates (global tables)":     in.ReplicaUpdates != nil,
		"MultiRegionConsistency":             in.MultiRegionConsistency != nil,
		"GlobalTableWitnessUpdates":          in.GlobalTableWitnessUpdates != nil,
		"GlobalTableSettingsReplicationMode": in.GlobalTableSettings != nil,
	} {
		if given {
			return unsupported("the parameter " + name + " of UpdateTable")
		}
	}
	if in.ProvisionedThroughput == nil && in.BillingMode == "" && len(in.GlobalSecondaryIndexUpdates) == 0 && in.SSESpecification == nil &&
		in.DeletionProtectionEnabled == nil && in.TableClass == "" && in.OnDemandThroughput == nil && in.WarmThroughput == nil && in.StreamSpecification == nil {
		return invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	if in.BillingMode == "PROVISIONED" && in.ProvisionedThroughput == nil {
		return badParameter("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	}
	seen := map[string]bool{}
	online := 0
	for _, u := range in.GlobalSecondaryIndexUpdates {
		given := 0
		for _, is := range []bool{u.Create != nil, u.Update != nil, u.Delete != nil} {
			if is {
				given++
			}
		}
		switch {
		case given == 0:
			return badParameter("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null")
		case given > 1:
			return badParameter("Only one of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete may be given")
		case seen[u.name()]:
			return badParameter("Only one global secondary index update per index is allowed simultaneously. Index: %s", u.name())
		}
		seen[u.name()] = true
		if u.Update == nil {
			online++
		}
	}
	if online > 1 {
		return &awshttp.Error{Code: codeLimit, Status: http.StatusBadRequest, Message: "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"}
	}
	return nil
}

// updateTable changes a table, at once; the answer says UPDATING, as DynamoDB's
// does.
func (s *Service) updateTable(c *awshttp.Call) (any, error) {
	var in updateTableInput
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	name, t, err := s.named(c, "UpdateTable", in.TableName)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if t == nil {
		return nil, namedTableNotFound(name)
	}
	err = s.alter(t, func() error {
		d, err := in.apply(t.desc, epoch{s.clock.Now()})
		if err != nil {
			return err
		}
		t.adopt(d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := t.describe()
	out.TableStatus = "UPDATING"
	for _, u := range in.GlobalSecondaryIndexUpdates {
		for i := range out.GlobalSecondaryIndexes {
			if x := &out.GlobalSecondaryIndexes[i]; x.IndexName == u.name() {
				if x.IndexStatus = "UPDATING"; u.Create != nil {
					x.IndexStatus = "CREATING"
				}
			}
		}
	}
	return map[string]any{"TableDescription": out}, nil
}

// apply returns the description as the request makes it; d stays as it is.
func (in *updateTableInput) apply(d *description, now epoch) (*description, error) {
	out := *d
	out.AttributeDefinitions = slices.Clone(d.AttributeDefinitions)
	out.GlobalSecondaryIndexes = slices.Clone(d.GlobalSecondaryIndexes)
	if err := in.applyBilling(&out, now); err != nil {
		return nil, err
	}
	for _, u := range in.GlobalSecondaryIndexUpdates {
		if err := in.applyIndex(&out, u); err != nil {
			return nil, err
		}
	}
	out.dropUnusedDefinitions()
	if err := in.applyStream(&out, now); err != nil {
		return nil, err
	}
	if in.DeletionProtectionEnabled != nil {
		out.DeletionProtectionEnabled = *in.DeletionProtectionEnabled
	}
	if in.TableClass != "" {
		out.TableClassSummary = &tableClassSummary{in.TableClass}
	}
	if e := in.SSESpecification; e != nil {
		if out.SSEDescription = nil; e.Enabled {
			out.SSEDescription = &sseDescription{Status: "ENABLED", SSEType: "KMS", KMSMasterKeyArn: e.KMSMasterKeyId}
		}
	}
	return &out, nil
}

// onDemand tells whether the table is paid by the request.
func (d *description) onDemand() bool {
	return d.BillingModeSummary != nil && d.BillingModeSummary.BillingMode == "PAY_PER_REQUEST"
}

// applyBilling changes the billing mode and the throughput of the table and of
// the indexes that are there.
func (in *updateTableInput) applyBilling(d *description, now epoch) error {
	was := d.onDemand()
	will := in.BillingMode == "PAY_PER_REQUEST" || in.BillingMode == "" && was
	t := in.ProvisionedThroughput
	switch {
	case will && t != nil:
		return badParameter("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case will && !was:
		d.BillingModeSummary = &billingModeSummary{BillingMode: "PAY_PER_REQUEST", LastUpdateToPayPerRequestDateTime: now}
		d.ProvisionedThroughput = throughputDescription{}
		d.WarmThroughput = &warmThroughput{12000, 4000, "ACTIVE"}
		for i := range d.GlobalSecondaryIndexes {
			if err := d.GlobalSecondaryIndexes[i].provision(nil, true, d.WarmThroughput); err != nil {
				return err
			}
		}
	case t != nil:
		have := d.ProvisionedThroughput
		if !was && have.ReadCapacityUnits == *t.ReadCapacityUnits && have.WriteCapacityUnits == *t.WriteCapacityUnits {
			return invalidf("The provisioned throughput for the table will not change. The requested value equals the current value. "+
				"Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. "+
				"Current WriteCapacityUnits provisioned for the table: %d. Requested WriteCapacityUnits: %d. "+
				"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
				have.ReadCapacityUnits, *t.ReadCapacityUnits, have.WriteCapacityUnits, *t.WriteCapacityUnits)
		}
		d.ProvisionedThroughput = throughputDescription{0, *t.ReadCapacityUnits, *t.WriteCapacityUnits}
		d.WarmThroughput = &warmThroughput{*t.ReadCapacityUnits, *t.WriteCapacityUnits, "ACTIVE"}
		if was {
			summary := *d.BillingModeSummary
			summary.BillingMode = "PROVISIONED"
			d.BillingModeSummary = &summary
			return in.provisionAll(d)
		}
	}
	return nil
}

// provisionAll refuses a move to PROVISIONED that leaves an index without
// throughput.
func (in *updateTableInput) provisionAll(d *description) error {
	given := map[string]bool{}
	for _, u := range in.GlobalSecondaryIndexUpdates {
		given[u.name()] = u.Delete != nil || u.Update != nil && u.Update.ProvisionedThroughput != nil
	}
	var missing []string
	for _, x := range d.GlobalSecondaryIndexes {
		if !given[x.IndexName] {
			missing = append(missing, x.IndexName)
		}
	}
	if missing != nil {
		return badParameter("ProvisionedThroughput must be specified for index: %s", strings.Join(missing, ","))
	}
	return nil
}

// applyIndex makes, changes or deletes a global index.
func (in *updateTableInput) applyIndex(d *description, u indexUpdate) error {
	at := slices.IndexFunc(d.GlobalSecondaryIndexes, func(x indexDescription) bool { return x.IndexName == u.name() })
	if u.Create != nil {
		taken := func(x indexDescription) bool { return x.IndexName == u.name() }
		if at >= 0 || slices.ContainsFunc(d.LocalSecondaryIndexes, taken) {
			return invalid("Attempting to create an index which already exists")
		}
		return in.createIndex(d, *u.Create)
	}
	if at < 0 {
		return tableNotFound()
	}
	if u.Delete != nil {
		d.GlobalSecondaryIndexes = slices.Delete(d.GlobalSecondaryIndexes, at, at+1)
		return nil
	}
	if u.Update.ProvisionedThroughput == nil && (u.Update.OnDemandThroughput != nil || u.Update.WarmThroughput != nil) {
		return nil // neither has an effect here
	}
	return d.GlobalSecondaryIndexes[at].provision(u.Update.ProvisionedThroughput, d.onDemand(), d.WarmThroughput)
}

func (in *updateTableInput) createIndex(d *description, x indexInput) error {
	for _, def := range in.AttributeDefinitions {
		i := slices.IndexFunc(d.AttributeDefinitions, func(have attributeDefinition) bool { return have.AttributeName == def.AttributeName })
		switch {
		case i < 0:
			d.AttributeDefinitions = append(d.AttributeDefinitions, def)
		case d.AttributeDefinitions[i].AttributeType != def.AttributeType:
			return badParameter("The attribute %s is of type %s in a key of the table or of one of its indexes and can't be of type %s too", def.AttributeName, d.AttributeDefinitions[i].AttributeType, def.AttributeType)
		}
	}
	if err := checkDefinitions(d.AttributeDefinitions, x.KeySchema, true); err != nil {
		return err
	}
	if err := checkProjection(x); err != nil {
		return err
	}
	out := indexDescription{IndexName: *x.IndexName, KeySchema: x.KeySchema, Projection: projectionDescription(*x.Projection), IndexArn: d.TableArn + "/index/" + *x.IndexName}
	if err := out.provision(x.ProvisionedThroughput, d.onDemand(), d.WarmThroughput); err != nil {
		return err
	}
	d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, out)
	nonKey := 0
	for _, x := range slices.Concat(d.LocalSecondaryIndexes, d.GlobalSecondaryIndexes) {
		nonKey += len(x.Projection.NonKeyAttributes)
	}
	switch {
	case len(d.GlobalSecondaryIndexes) > maxGlobalIndexes:
		return badParameter("GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	case nonKey > maxNonKeyAttributes:
		return badParameter("Number of projected attributes exceeds the per-table limit of %d", maxNonKeyAttributes)
	}
	return nil
}

// dropUnusedDefinitions removes the attributes that are in no key any more.
func (d *description) dropUnusedDefinitions() {
	used := map[string]bool{}
	note := func(schema []keySchemaElement) {
		for _, e := range schema {
			used[e.AttributeName] = true
		}
	}
	note(d.KeySchema)
	for _, x := range slices.Concat(d.LocalSecondaryIndexes, d.GlobalSecondaryIndexes) {
		note(x.KeySchema)
	}
	d.AttributeDefinitions = slices.DeleteFunc(d.AttributeDefinitions, func(a attributeDefinition) bool { return !used[a.AttributeName] })
}

// adopt makes d the table's description and its global indexes the table's: one
// that is new is filled with the items there are. The caller holds t.mu.
func (t *table) adopt(d *description) {
	before := map[string]*index{}
	var indexes []*index
	for _, x := range *t.indexes.Load() {
		if !x.global {
			indexes = append(indexes, x)
			continue
		}
		before[x.name] = x
	}
	for _, x := range d.GlobalSecondaryIndexes {
		have := before[x.IndexName]
		if have == nil {
			have = newIndex(d, x, true)
			t.rows.Scan(func(_ string, r *row) bool {
				have.replace(nil, r)
				return true
			})
		}
		indexes = append(indexes, have)
	}
	t.desc = d
	t.indexes.Store(&indexes)
}
