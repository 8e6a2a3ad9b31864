package controlapi

import "tidegate/internal/awshttp"

// tagsBody is the body of TagResource and the answer of GetTags.
type tagsBody struct {
	Tags map[string]string `json:"tags"`
}

func (f *face) tags() {
	// SDKs percent-encode the ARN's slashes; what matches takes both forms.
	const path = "/v2/tags/{arn...}"
	arn := func(c *awshttp.Call) string { return c.Request.PathValue("arn") }
	f.on("POST", path, 201, func(c *awshttp.Call) (any, error) {
		var in tagsBody
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		return struct{}{}, f.service.TagResource(c.Context(), arn(c), in.Tags)
	})
	f.on("GET", path, 200, func(c *awshttp.Call) (any, error) {
		tags, err := f.service.Tags(c.Context(), arn(c))
		return tagsBody{Tags: orEmpty(tags)}, err
	})
	f.on("DELETE", path, 204, func(c *awshttp.Call) (any, error) {
		keys := c.Request.URL.Query()["tagKeys"]
		if len(keys) == 0 {
			return nil, badRequest("tagKeys is required") // WS-09-114
		}
		return nil, f.service.UntagResource(c.Context(), arn(c), keys)
	})
}
