package stack

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// recordService is the signing name of Tidegate's own paths.
const recordService = "tidegate"

// A Record is what was applied of a stack: it tells the next run what is there.
// It is kept at /_tidegate/stacks/{name}.
type Record struct {
	Name      string                      `json:"name"`
	Region    string                      `json:"region,omitempty"`  // it was applied for
	Account   string                      `json:"account,omitempty"` // likewise
	Resources map[string]RecordedResource `json:"resources"`         // by logical id
	Outputs   map[string]string           `json:"outputs"`
}

// A RecordedResource is a resource as it was applied.
type RecordedResource struct {
	Type string `json:"type"`
	// PhysicalID is what Ref gives.
	PhysicalID string `json:"physicalId"`
	ARN        string `json:"arn,omitempty"`
	// Hash is of all properties, Properties of each by name; no value of a
	// property is kept.
	Hash       string            `json:"hash"`
	Properties map[string]string `json:"properties,omitempty"`
	// Attributes are what GetAtt gives.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Details are what is needed to change or delete the resource, such as the
	// id of the API that a route belongs to.
	Details        map[string]string `json:"details,omitempty"`
	DeletionPolicy string            `json:"deletionPolicy,omitempty"`
}

// place returns the region and account that the stack was applied for; "" when
// that isn't known. Records of before they were written say it by their ARNs.
func (rec *Record) place() (region, account string) {
	region, account = rec.Region, rec.Account
	for _, id := range keys(rec.Resources) {
		if parts := strings.SplitN(rec.Resources[id].ARN, ":", 6); len(parts) == 6 {
			region, account = cmp.Or(region, parts[3]), cmp.Or(account, parts[4])
		}
	}
	return region, account
}

// Record fetches the record of a stack; a stack that was never applied has an
// empty one.
func (d *Deployer) Record(ctx context.Context, name string) (*Record, error) {
	rec := &Record{}
	err := d.client().rest(ctx, recordService, "GetStackRecord", http.MethodGet, recordPath(name), nil, rec)
	var e *APIError
	if err != nil && !(errors.As(err, &e) && e.Status == http.StatusNotFound) {
		return nil, err
	}
	rec.Name = name
	if rec.Resources == nil {
		rec.Resources = map[string]RecordedResource{}
	}
	if rec.Outputs == nil {
		rec.Outputs = map[string]string{}
	}
	return rec, nil
}

func (d *Deployer) save(ctx context.Context, rec *Record) error {
	return d.client().rest(ctx, recordService, "PutStackRecord", http.MethodPut, recordPath(rec.Name), rec, nil)
}

func recordPath(name string) string { return "/_tidegate/stacks/" + url.PathEscape(name) }
