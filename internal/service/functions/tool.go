package functions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// maxToolOutput is how much is kept of what a tool writes: its end.
const maxToolOutput = 64 << 10

// A lastBytes keeps the end of what is written to it.
type lastBytes struct{ b []byte }

// Write never fails.
func (l *lastBytes) Write(p []byte) (int, error) {
	if l.b = append(l.b, p...); len(l.b) > 2*maxToolOutput {
		l.b = append(l.b[:0], l.b[len(l.b)-maxToolOutput:]...)
	}
	return len(p), nil
}

func (l *lastBytes) String() string {
	return string(bytes.ToValidUTF8(l.b[max(0, len(l.b)-maxToolOutput):], nil))
}

// runTool runs npm, pip, go or make to its end, in a process group of its own
// that ends with ctx or after the limit. It returns the end
// of what it wrote. The user's keys and profiles are none of its business.
func (s *Service) runTool(ctx context.Context, cmd *exec.Cmd, limit time.Duration) (string, error) {
	var out lastBytes
	cmd.Stdout, cmd.Stderr = &out, &out
	own := cmd.Env
	cmd.Env = nil
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "AWS_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	// What a killed Tidegate leaves behind is found by it at the next start.
	cmd.Env = append(append(cmd.Env, own...), "TIDEGATE_TOOL_OF="+s.runtime)
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = attributes()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := s.starter.launch(cmd); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-ended:
		killGroup(cmd)
		return out.String(), err
	case <-t.C:
		killGroup(cmd)
		<-ended
		return out.String(), fmt.Errorf("it took longer than %s", limit)
	case <-ctx.Done():
		killGroup(cmd)
		<-ended
		return out.String(), errors.Join(ctx.Err(), errClosed)
	}
}
