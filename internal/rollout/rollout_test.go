package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
	"tidegate/internal/kv/filekv"
	"tidegate/internal/rollout"
	"tidegate/internal/stage"
)

// A node records what its rollout tells it.
type node struct {
	catalog *catalog.Catalog
	store   *filekv.Store
	rollout *rollout.Rollout
	stop    func()

	mu   sync.Mutex
	said []string
	fail map[string]error // by deployment
}

func (n *node) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, fmt.Sprintf(format, args...))
}

// heard returns what was said since the last time, sorted.
func (n *node) heard() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	said := n.said
	n.said = nil
	slices.Sort(said)
	return said
}

// open returns a node whose rollout doesn't run yet.
func open(t *testing.T) *node {
	t.Helper()
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	n := &node{store: store, fail: map[string]error{}}
	if n.catalog, err = catalog.Open(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	n.rollout = rollout.New(rollout.Config{
		Catalog: n.catalog,
		Compile: func(def *apigw.Definition, st *apigw.Stage) (*stage.Stage, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if err := n.fail[st.DeploymentID]; err != nil {
				return nil, err
			}
			return &stage.Stage{APIID: def.APIID, Name: st.Name, DeploymentID: st.DeploymentID, Variables: st.Variables}, nil
		},
		Publish: func(s *stage.Stage) {
			n.say("publish %s/%s %s %v", s.APIID, s.Name, s.DeploymentID, s.Variables)
		},
		Withdraw: func(apiID string, name apigw.StageName) { n.say("withdraw %s/%s", apiID, name) },
		Failed:   func(apiID string, name apigw.StageName, err error) { n.say("failed %s/%s: %v", apiID, name, err) },
	})
	return n
}

func (n *node) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.rollout.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, rollout.ErrStopped) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(n.stop)
	<-n.rollout.Ready()
}

// create stores an API whose stage dev serves the deployment d1.
func (n *node) create(t *testing.T, id string) {
	t.Helper()
	for _, d := range []string{"d1", "d2"} {
		if err := n.catalog.PutDefinition(t.Context(), id, d, &apigw.Definition{APIID: id}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := n.catalog.Create(t.Context(), &apigw.API{ID: id, Stages: map[apigw.StageName]*apigw.Stage{
		"dev":   {Name: "dev", DeploymentID: "d1"},
		"empty": {Name: "empty"},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// change updates the API and waits until that is served.
func (n *node) change(t *testing.T, id string, fn func(*apigw.API)) {
	t.Helper()
	_, rev, err := n.catalog.Update(t.Context(), id, func(api *apigw.API) error { fn(api); return nil })
	if err != nil {
		t.Fatal(err)
	}
	n.wait(t, id, rev)
}

func (n *node) wait(t *testing.T, id string, rev uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := n.rollout.Wait(ctx, id, rev); err != nil {
		t.Fatalf("Wait: %v", err)
	}
}

func TestRollout(t *testing.T) {
	n := open(t)
	n.create(t, "a")
	n.create(t, "b")
	n.run(t)
	check := func(step string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, n.heard()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	check("at the start", "publish a/dev d1 map[]", "publish b/dev d1 map[]")

	n.change(t, "a", func(api *apigw.API) {
		api.Name = "renamed"
		api.DisableExecuteAPIEndpoint = true
		api.Stages["dev"].Description = "x"
	})
	check("after a change of no concern")

	n.change(t, "a", func(api *apigw.API) { api.Stages["dev"].Variables = map[string]string{"k": "v"} })
	check("after a stage variable", "publish a/dev d1 map[k:v]")

	zero := 0
	n.change(t, "a", func(api *apigw.API) { api.Stages["dev"].DefaultRouteSettings.ThrottlingBurstLimit = &zero })
	check("after a throttle", "publish a/dev d1 map[k:v]")

	n.change(t, "a", func(api *apigw.API) { api.Stages["dev"].AccessLog.Format = "$context.requestId" })
	check("after an access log", "publish a/dev d1 map[k:v]")

	n.change(t, "a", func(api *apigw.API) { api.Stages["empty"].DeploymentID = "d2" })
	check("after a stage got its deployment", "publish a/empty d2 map[]")

	n.mu.Lock()
	n.fail["d2"] = errors.New("no good")
	n.mu.Unlock()
	n.change(t, "a", func(api *apigw.API) { api.Stages["dev"].DeploymentID = "d2" })
	check("after a deployment that doesn't compile", "failed a/dev: no good")

	n.mu.Lock()
	delete(n.fail, "d2")
	n.mu.Unlock()
	n.change(t, "a", func(api *apigw.API) { api.Name = "again" })
	check("a failed stage is tried again", "publish a/dev d2 map[k:v]")

	n.change(t, "a", func(api *apigw.API) { api.Stages["dev"].DeploymentID = "d9" })
	if got := n.heard(); len(got) != 1 || !strings.Contains(got[0], "failed a/dev") || !strings.Contains(got[0], "d9") {
		t.Errorf("after a deployment without a definition: %q", got)
	}

	n.change(t, "a", func(api *apigw.API) { delete(api.Stages, "empty") })
	if got := n.heard(); !slices.Contains(got, "withdraw a/empty") {
		t.Errorf("after a stage went: %q", got)
	}

	rev, err := n.catalog.Delete(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	n.wait(t, "a", rev)
	check("after the API went", "withdraw a/dev")
	n.wait(t, "a", rev) // later, too
	n.wait(t, "never was", 7)
}

func TestUnreadableAPI(t *testing.T) {
	n := open(t)
	n.create(t, "a")
	n.run(t)
	n.heard()
	b, err := n.store.Bucket(t.Context(), "catalog")
	if err != nil {
		t.Fatal(err)
	}
	rev, err := b.Put(t.Context(), "apis/a", []byte("junk"))
	if err != nil {
		t.Fatal(err)
	}
	n.wait(t, "a", rev)
	if got := n.heard(); len(got) != 1 || !strings.Contains(got[0], "failed a/: catalog: apis/a is damaged") {
		t.Errorf("heard %q; what is served must stay", got)
	}
}

func TestWaitEnds(t *testing.T) {
	n := open(t)
	n.create(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.rollout.Wait(ctx, "a", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a context that ended: %v", err)
	}
	n.run(t)
	n.stop()
	if err := n.rollout.Wait(t.Context(), "a", 1<<40); !errors.Is(err, rollout.ErrStopped) {
		t.Errorf("Wait after the end of Run: %v", err)
	}
}

func TestStoreClosed(t *testing.T) {
	n := open(t)
	ended := make(chan error, 1)
	go func() { ended <- n.rollout.Run(t.Context()) }()
	<-n.rollout.Ready()
	n.store.Close()
	if err := <-ended; !errors.Is(err, rollout.ErrStopped) {
		t.Errorf("Run ended with %v", err)
	}
}
