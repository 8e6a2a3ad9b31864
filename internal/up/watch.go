package up

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"

	"tidegate/internal/observe"
)

// watchEvery is how often the template's files are looked at: one call of the
// system for each, and exact on every file system.
const watchEvery = 250 * time.Millisecond

// stamps tell one state of files from another, by path.
type stamps map[string]string

// stampsOf are those of some files; nil when one isn't there, as between the two
// steps of an editor that replaces it.
func stampsOf(paths []string) stamps {
	s := stamps{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil
		}
		s[path] = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
	}
	return s
}

// watch applies the template again whenever it was saved, until ctx ends.
// Connections stay; what an edit doesn't touch keeps running, and after a bad
// edit everything does. A template of several files is applied once none of them
// changed for a moment: a tool that writes them takes longer than an editor.
func (r *run) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	applied := stampsOf(r.template.Files)
	last := applied
	built := builds{chosen: r.Options.buildChosen()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if built.changed(r.Options) {
			r.edited(ctx)
			applied = stampsOf(r.template.Files)
			last = applied
			continue
		}
		now := stampsOf(r.template.Files)
		settled := maps.Equal(now, last) || len(r.template.Files) == 1
		last = now
		if now == nil || !settled || maps.Equal(now, applied) {
			continue
		}
		applied = now
		if !r.edited(ctx) {
			continue
		}
		// It may be made of other files now; those that it was made of before may
		// have changed meanwhile.
		applied = stampsOf(r.template.Files)
		for path := range applied {
			if before, ok := now[path]; ok {
				applied[path] = before
			}
		}
	}
}

// builds follows whether the project's sources or what sam build made of them
// is to be taken. Each change is told once, whatever comes of it.
type builds struct {
	chosen bool
	next   time.Time
}

// lookShare bounds the looks at a project's sources to a share of the time.
const lookShare = 100

// changed looks, now and then.
func (b *builds) changed(o Options) bool {
	began := time.Now()
	if began.Before(b.next) {
		return false
	}
	chosen := o.buildChosen()
	b.next = time.Now().Add(lookShare * time.Since(began))
	if chosen == b.chosen {
		return false
	}
	b.chosen = chosen
	return true
}

// edited applies the template as it is now, and reports whether it runs.
func (r *run) edited(ctx context.Context) bool {
	template, err := Load(r.Options)
	if err != nil {
		r.keeps("the edited template can't run; what ran before keeps running", err)
		return false
	}
	r.tale.notes(template.Notes)
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
		return true
	}
	return false
}

// keeps tells why an edit came to nothing, with every place in the template.
func (r *run) keeps(text string, err error) {
	r.tale.tell(observe.Notice{Time: time.Now(), Kind: observe.KindFailed, Level: slog.LevelError, Text: text, Detail: strings.Split(err.Error(), "\n")})
}
