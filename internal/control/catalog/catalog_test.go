package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
	"tidegate/internal/kv"
	"tidegate/internal/kv/filekv"
)

var update = flag.Bool("update", false, "write testdata/api-v1.json anew; only when version grows")

func open(t testing.TB) (*catalog.Catalog, kv.Bucket) {
	t.Helper()
	s, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := catalog.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Bucket(t.Context(), "catalog")
	if err != nil {
		t.Fatal(err)
	}
	return c, b
}

// fill sets every field of v to something that isn't zero, so that a round trip
// which drops one shows.
func fill(v reflect.Value, depth int) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d <&>é", depth))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(7 + depth))
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth)
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	default:
		panic("fill: teach me " + v.Type().String())
	}
}

func fullAPI(id string) *apigw.API {
	api := &apigw.API{}
	fill(reflect.ValueOf(api).Elem(), 0)
	api.ID = id
	return api
}

func TestAPIRoundTrips(t *testing.T) {
	c, _ := open(t)
	want := fullAPI("full")
	rev, err := c.Create(t.Context(), want)
	if err != nil || rev == 0 {
		t.Fatalf("Create: revision %d, %v", rev, err)
	}
	got, gotRev, err := c.Get(t.Context(), "full")
	if err != nil || gotRev != rev {
		t.Fatalf("Get: revision %d, want %d, %v", gotRev, rev, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was stored came back changed (-want +got):\n%s", diff)
	}
	if _, err := c.Create(t.Context(), want); !errors.Is(err, catalog.ErrExists) {
		t.Errorf("Create of an id that is taken: %v, want ErrExists", err)
	}
}

// What version 1 wrote must stay readable: a field renamed in apigw would lose
// what is on people's disks.
func TestStoredFormV1(t *testing.T) {
	file := filepath.Join("testdata", "api-v1.json")
	c, b := open(t)
	want := fullAPI("golden")
	if *update {
		if _, err := c.Create(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		e, err := b.Get(t.Context(), "apis/golden")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(e.Value, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	stored, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "apis/golden", stored); err != nil {
		t.Fatal(err)
	}
	got, _, err := c.Get(t.Context(), "golden")
	if err != nil {
		t.Fatal(err)
	}
	// Fields that are newer than the file are empty in what was read. All that the
	// file holds must have found its place, so written again it is all there.
	again, err := json.Marshal(struct {
		V   int        `json:"v"`
		API *apigw.API `json:"api"`
	}{1, got})
	if err != nil {
		t.Fatal(err)
	}
	var before, after any
	if err := errors.Join(json.Unmarshal(stored, &before), json.Unmarshal(again, &after)); err != nil {
		t.Fatal(err)
	}
	missing(t, "", before, after)
}

// missing reports what before holds and after doesn't.
func missing(t *testing.T, path string, before, after any) {
	t.Helper()
	b, ok := before.(map[string]any)
	if !ok {
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s was %v in the file and is read as %v", path, before, after)
		}
		return
	}
	a, _ := after.(map[string]any)
	for k, v := range b {
		missing(t, path+"/"+k, v, a[k])
	}
}

func TestGetErrors(t *testing.T) {
	c, b := open(t)
	for key, value := range map[string]string{
		"apis/newer":   `{"v":2,"api":{"ID":"newer"}}`,
		"apis/none":    `{"v":1}`,
		"apis/broken":  `{"v":1,`,
		"apis/cutgzip": "\x1f\x8b\x08\x00",
	} {
		if _, err := b.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]string{
		"newer":        "stored in form 2",
		"none":         "stored in form 1",
		"broken":       "apis/broken is damaged",
		"cutgzip":      "apis/cutgzip is damaged",
		"unknown":      "not found",
		"":             "not found",
		"a/b":          "not found",
		"with space":   "not found",
		"..":           "not found",
		"\x00\xff bad": "not found",
	} {
		_, _, err := c.Get(t.Context(), id)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Get(%q): %v, want an error with %q", id, err, want)
		}
		if want == "not found" && !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("Get(%q): %v is not ErrNotFound", id, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	ctx := t.Context()
	c, _ := open(t)
	if _, _, err := c.Update(ctx, "none", func(*apigw.API) error { return nil }); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("Update of no API: %v, want ErrNotFound", err)
	}
	first, err := c.Create(ctx, &apigw.API{ID: "a", Name: "0"})
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if _, _, err := c.Update(ctx, "a", func(api *apigw.API) error { api.Name = "lost"; return boom }); err != boom {
		t.Errorf("Update whose func fails: %v", err)
	}
	// Someone else writes between the read and the write: the func runs again.
	runs := 0
	got, rev, err := c.Update(ctx, "a", func(api *apigw.API) error {
		if runs++; runs == 1 {
			if _, _, err := c.Update(ctx, "a", func(api *apigw.API) error { api.Name += "1"; return nil }); err != nil {
				return err
			}
		}
		api.Name += "2"
		return nil
	})
	if err != nil || got.Name != "012" || runs != 2 || rev <= first {
		t.Errorf("Update with a rival: name %q after %d runs at revision %d, %v", got.Name, runs, rev, err)
	}
}

func TestUpdateContention(t *testing.T) {
	const writers, each = 4, 10
	c, _ := open(t)
	if _, err := c.Create(t.Context(), &apigw.API{ID: "a", Tags: map[string]string{}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				_, _, err := c.Update(t.Context(), "a", func(api *apigw.API) error {
					api.Tags[fmt.Sprintf("%d-%d", w, i)] = "x"
					return nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	api, _, err := c.Get(t.Context(), "a")
	if err != nil || len(api.Tags) != writers*each {
		t.Errorf("%d of %d changes are there, %v", len(api.Tags), writers*each, err)
	}
}

func TestDeleteTakesDefinitions(t *testing.T) {
	ctx := t.Context()
	c, b := open(t)
	for _, id := range []string{"a", "ab"} {
		if _, err := c.Create(ctx, &apigw.API{ID: id}); err != nil {
			t.Fatal(err)
		}
		if err := c.PutDefinition(ctx, id, "d1", &apigw.Definition{APIID: id}); err != nil {
			t.Fatal(err)
		}
	}
	rev, err := c.Delete(ctx, "a")
	if err != nil || rev == 0 {
		t.Fatalf("Delete: revision %d, %v", rev, err)
	}
	if _, err := c.Delete(ctx, "a"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a second Delete: %v, want ErrNotFound", err)
	}
	entries, err := b.List(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	if diff := cmp.Diff([]string{"apis/ab", "deployments/ab/d1/0000"}, keys); diff != "" {
		t.Errorf("keys after deleting a (-want +got):\n%s", diff)
	}
}

func TestList(t *testing.T) {
	c, _ := open(t)
	for _, id := range []string{"b", "a", "c"} {
		if _, err := c.Create(t.Context(), &apigw.API{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	apis, err := c.List(t.Context())
	if err != nil || len(apis) != 3 || apis[0].ID != "a" || apis[2].ID != "c" {
		t.Errorf("List: %v, %v", apis, err)
	}
}

// noise returns text that doesn't compress.
func noise(n int, seed uint64) string {
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"[seed>>58]
	}
	return string(b)
}

func TestDefinition(t *testing.T) {
	ctx := t.Context()
	c, b := open(t)
	full := &apigw.Definition{}
	fill(reflect.ValueOf(full).Elem(), 0)
	big := &apigw.Definition{APIID: "a"}
	for i := range 8 {
		big.Integrations = append(big.Integrations, &apigw.Integration{ID: fmt.Sprint(i), RequestTemplates: map[string]string{"$default": noise(apigw.MaxTemplate, uint64(i))}})
	}
	for id, want := range map[string]*apigw.Definition{"full": full, "big": big} {
		if err := c.PutDefinition(ctx, "a", id, want); err != nil {
			t.Fatalf("PutDefinition(%s): %v", id, err)
		}
		got, err := c.Definition(ctx, "a", id)
		if err != nil {
			t.Fatalf("Definition(%s): %v", id, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("definition %s came back changed (-want +got):\n%.2000s", id, diff)
		}
	}
	entries, err := b.List(ctx, "deployments/a/big/")
	if err != nil || len(entries) < 2 {
		t.Fatalf("the big definition lies in %d chunks, %v", len(entries), err)
	}
	for _, e := range entries {
		if len(e.Value) > 512<<10 {
			t.Errorf("chunk %s has %d bytes", e.Key, len(e.Value))
		}
	}
	if err := b.Delete(ctx, entries[len(entries)-1].Key); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Definition(ctx, "a", "big"); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a definition without its last chunk: %v", err)
	}
	if err := c.DeleteDefinition(ctx, "a", "big"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"big", "unknown", "ful", "", "/"} {
		if _, err := c.Definition(ctx, "a", id); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("Definition(%q): %v, want ErrNotFound", id, err)
		}
	}
}

func TestLargeAPI(t *testing.T) {
	c, _ := open(t)
	api := &apigw.API{ID: "large", Description: strings.Repeat("compressible ", 200_000)}
	if _, err := c.Create(t.Context(), api); err != nil {
		t.Fatal(err)
	}
	got, _, err := c.Get(t.Context(), "large")
	if err != nil || got.Description != api.Description {
		t.Fatalf("a large API came back with %d bytes of %d, %v", len(got.Description), len(api.Description), err)
	}
	api = &apigw.API{ID: "larger", Description: noise(2<<20, 1)}
	if _, err := c.Create(t.Context(), api); !errors.Is(err, catalog.ErrTooLarge) {
		t.Errorf("an API over what fits: %v, want ErrTooLarge", err)
	}
}

func TestWatch(t *testing.T) {
	c, b := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rev, err := c.Create(ctx, &apigw.API{ID: "a", Name: "one"})
	if err != nil {
		t.Fatal(err)
	}
	// Definitions are none of a watch's business.
	if err := c.PutDefinition(ctx, "a", "d", &apigw.Definition{}); err != nil {
		t.Fatal(err)
	}
	changes, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got.ID != "a" || got.Revision != rev || got.Value == nil || got.Value.Name != "one" {
		t.Fatalf("the present API came as %+v", got)
	}
	if got := <-changes; got.ID != "" || got.Value != nil {
		t.Fatalf("after the present ones came %+v", got)
	}
	_, rev, err = c.Update(ctx, "a", func(api *apigw.API) error { api.Name = "two"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got.ID != "a" || got.Revision != rev || got.Value.Name != "two" {
		t.Fatalf("a change came as %+v", got)
	}
	rev, err = c.Delete(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got.ID != "a" || got.Value != nil || got.Err != nil || got.Revision < rev {
		t.Fatalf("a deletion came as %+v, want a revision from %d", got, rev)
	}
	if _, err := b.Put(ctx, "apis/bad", []byte("junk")); err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got.ID != "bad" || got.Value != nil || got.Err == nil {
		t.Fatalf("an unreadable API came as %+v", got)
	}
	cancel()
	for range changes { // ends when the channel is closed
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"api":{"ID":"x"}}`))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, value []byte) {
		api, err := catalog.DecodeForTest(value)
		if err != nil {
			return
		}
		again, err := catalog.EncodeForTest(api)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		if got, err := catalog.DecodeForTest(again); err != nil || !cmp.Equal(api, got) {
			t.Fatalf("what was read changes when it is written: %v\n%s", err, cmp.Diff(api, got))
		}
	})
}
