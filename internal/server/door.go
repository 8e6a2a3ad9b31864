package server

import (
	"cmp"
	"fmt"
	"log/slog"

	"tidegate/internal/edge"
	"tidegate/internal/event"
	"tidegate/internal/observe"
	"tidegate/internal/parity"
)

// doorEvents are told like everything else. edge is above what observe may know.
func (s *Server) doorEvents() edge.EventListener {
	o := s.options.Observer
	note := func(text, requestID, trace string, attrs ...slog.Attr) {
		attrs = append(attrs, slog.String("requestId", requestID))
		if origin := event.RequestIDOf(trace); origin != "" {
			attrs = append(attrs, slog.String(observe.OriginAttr, origin))
		}
		o.Note(observe.Notice{Kind: observe.KindRefused, Level: slog.LevelWarn, Text: text, Attrs: attrs})
	}
	called := func(kind parity.Kind, i edge.UnknownServiceInfo) {
		o.Relied(kind, i.Service, func() parity.First {
			where := i.Target
			if where == "" {
				where = i.Method + " " + i.Path
			}
			return parity.First{RequestID: cmp.Or(event.RequestIDOf(i.Trace), i.RequestID), Where: where}
		})
	}
	return edge.EventListener{
		Refused: func(i edge.RefusedInfo) {
			s.metrics.Refused("door", string(i.Reason))
			note(i.String(), i.RequestID, i.Trace, slog.String("reason", string(i.Reason)), slog.Int("status", i.Status), slog.String("why", i.Why),
				slog.String("do", observe.Next(string(i.Reason))), slog.String("host", i.Host), slog.String("path", i.Path), slog.Bool("webSocket", i.WebSocket))
		},
		UnknownService: func(i edge.UnknownServiceInfo) {
			s.metrics.Refused("door", string(edge.NoSuchService))
			note(i.String(), i.RequestID, i.Trace, slog.String("reason", string(edge.NoSuchService)), slog.String("service", i.Service))
			called(parity.ServiceLacking, i)
		},
		FellBack: func(i edge.UnknownServiceInfo) { called(parity.Fallback, i) },
		FallbackFailed: func(i edge.UnknownServiceInfo, err error) {
			s.metrics.Refused("door", string(edge.FallbackSilent))
			note(fmt.Sprintf("%s %s for %s found no answer at the fallback endpoint: %v", i.Method, i.Path, i.Service, err), i.RequestID, i.Trace,
				slog.String("reason", string(edge.FallbackSilent)), slog.String("service", i.Service), slog.String("why", err.Error()))
		},
		StageOmitted: func(i edge.StageOmittedInfo) {
			subject := "@connections"
			if i.WebSocket {
				subject = "a client's address"
			}
			o.Relied(parity.StageOmitted, subject, func() parity.First {
				return parity.First{RequestID: event.RequestIDOf(i.Trace), Where: i.String()}
			})
		},
	}
}
