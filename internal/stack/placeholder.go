package stack

import (
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Placeholders stand for resources of services that Tidegate lacks. They look
// as CloudFormation's would: a physical name, Ref, ARN and other attributes, so
// that an application that only passes them on works.

// placeholdersText holds the looks, in a notation that its head explains.
//
//go:embed placeholders.txt
var placeholdersText string

// placeholderLooks parses placeholders.txt, once: by type and attribute.
var placeholderLooks = sync.OnceValue(func() map[string]map[string]string {
	all := map[string]map[string]string{}
	typ := ""
	for line := range strings.Lines(placeholdersText) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case line[0] != ' ':
			typ = words[0]
			all[typ] = map[string]string{}
		default:
			all[typ][words[0]] = words[1]
		}
	}
	return all
})

// nameProperties are how common types call their physical name.
var nameProperties = []string{
	"BucketName", "QueueName", "TopicName", "LogGroupName", "UserPoolName", "ClientName", "StateMachineName", "FunctionName",
	"RepositoryName", "ClusterName", "DBInstanceIdentifier", "DBClusterIdentifier", "StreamName", "DeliveryStreamName", "AlarmName",
	"IdentityPoolName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName", "DomainName", "ReplicationGroupId",
	"DatabaseName", "ServiceName", "Family", "RuleName", "LayerName", "Name",
}

// A placeholder is what a resource that isn't run answers with.
type placeholder struct {
	s          *Stack
	res        *resource
	properties *value
}

// answer returns what the placeholder gives for Ref ("") or an attribute.
func (p placeholder) answer(attribute string) string {
	if attribute == "" {
		attribute = "Ref"
	}
	return p.look(attribute, 0)
}

func (p placeholder) look(attribute string, depth int) string {
	name := p.name()
	if v, ok := p.properties.get(attribute).scalar(); ok && attribute != "Ref" { // as SSM's Value or a queue's QueueName
		return v
	}
	if look, ok := placeholderLooks()[p.res.typ][attribute]; ok && depth < 3 {
		return p.fill(look, depth)
	}
	switch {
	case attribute == "Stage":
		if stage, ok := p.properties.get("StageName").scalar(); ok {
			return stage
		}
		return "Prod" // SAM's own
	case attribute == "Ref" || strings.HasSuffix(attribute, "Name"):
		return name
	case strings.HasSuffix(attribute, "Arn") || attribute == "ARN":
		return p.arn()
	case strings.HasSuffix(attribute, "Id"):
		return p.look("Ref", depth+1)
	}
	return name + "-" + attribute
}

// fill puts what the braces name into a look.
func (p placeholder) fill(look string, depth int) string {
	var b strings.Builder
	for look != "" {
		before, rest, found := strings.Cut(look, "{")
		b.WriteString(before)
		if !found {
			break
		}
		what, after, _ := strings.Cut(rest, "}")
		look = after
		b.WriteString(p.part(what, depth))
	}
	return b.String()
}

func (p placeholder) part(what string, depth int) string {
	s, id := p.s, p.res.id
	switch what {
	case "name":
		return p.name()
	case "here":
		return s.Region + ":" + s.Account
	case "region":
		return s.Region
	case "account":
		return s.Account
	case "uuid":
		return s.uuid(id)
	}
	kind := strings.TrimRight(what, "0123456789")
	n, err := strconv.Atoi(what[len(kind):])
	if err != nil {
		return p.look(what, depth+1)
	}
	if kind == "low" && n == 10 {
		return s.apiID(id)
	}
	sum, more := s.digest(id), s.digest(id, what)
	raw := append(sum[:], more[:]...)
	switch kind {
	case "hex":
		return hex.EncodeToString(raw)[:n]
	case "up":
		return (s.suffix(id, 26) + s.suffix(id+"/"+what, 26))[:n]
	case "mixed":
		return strings.NewReplacer("+", "x", "/", "y").Replace(base64.StdEncoding.EncodeToString(raw))[:n]
	default:
		return strings.ToLower(s.suffix(id, 26) + s.suffix(id+"/"+what, 26))[:n]
	}
}

// name is the name given, or {stack}-{logicalId}-{13 characters}.
func (p placeholder) name() string {
	for _, property := range nameProperties {
		if name, ok := p.properties.get(property).scalar(); ok && name != "" {
			return name
		}
	}
	name := p.s.Name + "-" + p.res.id + "-" + p.s.suffix(p.res.id, 13)
	if slices.Contains([]string{"AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::RDS::DBInstance", "AWS::RDS::DBCluster", "AWS::ElastiCache::CacheCluster", "AWS::ElastiCache::ReplicationGroup"}, p.res.typ) {
		name = strings.ToLower(name)
	}
	return name
}

// arn is the look of a type that placeholders.txt doesn't know.
func (p placeholder) arn() string {
	if look, ok := placeholderLooks()[p.res.typ]["Arn"]; ok {
		return p.fill(look, 1)
	}
	parts := strings.Split(p.res.typ, "::")
	service, kind := "custom", parts[len(parts)-1]
	if len(parts) == 3 {
		service = strings.ToLower(parts[1])
	}
	return "arn:aws:" + service + ":" + p.s.Region + ":" + p.s.Account + ":" + strings.ToLower(kind) + "/" + p.name()
}
