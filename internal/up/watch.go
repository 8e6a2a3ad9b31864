package up

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"tidegate/internal/observe"
)

// watchEvery is how often the template's file is looked at: one call of the
// system, and exact on every file system.
const watchEvery = 250 * time.Millisecond

// A stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// stampOf is the file's; the zero stamp when it isn't there, as between the two
// steps of an editor that replaces it.
func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// watch applies the template again whenever it was saved, until ctx ends.
// Connections stay; what an edit doesn't touch keeps running, and after a bad
// edit everything does.
func (r *run) watch(ctx context.Context) {
	seen := stampOf(r.template.Path)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := stampOf(r.template.Path); now != seen && now != (stamp{}) {
			seen = now
			r.edited(ctx)
		}
	}
}

// edited applies the template as it is now.
func (r *run) edited(ctx context.Context) {
	template, err := Load(r.Options)
	if err != nil {
		r.keeps("the edited template can't run; what ran before keeps running", err)
		return
	}
	for _, n := range template.Notes {
		r.tale.note(slog.LevelInfo, "%s", n)
	}
	for _, f := range template.Functions() {
		r.names.add(f.Name, f.LogicalID)
	}
	result, err := r.apply(ctx, template)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.keeps("the edited template was not applied as a whole; save it again once this is mended", err)
	default:
		r.template = template
		r.tale.tell(observe.Notice{Time: time.Now(), Kind: observe.KindNote, Level: slog.LevelInfo,
			Text: "the edited template runs; clients connect to " + strings.Join(r.urls(result), ", ")})
	}
}

// keeps tells why an edit came to nothing, with every place in the template.
func (r *run) keeps(text string, err error) {
	r.tale.tell(observe.Notice{Time: time.Now(), Kind: observe.KindFailed, Level: slog.LevelError, Text: text, Detail: strings.Split(err.Error(), "\n")})
}
