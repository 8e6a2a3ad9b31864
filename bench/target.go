package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"tidegate/bench/gateway"
	"tidegate/bench/load"
	"tidegate/bench/peers"
	"tidegate/bench/proc"
)

// A target is a server under measurement, started, and how one talks to it.
type target struct {
	name    string
	group   *proc.Group
	gateway *gateway.Gateway // nil for a peer

	clients string // where clients connect
	// path is a client's; channel is what it is to receive, "" for nothing.
	path    func(i int, channel string) string
	whoami  bool // clients ask for their ids
	plain   bool // messages are plain HTTP requests
	publish string
	push    func(b []byte, id string, i int, body []byte) []byte
	all     func(b, body []byte) []byte
	free    func(ctx context.Context) error // has garbage collected
}

// Tests, by their commands' names.
const (
	testIdle    = "idle"
	testStorm   = "storm"
	testRoute   = "route"
	testMock    = "mock"
	testPush    = "push"
	testFanout  = "fanout"
	testUpgrade = "upgrade"
	testSoak    = "soak"
)

// Who can be measured.
const (
	tidegateName = "tidegate"
	nginxName    = "nginx"
	nchanName    = "nchan"
	gwsName      = "gws"
)

// does reports whether a target has what the test measures.
func does(name, test string) bool {
	switch name {
	case nginxName:
		return test == testRoute
	case nchanName:
		return slices.Contains([]string{testIdle, testStorm, testRoute, testPush, testFanout}, test)
	case gwsName:
		return test != testUpgrade && test != testSoak
	}
	return true
}

// jsonFields is the header of published messages.
const jsonFields = "Content-Type: application/json\r\n"

// startTarget starts a server, with its files below dir.
func (b *bench) startTarget(ctx context.Context, name, test, backend string) (*target, error) {
	switch name {
	case tidegateName:
		limits := b.limits
		if test == testUpgrade {
			limits = append([]string{upgradeLimit}, limits...)
		}
		g, err := gateway.Start(ctx, b.program, b.dir, backend, limits...)
		if err != nil {
			return nil, err
		}
		return tidegateTarget(g), nil
	case nginxName, nchanName:
		address, err := gateway.FreeAddress()
		if err != nil {
			return nil, err
		}
		group, err := peers.StartNginx(name == nchanName, b.dir, address, backend)
		if err != nil {
			return nil, err
		}
		return nginxTarget(name, group, address), nil
	case gwsName:
		if test != testRoute {
			backend = "" // it echoes
		}
		return b.startGWS(backend)
	}
	return nil, fmt.Errorf("there is no target %q", name)
}

func tidegateTarget(g *gateway.Gateway) *target {
	signer := g.Signer()
	return &target{
		name: tidegateName, group: g.Group, gateway: g, clients: g.Address, publish: g.Address, whoami: true,
		path: func(int, string) string { return "/" + gateway.Stage },
		push: func(b []byte, id string, _ int, body []byte) []byte { return g.AppendPush(b, signer, id, body) },
		all:  func(b, body []byte) []byte { return g.AppendAll(b, signer, body) },
		free: func(ctx context.Context) error { _, err := g.Free(ctx); return err },
	}
}

func nginxTarget(name string, group *proc.Group, address string) *target {
	return &target{
		name: name, group: group, clients: address, publish: address, plain: name == nginxName,
		path: func(i int, channel string) string {
			if channel == "" { // the answer of the backend comes on the client's own channel
				return "/ws/c" + strconv.Itoa(i)
			}
			return "/sub/" + channel
		},
		push: func(b []byte, _ string, i int, body []byte) []byte {
			return load.AppendRequest(b, "POST", address, "/pub/c"+strconv.Itoa(i), jsonFields, body)
		},
		all: func(b, body []byte) []byte {
			return load.AppendRequest(b, "POST", address, "/pub/all", jsonFields, body)
		},
	}
}

func (b *bench) startGWS(backend string) (*target, error) {
	clients, err := gateway.FreeAddress()
	if err != nil {
		return nil, err
	}
	publish, err := gateway.FreeAddress()
	if err != nil {
		return nil, err
	}
	group, err := peers.StartSelf(b.dir, []string{clients, publish}, commandGWS, clients, publish, backend)
	if err != nil {
		return nil, err
	}
	return &target{
		name: gwsName, group: group, clients: clients, publish: publish,
		path: func(i int, _ string) string { return "/?id=c" + strconv.Itoa(i) },
		push: func(b []byte, _ string, i int, body []byte) []byte {
			return load.AppendRequest(b, "POST", publish, "/push/c"+strconv.Itoa(i), jsonFields, body)
		},
		all: func(b, body []byte) []byte {
			return load.AppendRequest(b, "POST", publish, "/all", jsonFields, body)
		},
		free: func(ctx context.Context) error { return postFree(ctx, publish) },
	}, nil
}
