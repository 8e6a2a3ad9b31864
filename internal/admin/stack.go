package admin

import (
	"encoding/json"
	"fmt"
	"sort"

	"tidegate/internal/awshttp"
)

// A stack's record, as far as these pages read it. The deployer that writes it
// says what else it holds.
type record struct {
	Resources map[string]struct {
		Type       string            `json:"type"`
		PhysicalID string            `json:"physicalId"`
		ARN        string            `json:"arn"`
		Attributes map[string]string `json:"attributes"`
		Details    map[string]string `json:"details"`
	} `json:"resources"`
	Outputs map[string]string `json:"outputs"`
}

// stackPage is /_tidegate/stack: what the applied stacks made.
type stackPage struct {
	Mode      string            `json:"mode,omitempty"`
	Limits    []string          `json:"limits,omitempty"` // that were set, as NAME=VALUE
	APIs      []apiLine         `json:"apis"`
	Functions []resourceLine    `json:"functions"`
	Rules     []resourceLine    `json:"rules"`
	Schedules []resourceLine    `json:"schedules"`
	Tables    []resourceLine    `json:"tables"`
	Outputs   map[string]string `json:"outputs"`
}

type apiLine struct {
	LogicalID string      `json:"logicalId"`
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Stages    []stageLine `json:"stages"`
}

type stageLine struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// Domains are the URLs by custom domain names.
	Domains []string `json:"domains,omitempty"`
}

type resourceLine struct {
	LogicalID string `json:"logicalId"`
	Name      string `json:"name"`
	ARN       string `json:"arn"`
}

func (s *Service) getStack(c *awshttp.Call) (any, error) {
	entries, err := s.Records.List(c.Context(), "")
	if err != nil {
		return nil, err
	}
	page := &stackPage{Mode: s.Mode, Limits: s.Limits, APIs: []apiLine{}, Functions: []resourceLine{}, Rules: []resourceLine{}, Schedules: []resourceLine{}, Tables: []resourceLine{}, Outputs: map[string]string{}}
	for _, e := range entries {
		var r record
		if err := json.Unmarshal(e.Value, &r); err != nil {
			return nil, fmt.Errorf("the record of stack %s: %w", e.Key, err)
		}
		s.addRecord(page, &r)
	}
	return page, nil
}

func (s *Service) addRecord(page *stackPage, r *record) {
	ids := make([]string, 0, len(r.Resources))
	for id := range r.Resources {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	apis := map[string]*apiLine{} // by API id
	for _, id := range ids {
		if res := r.Resources[id]; res.Type == "AWS::ApiGatewayV2::Api" {
			apis[res.PhysicalID] = &apiLine{LogicalID: id, ID: res.PhysicalID, Name: res.Details["Name"], Stages: []stageLine{}}
		}
	}
	for _, id := range ids {
		res := r.Resources[id]
		line := resourceLine{LogicalID: id, Name: res.PhysicalID, ARN: res.ARN}
		switch res.Type {
		case "AWS::ApiGatewayV2::Stage":
			if api := apis[res.Details["ApiId"]]; api != nil {
				api.Stages = append(api.Stages, stageLine{Name: res.PhysicalID, URL: s.StageURL(api.ID, res.PhysicalID), Domains: s.DomainURLs(api.ID, res.PhysicalID)})
			}
		case "AWS::Lambda::Function":
			page.Functions = append(page.Functions, line)
		case "AWS::Events::Rule":
			page.Rules = append(page.Rules, line)
		case "AWS::Scheduler::Schedule":
			if res.Details["LeftOut"] == "" {
				page.Schedules = append(page.Schedules, line)
			}
		case "AWS::DynamoDB::Table":
			page.Tables = append(page.Tables, line)
		}
	}
	for _, id := range ids {
		if api := apis[r.Resources[id].PhysicalID]; api != nil && api.LogicalID == id {
			page.APIs = append(page.APIs, *api)
		}
	}
	for k, v := range r.Outputs {
		page.Outputs[k] = v
	}
}
