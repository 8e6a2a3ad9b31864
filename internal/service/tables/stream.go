package tables

import "time"

// A streamSpecification says that a table has a stream of its changes. It is
// kept and described, with a stream's name, so that templates that ask for one
// work; nothing is in the stream, and the API that reads streams is refused.
type streamSpecification struct {
	StreamEnabled  *bool
	StreamViewType string `json:",omitempty"`
}

func (c *constraints) checkStream(s *streamSpecification) {
	if s == nil {
		return
	}
	if s.StreamEnabled == nil {
		c.add("Value null at 'streamSpecification.streamEnabled' failed to satisfy constraint: Member must not be null")
	}
	c.enum(s.StreamViewType, "streamSpecification.streamViewType", "NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY",
		"NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")
}

func (s *streamSpecification) check() error {
	switch {
	case *s.StreamEnabled && s.StreamViewType == "":
		return badParameter("StreamViewType is required when StreamEnabled is true")
	case !*s.StreamEnabled && s.StreamViewType != "":
		return badParameter("StreamViewType can't be specified when StreamEnabled is false")
	}
	return nil
}

// nameStream names the stream that begins now, if there is one.
func (d *description) nameStream(now time.Time) {
	if d.StreamSpecification != nil {
		d.LatestStreamLabel = now.UTC().Format("2006-01-02T15:04:05.000")
		d.LatestStreamArn = d.TableArn + "/stream/" + d.LatestStreamLabel
	}
}

// applyStream begins or ends the stream; the name of one that has ended stays.
func (in *updateTableInput) applyStream(d *description, now epoch) error {
	s := in.StreamSpecification
	if s == nil {
		return nil
	}
	if err := s.check(); err != nil {
		return err
	}
	switch on := d.StreamSpecification != nil; {
	case on && *s.StreamEnabled:
		return invalid("Table already has an enabled stream: TableName: " + d.TableName)
	case !on && !*s.StreamEnabled:
		return invalid("Table has no stream to disable: TableName: " + d.TableName)
	case on:
		d.StreamSpecification = nil
	default:
		d.StreamSpecification = s
		d.nameStream(now.Time)
	}
	return nil
}
