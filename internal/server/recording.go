package server

import (
	"log/slog"
	"path/filepath"

	"tidegate/internal/connection"
	"tidegate/internal/gateway"
	"tidegate/internal/mgmtapi"
	"tidegate/internal/observe"
	"tidegate/internal/recording"
	"tidegate/internal/service/functions"
)

// openRecorder opens what keeps events for a replay, unless nothing is to be kept.
func (s *Server) openRecorder() (err error) {
	if s.options.NoRecord {
		return nil
	}
	s.recorder, err = recording.Open(filepath.Join(s.options.DataDir, "recordings"), func(err error) {
		s.options.Observer.Note(observe.Notice{Kind: observe.KindFailed, Level: slog.LevelError, Text: err.Error()})
	})
	return err
}

// gatewayEvents are counted, told to people, and kept.
func (s *Server) gatewayEvents() gateway.EventListener {
	events := s.metrics.Gateway(s.gatewayNotices())
	if s.recorder != nil {
		events.ExchangeEnd = s.recorder.Exchange
	}
	return events
}

// functionEvents are told to people, their lines kept, and their ids.
func (s *Server) functionEvents() functions.EventListener {
	events := s.metrics.Functions(s.options.Observer.Functions(s.options.Display))
	events.Logged = func(l functions.Logged) { s.shipper.Logged(l) }
	if s.recorder == nil {
		return events
	}
	told := events.InvocationBegin
	events.InvocationBegin = func(i functions.InvocationBegin) {
		told(i)
		if i.Origin != "" {
			s.recorder.Invoked(i.Origin, i.RequestID)
		}
	}
	return events
}

// reach is the router as the Management API calls it: through the replayer, when
// there is one.
func (s *Server) reach() mgmtapi.Router {
	if s.recorder == nil {
		return s.router
	}
	s.replayer = recording.NewReplayer(s.recorder, s.gateway, s.router, func(id string) bool {
		c, found, err := s.registry.LookupText(id)
		return err == nil && found && c.State() == connection.Open
	})
	return s.replayer
}
