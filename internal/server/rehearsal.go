package server

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
	"tidegate/internal/control/catalog"
	"tidegate/internal/control/usage"
	"tidegate/internal/integration"
	"tidegate/internal/kv/filekv"
	"tidegate/internal/stage"
	"tidegate/internal/upstream"
	"tidegate/sigv4"
)

// A Rehearsal is the control plane alone: it refuses what a server's would, and
// what it takes is served to nobody and forgotten.
type Rehearsal struct {
	dir    string
	store  *filekv.Store
	memory *memoryListener
	server *http.Server
}

// rehearsalEndpoint is no host: everything goes through memory.
const rehearsalEndpoint = "http://localhost"

// Rehearse opens a control plane for the region, account and limits of the
// options; nothing else of them counts. It listens on no port. Close it.
func Rehearse(ctx context.Context, o Options) (_ *Rehearsal, err error) {
	r := &Rehearsal{memory: newMemoryListener()}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "tidegate-validate-"); err != nil {
		return nil, err
	}
	if r.store, err = openData(r.dir, 0); err != nil {
		return nil, err
	}
	resources, err := catalog.Open(ctx, r.store)
	if err != nil {
		return nil, err
	}
	plans, err := r.store.Bucket(ctx, "usage")
	if err != nil {
		return nil, err
	}
	keys, err := usage.Open(ctx, plans, time.Now)
	if err != nil {
		return nil, err
	}
	limits := o.Limits.OrAWS()
	keys.Bound(limits.APIKeys, limits.UsagePlans)
	// Invokers are made and never called.
	bind := &binder{
		lambda: integration.LambdaConfig{Endpoint: inMemory("lambda"), Client: r.Client(), Region: o.Region, Account: o.Account},
		memory: r.memory.client().Transport, backends: upstream.New(upstream.Config{}),
		has: func(string) bool { return true }, limits: limits,
	}
	plane := control.New(control.Config{
		Catalog: resources, Region: o.Region, Limits: limits,
		Check: func(d *apigw.Definition, st *apigw.Stage) error {
			_, err := stage.Compile(d, st, bind)
			return err
		},
	})
	gate := &awshttp.Gate{Mode: awshttp.Off, Account: o.Account, Region: o.Region, Identities: nobody{}}
	r.server = &http.Server{Handler: apiGateway(gate, plane, keys), ErrorLog: log.New(io.Discard, "", 0)}
	go r.server.Serve(r.memory) // until Close
	return r, nil
}

// nobody knows no keys: every caller is taken for the root.
type nobody struct{}

func (nobody) Lookup(string) (awshttp.Identity, bool) { return awshttp.Identity{}, false }

// Endpoint is where the client that Client returns finds the control plane.
func (r *Rehearsal) Endpoint() string { return rehearsalEndpoint }

// Key is one that the control plane takes; it takes any.
func (r *Rehearsal) Key() sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}
}

// Client returns a client of the control plane's.
func (r *Rehearsal) Client() *http.Client { return r.memory.client() }

// Close ends it and removes what it kept.
func (r *Rehearsal) Close() error {
	var err error
	if r.server != nil {
		err = r.server.Close()
	}
	r.memory.Close()
	if r.store != nil {
		err = errors.Join(err, r.store.Close())
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}
