package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"
)

// listen opens the listeners that the options name.
func (o *Options) listen() ([]Listener, error) {
	if o.Serve == nil {
		open, err := listen(o.Hosts, o.Ports)
		all := make([]Listener, len(open))
		for i, l := range open {
			all[i] = Listener{Role: RoleAll, Address: l.Addr().String(), Open: l}
		}
		return all, err
	}
	all := slices.Clone(o.Serve.Listeners)
	if err := Listen(all); err != nil {
		return nil, err
	}
	return all, nil
}

// Listen opens those listeners that aren't open. When one can't be, none is any more.
func Listen(all []Listener) error {
	var err error
	for i := range all {
		if all[i].Open != nil {
			continue
		}
		if all[i].Open, err = listenOn(all[i].Address); err != nil {
			all[i].Open = nil
			break
		}
	}
	if err != nil {
		for i := range all {
			if all[i].Open != nil {
				all[i].Open.Close()
				all[i].Open = nil
			}
		}
	}
	return err
}

// listenOn opens a listener on HOST:PORT.
func listenOn(address string) (net.Listener, error) {
	l, err := listenTCP(address)
	if err == nil {
		return l, nil
	}
	if _, text, _ := net.SplitHostPort(address); errors.Is(err, syscall.EADDRINUSE) {
		if port, bad := strconv.Atoi(text); bad == nil {
			if who := portOwner(port); who != "" {
				return nil, fmt.Errorf("%s is taken by %s; stop it, or give the listener another address", address, who)
			}
		}
	}
	return nil, fmt.Errorf("listen on %s: %w", address, err)
}

// listenTCP opens a listener on HOST:PORT that speaks TCP alone. Package net would
// have Linux offer Multipath TCP too: that costs time and memory of the kernel for
// each client that comes over plain TCP, as nearly all do. One that asks for more than
// that falls back.
func listenTCP(address string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(context.Background(), "tcp", address)
}

// listen opens a listener on each host and port. Where several hosts share port
// 0, they share the port that the first of them got: http://localhost:P must
// lead here over IPv4 and IPv6 alike.
func listen(hosts []string, ports []int) ([]net.Listener, error) {
	var all []net.Listener
	fail := func(err error) ([]net.Listener, error) {
		for _, l := range all {
			l.Close()
		}
		return nil, err
	}
	for _, port := range ports {
		got := port
		for i, host := range hosts {
			l, err := listenTCP(net.JoinHostPort(host, strconv.Itoa(got)))
			if err != nil && i > 0 && optionalFamily(err) {
				continue // a machine without IPv6 still serves 127.0.0.1
			}
			if err != nil {
				return fail(listenError(host, got, err))
			}
			if got == 0 {
				got = l.Addr().(*net.TCPAddr).Port
			}
			all = append(all, l)
		}
	}
	return all, nil
}

// optionalFamily says that the machine lacks the address's family.
func optionalFamily(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// listenError says who holds the port, where that can be known.
func listenError(host string, port int, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: %w", net.JoinHostPort(host, strconv.Itoa(port)), err)
	}
	who := "another process"
	if p := portOwner(port); p != "" {
		who = p
	}
	return fmt.Errorf("port %d is taken by %s; stop it, or choose another port with --port N (0 takes any free one)", port, who)
}
