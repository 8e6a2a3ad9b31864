package main

import (
	"os"
	"os/signal"
	"syscall"
)

// handOffSignals has a value for each SIGUSR2.
func handOffSignals() <-chan struct{} {
	signals, asked := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	go func() {
		for range signals {
			select {
			case asked <- struct{}{}:
			default: // one is asked for already
			}
		}
	}()
	return asked
}
