package observe

import (
	"fmt"
	"log/slog"

	"tidegate/internal/apigw"
)

// RolloutFailed hears of a stage that can't be served as it was defined.
func (o *Observer) RolloutFailed(apiID string, name apigw.StageName, err error) {
	o.Note(Notice{Kind: KindFailed, Level: slog.LevelError, Text: fmt.Sprintf("stage %s of API %s keeps serving what it did: %v", name, apiID, err),
		Attrs: []slog.Attr{slog.String("apiId", apiID), slog.String("stage", string(name))}})
}

// ControlNotice hears of settings that are kept but have no effect yet.
func (o *Observer) ControlNotice(text string) {
	o.Note(Notice{Kind: KindNote, Level: slog.LevelWarn, Text: text})
}
