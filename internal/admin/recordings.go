package admin

import (
	"errors"
	"net/http"
	"strconv"

	"tidegate/internal/awshttp"
	"tidegate/internal/recording"
)

// Bounds on how many recorded requests are listed.
const (
	defaultRecordings = 20
	maxRecordings     = 1000
)

// errNotRecorded says that there is nothing to replay.
var errNotRecorded = awshttp.Errorf(http.StatusNotFound, "NotFoundException", "nothing is recorded: `up` runs with --no-record")

// getRecordings lists the latest recorded requests, oldest first.
func (s *Service) getRecordings(c *awshttp.Call) (any, error) {
	if s.Replays == nil {
		return nil, errNotRecorded
	}
	n := defaultRecordings
	if text := c.Request.URL.Query().Get("limit"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxRecordings {
			return nil, awshttp.Errorf(http.StatusBadRequest, "BadRequestException", "limit is a number from 1 to %d", maxRecordings)
		}
	}
	entries, lost, err := s.Replays.Latest(n)
	if err != nil {
		return nil, err
	}
	return map[string]any{"recordings": entries, "leftOut": lost}, nil
}

// postReplay has one recorded request happen again.
func (s *Service) postReplay(c *awshttp.Call) (any, error) {
	if s.Replays == nil {
		return nil, errNotRecorded
	}
	id := c.Request.PathValue("requestId")
	r, err := s.Replays.Replay(c.Context(), id, c.Request.URL.Query().Get("dry") != "")
	if errors.Is(err, recording.ErrUnknown) {
		return nil, awshttp.Errorf(http.StatusNotFound, "NotFoundException", "the request %.100q is not recorded; `tidegate replay` lists those that are", id)
	}
	return r, err
}
