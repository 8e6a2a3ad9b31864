package tables

import (
	"net/http"
	"time"

	"tidegate/internal/awshttp"
)

// A pointInTime is a table's point-in-time recovery, which is kept and described
// so that those who set it can; nothing can be restored here.
type pointInTime struct {
	Since epoch
	Days  int64
}

const codeTableMissing = namespace + "#TableNotFoundException"

// backedUp finds the table of a call about continuous backups.
func (s *Service) backedUp(c *awshttp.Call, operation string, ref *string) (*table, error) {
	name, t, err := s.named(c, operation, ref)
	if err == nil && t == nil {
		err = &awshttp.Error{Code: codeTableMissing, Status: http.StatusBadRequest, Message: "Table not found: " + name}
	}
	return t, err
}

func (s *Service) describeContinuousBackups(c *awshttp.Call) (any, error) {
	var in struct{ TableName *string }
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	t, err := s.backedUp(c, "DescribeContinuousBackups", in.TableName)
	if err != nil {
		return nil, err
	}
	return t.continuousBackups(s.clock.Now()), nil
}

func (s *Service) updateContinuousBackups(c *awshttp.Call) (any, error) {
	var in struct {
		TableName                        *string
		PointInTimeRecoverySpecification *struct {
			PointInTimeRecoveryEnabled *bool
			RecoveryPeriodInDays       *int64
		}
	}
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	spec := in.PointInTimeRecoverySpecification
	var list constraints
	if spec == nil {
		list.add("Value null at 'pointInTimeRecoverySpecification' failed to satisfy constraint: Member must not be null")
	} else if spec.PointInTimeRecoveryEnabled == nil {
		list.add("Value null at 'pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled' failed to satisfy constraint: Member must not be null")
	} else {
		list.between(spec.RecoveryPeriodInDays, "pointInTimeRecoverySpecification.recoveryPeriodInDays", 1, 35)
	}
	if err := list.err(); err != nil {
		return nil, err
	}
	t, err := s.backedUp(c, "UpdateContinuousBackups", in.TableName)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	err = s.alter(t, func() error {
		switch {
		case !*spec.PointInTimeRecoveryEnabled && spec.RecoveryPeriodInDays != nil:
			return invalid("RecoveryPeriodInDays can only be specified when PointInTimeRecoveryEnabled is true")
		case !*spec.PointInTimeRecoveryEnabled:
			t.recovery = nil
			return nil
		}
		p := pointInTime{Since: epoch{now}, Days: 35}
		if t.recovery != nil {
			p.Since = t.recovery.Since
		}
		if spec.RecoveryPeriodInDays != nil {
			p.Days = *spec.RecoveryPeriodInDays
		}
		t.recovery = &p
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t.continuousBackups(now), nil
}

func (t *table) continuousBackups(now time.Time) any {
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if p := t.recovery; p != nil {
		earliest := p.Since.Time
		if limit := now.Add(-time.Duration(p.Days) * 24 * time.Hour); limit.After(earliest) {
			earliest = limit
		}
		d = map[string]any{"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": p.Days,
			"EarliestRestorableDateTime": epoch{earliest}, "LatestRestorableDateTime": epoch{now}}
	}
	return map[string]any{"ContinuousBackupsDescription": map[string]any{"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": d}}
}
