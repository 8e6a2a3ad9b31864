//go:build !linux

package handoff

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
)

const rightsSize = 0

var errSystem = fmt.Errorf("hand-off is for Linux: on %s restart Tidegate instead: %w", runtime.GOOS, errors.ErrUnsupported)

func rights([]*os.File) ([]byte, error) { return nil, errSystem }

func filesOf([]byte, int) ([]*os.File, error) { return nil, errSystem }

func mayAsk(*net.UnixConn) error { return errSystem }

func socketPair() (a, b *os.File, err error) { return nil, nil, errSystem }
