package handoff

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/cluster"
	"tidegate/internal/connection"
	"tidegate/internal/transport"
)

// faultVariable says at which step this test binary, started as the new process,
// goes wrong.
const faultVariable = "HANDOFF_TEST_FAULT"

func TestMain(m *testing.M) {
	if fault, ok := os.LookupEnv(faultVariable); ok {
		if step, ok := strings.CutPrefix(fault, "dies as old at "); ok {
			handOver(Step(step))
		}
		takeOver(fault)
		return
	}
	os.Exit(m.Run())
}

// handOver is an old process, which is killed at a step. What it started tells on
// standard output how it went.
func handOver(last Step) {
	o := newOld(nil, "tells")
	o.giver.Tell = func(p Progress) {
		if p.Step == last {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // another thread may notice first
		}
	}
	fmt.Println(o.giver.Run(context.Background()))
	os.Exit(10)
}

// alone tells that the old process has ended, and shows that clients can come.
func alone(after string, t *Taker, l net.Listener) {
	if l == nil {
		l = t.Listener("public")
	}
	t.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		c, err = l.Accept()
	}
	fmt.Printf("alone after %s: %v, %v\n", after, c != nil, err)
	os.Exit(0)
}

// takeOver is a new process, up to its fault.
func takeOver(fault string) {
	at := func(step string) {
		switch fault {
		case "dies " + step:
			os.Exit(3)
		case "hangs " + step:
			time.Sleep(time.Minute)
		}
	}
	fd, err := strconv.Atoi(os.Getenv(Variable))
	if err != nil {
		os.Exit(4)
	}
	at("at its start")
	t, err := Take(uintptr(fd), "v2")
	if err != nil {
		os.Exit(5)
	}
	if string(t.Stored) != "what is stored" {
		os.Exit(11)
	}
	switch fault {
	case "refuses":
		t.Fail(errors.New("the configuration has a mistake in line 7"))
		os.Exit(2)
	case "speaks another version":
		t.channel.send(header{Kind: kindPrepared, Protocol: Protocol + 1, Version: "v9"}, nil, nil, time.Second)
		time.Sleep(time.Minute)
	case "has other connections":
		h := mine(kindPrepared, "v9")
		h.State++
		t.channel.send(h, nil, nil, time.Second)
		time.Sleep(time.Minute)
	case "speaks out of turn":
		t.channel.send(header{Kind: kindListening}, nil, nil, time.Second)
		time.Sleep(time.Minute)
	case "talks nonsense":
		t.channel.c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		time.Sleep(time.Minute)
	}
	switch err := t.Prepared(); {
	case errors.Is(err, ErrGone) && fault == "tells":
		alone(kindPrepared, t, nil)
	case err != nil:
		os.Exit(6)
	}
	at("before it is ready")
	if fault == "can't open the stores" {
		t.Fail(errors.New("tidegate.db is damaged"))
		os.Exit(1)
	}
	l := t.Listener("public")
	switch err := t.Ready(); {
	case errors.Is(err, ErrGone) && fault == "tells":
		alone(kindReady, t, l)
	case l == nil || err != nil:
		os.Exit(7)
	}
	at("before it listens")
	link, err := t.Link(newHome(2))
	if err != nil {
		os.Exit(8)
	}
	batches := 0
	n, err := t.Listening(link, func(batch []transport.Frozen) error {
		batches++
		at(fmt.Sprintf("with batch %d", batches))
		if fault == fmt.Sprintf("stops behind batch %d", batches) {
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			time.Sleep(time.Minute) // another thread may have stopped first
		}
		for i := range batch { // shows that the very socket came
			fd, err := batch[i].Take()
			if err != nil {
				return err
			}
			f := os.NewFile(uintptr(fd), "socket")
			fmt.Fprintf(f, "%s %s %s", batch[i].Listener, batch[i].State, batch[i].Data)
			f.Close()
		}
		if room, ok := strings.CutPrefix(fault, "has room for sockets: "); ok && batches == 2 {
			leaveDescriptors(room)
		}
		return nil
	})
	if fault == "tells" {
		fmt.Printf("took %d: %v\n", n, errors.Is(err, ErrGone))
	}
	if err != nil && !errors.Is(err, ErrGone) {
		os.Exit(9)
	}
}

// leaveDescriptors has the process open so many descriptors more at most.
func leaveDescriptors(text string) {
	n, err := strconv.Atoi(text)
	if err != nil {
		os.Exit(12)
	}
	highest := 0
	for range n { // numbers are given out from the lowest free one
		if fd, err := syscall.Dup(0); err == nil {
			defer syscall.Close(fd)
			highest = fd
		}
	}
	limit := uint64(highest) + 1
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit})
}

func newHome(incarnation uint32) Home {
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		panic(err)
	}
	r, err := connection.NewRegistry(codec, incarnation, 1000)
	if err != nil {
		panic(err)
	}
	return Home{Local: cluster.NewRouter(cluster.Node{Registry: r}, cluster.EventListener{}).Local(), Codec: codec}
}

// An old is the old process's side with everything around it noted.
type old struct {
	t       *testing.T
	giver   *Giver
	mu      sync.Mutex
	said    []string
	clients []*os.File
	next    int // which client goes next
}

func (o *old) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = append(o.said, fmt.Sprintf(format, args...))
}

func newOld(t *testing.T, fault string) *old {
	o := &old{t: t}
	if t != nil {
		t.Cleanup(func() { closeAll(o.clients) })
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), faultVariable+"="+fault)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	o.giver = &Giver{
		Command: cmd, Version: "v1", Home: newHome(1),
		Listeners: func() ([]Listener, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			defer l.Close()
			f, err := l.(*net.TCPListener).File()
			return []Listener{{"public", f}}, err
		},
		Stored:  func(context.Context) ([]byte, error) { return []byte("what is stored"), nil },
		Suspend: func() error { o.note("suspend"); return nil },
		Resume:  func() error { o.note("resume"); return nil },
		Accept:  func() { o.note("accept") },
		Join:    func(l *Link) { o.note("join %t", l != nil) },
		Settle:  func(frozen []byte, moved bool) { o.note("%s moved %t", frozen, moved) },
		Tell:    func(p Progress) { o.note("%s", p.Step) },
		Freeze:  o.freeze,
	}
	return o
}

// freeze is an engine with three batches of two.
func (o *old) freeze(ctx context.Context, _ int, pass func([]transport.Frozen) error) (transport.Left, error) {
	for o.next < 6 {
		batch := make([]transport.Frozen, 2)
		for i := range batch {
			ours, theirs, err := socketPair()
			if err != nil {
				return transport.Left{}, err
			}
			o.clients = append(o.clients, ours)
			n := o.next + i
			batch[i] = transport.Frozen{File: theirs, Listener: "l", State: fmt.Appendf(nil, "state%d", n), Data: fmt.Appendf(nil, "data%d", n)}
		}
		err := pass(batch)
		for i := range batch {
			batch[i].File.Close()
		}
		if err != nil {
			return transport.Left{Movable: 6 - o.next}, err
		}
		o.next += 2
	}
	return transport.Left{}, nil
}

func (o *old) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, s := range o.said {
		if s == what {
			n++
		}
	}
	return n
}

func TestHandOff(t *testing.T) {
	o := newOld(t, "")
	s, err := o.giver.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Moved != 6 || s.Version != "v2" || s.PID != s.process.cmd.Process.Pid || s.Left.Total() != 0 {
		t.Errorf("%+v", s)
	}
	want := []string{"started", "prepared", "suspend", "closed", "ready", "join true", "listening",
		"data0 moved true", "data1 moved true", "moving", "data2 moved true", "data3 moved true", "moving", "data4 moved true", "data5 moved true", "moving", "moved"}
	if !slices.Equal(o.said, want) {
		t.Errorf("it went %q, want %q", o.said, want)
	}
	for i, c := range o.clients {
		b := make([]byte, 64)
		n, err := c.Read(b)
		if want := fmt.Sprintf("l state%d data%d", i, i); err != nil || string(b[:n]) != want {
			t.Errorf("client %d heard %q, %v, want %q", i, b[:n], err, want)
		}
	}
	if err := s.Done(); err != nil {
		t.Error(err)
	}
	<-s.process.ended
	if state := *s.process.state.Load(); state != "exit status 0" {
		t.Error(state)
	}
	select {
	case <-s.Link.Ended():
	case <-time.After(10 * time.Second):
		t.Error("the link outlives the other process")
	}
}

// TestFailures holds what each step's failure leaves: the new process is ended, this
// one has its stores and listeners again.
func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		fault string
		after Step
		says  string
		lost  int
	}{
		{fault: "dies at its start", after: Started, says: "exit status 3"},
		{fault: "refuses", after: Started, says: "line 7"},
		{fault: "speaks another version", after: Started, says: "version v9 speaks hand-off 2"},
		{fault: "has other connections", after: Started, says: "restart Tidegate instead"},
		{fault: "speaks out of turn", after: Started, says: `said "listening" where "prepared" was due`},
		{fault: "talks nonsense", after: Started, says: "too large"},
		{fault: "dies before it is ready", after: Closed, says: "exit status 3"},
		{fault: "can't open the stores", after: Closed, says: "damaged"},
		{fault: "dies before it listens", after: Ready, says: "exit status 3"},
		{fault: "dies with batch 2", after: Moving, says: "exit status 3", lost: 4},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			o := newOld(t, tt.fault)
			_, err := o.giver.Run(t.Context())
			var failed *Error
			if !errors.As(err, &failed) {
				t.Fatalf("it ended with %v", err)
			}
			if failed.After != tt.after || failed.Lost != tt.lost || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("after %q, %d lost: %v", failed.After, failed.Lost, err)
			}
			if o.count("suspend") != o.count("resume") {
				t.Errorf("the stores stay closed: %q", o.said)
			}
			if o.count("join true") > 0 && o.said[len(o.said)-1] == "join true" || o.count("join false") != 1 {
				t.Errorf("it still asks the other: %q", o.said)
			}
			if moved := o.count("listening"); o.count("accept") != moved {
				t.Errorf("it accepts nobody: %q", o.said)
			}
			o.giver.Command.Process.Kill() // it was waited for: there is none to kill
			if o.giver.Command.ProcessState == nil {
				t.Error("the new process still runs")
			}
		})
	}
}

// TestSilence holds what is left when the new process stops answering between two
// batches and still lives: it is ended before the old one goes on with what it sent.
func TestSilence(t *testing.T) {
	o := newOld(t, "stops behind batch 1")
	o.giver.batchTime, o.giver.moveTime = 300*time.Millisecond, 100*time.Millisecond
	_, err := o.giver.Run(t.Context())
	var failed *Error
	if !errors.As(err, &failed) || failed.After != Moving || failed.Lost != 2 || !strings.Contains(err.Error(), "in time") {
		t.Fatalf("it ended with %v", err)
	}
	if o.count("data1 moved true") != 1 || o.count("data2 moved false") != 1 || o.count("data3 moved false") != 1 || o.next != 2 {
		t.Errorf("it went %q", o.said)
	}
	if o.count("resume") != 1 || o.count("accept") != 1 {
		t.Errorf("the old process doesn't go on: %q", o.said)
	}
	if o.giver.Command.ProcessState == nil {
		t.Error("the silent process still lives")
	}
	if n, err := o.clients[2].Read(make([]byte, 64)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the new process wrote %d bytes to a client that it didn't take, %v", n, err)
	}
}

// A silentRun is the old process at a batch, and the other end of its channel.
func silentRun(t *testing.T) (*run, *old, *channel) {
	o := newOld(t, "")
	o.giver.batchTime = 50 * time.Millisecond
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ours, theirs := channels(t)
	s := &Successor{giver: o.giver, channel: ours, process: watch(cmd), Link: newLink(nil, Home{}, true)}
	t.Cleanup(s.process.kill)
	return &run{giver: o.giver, successor: s}, o, theirs
}

// TestLastWords has an acknowledgement come when its time is over: the connections
// were the new process's, which has been ended, and not the old one's as well.
func TestLastWords(t *testing.T) {
	r, o, theirs := silentRun(t)
	go func() {
		<-r.successor.process.ended
		theirs.send(header{Kind: kindTook}, nil, nil, time.Second)
	}()
	left, err := o.freeze(t.Context(), 0, r.pass)
	if err == nil || !strings.Contains(err.Error(), "in time") || left.Movable != 4 || r.successor.Moved != 2 {
		t.Errorf("%+v, %v, %d moved", left, err, r.successor.Moved)
	}
	if o.count("data1 moved true") != 1 || o.count("data2 moved true")+o.count("data2 moved false") != 0 {
		t.Errorf("it went %q", o.said)
	}
}

// TestSilenceBehindTheHandOff holds that a new process which has all but a few
// connections isn't ended because of those, and that the old one lets go of what it
// may take yet.
func TestSilenceBehindTheHandOff(t *testing.T) {
	r, o, theirs := silentRun(t)
	s := r.successor
	if err := s.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("it ended with %v", err)
	}
	if o.count("data0 moved true") != 1 || o.count("data1 moved true") != 1 || s.Left.Movable != 4 || s.process.state.Load() != nil {
		t.Errorf("it went %q, %v", o.said, s.Left)
	}
	s.failed = nil
	theirs.c.Close() // what isn't acknowledged by now never is
	if err := s.Pass(t.Context()); !errors.Is(err, ErrGone) || o.count("data2 moved false") != 1 {
		t.Errorf("it ended with %v, %q", err, o.said)
	}
}

// TestOldProcessEnds kills the old process at each step. The new one goes on from
// where it is, with the listeners, and has what it took.
func TestOldProcessEnds(t *testing.T) {
	for step, want := range map[Step]string{
		Started:   "alone after prepared: true, <nil>\n",
		Prepared:  "alone after prepared: true, <nil>\n",
		Closed:    "alone after ready: true, <nil>\n",
		Ready:     "alone after ready: true, <nil>\n",
		Listening: "took 0: true\n",
		Moving:    "took 2: true\n",
		Moved:     "took 6: true\n",
	} {
		t.Run(string(step), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), faultVariable+"=dies as old at "+string(step))
			cmd.WaitDelay = 20 * time.Second // for the new process, which writes on
			out, err := cmd.Output()
			var killed *exec.ExitError
			if !errors.As(err, &killed) || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("the old process: %v", err)
			}
			if string(out) != want {
				t.Errorf("the new process said %q, want %q", out, want)
			}
		})
	}
}

// TestBatchOfTheDead holds that a batch which came whole is taken although nobody
// hears so: the old process has ended, and the connections are nobody else's.
func TestBatchOfTheDead(t *testing.T) {
	from, to := channels(t)
	from.c.Close()
	thawed := 0
	err := (&Taker{channel: to}).take(newLink(nil, Home{}, false), make([]transport.Frozen, 2), func(batch []transport.Frozen) error {
		thawed += len(batch)
		return nil
	})
	if thawed != 2 || err != nil {
		t.Errorf("%d thawed, %v", thawed, err)
	}
}

// TestRefusedBatch holds that a new process which can take no more keeps what it has,
// and the old one what is left.
func TestRefusedBatch(t *testing.T) {
	for room, says := range map[string]string{
		"1": "no descriptors left", // half a batch arrives
		"2": "too many open files", // it arrives, and there is none to take it over with
	} {
		t.Run(room, func(t *testing.T) { testRefusedBatch(t, room, says) })
	}
}

func testRefusedBatch(t *testing.T, room, says string) {
	o := newOld(t, "has room for sockets: "+room)
	s, err := o.giver.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Moved != 4 || s.Left.Movable != 2 || s.Refused == nil || !strings.Contains(s.Refused.Error(), says) {
		t.Errorf("%d moved, %v, refused: %v", s.Moved, s.Left, s.Refused)
	}
	if o.count("resume") != 0 || o.count("join false") != 0 || o.count("data4 moved false") != 1 || o.count("data5 moved false") != 1 {
		t.Errorf("it went %q", o.said)
	}
	if err := s.Done(); err != nil {
		t.Error(err)
	}
	<-s.process.ended
	<-s.Link.Ended() // its descriptor is closed by then
	if state := *s.process.state.Load(); state != "exit status 0" {
		t.Error(state)
	}
}

func TestCommandThatIsNone(t *testing.T) {
	o := newOld(t, "")
	o.giver.Command = exec.Command("/nonexistent/tidegate")
	_, err := o.giver.Run(t.Context())
	var failed *Error
	if !errors.As(err, &failed) || failed.After != "" || !strings.Contains(err.Error(), "/nonexistent/tidegate") || o.count("suspend") != 0 {
		t.Errorf("%v, %q", err, o.said)
	}
}

// TestNoDescriptors holds that a hand-off for which the process has no descriptors
// fails, at whichever of them, and leaves none behind.
func TestNoDescriptors(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	open := descriptors(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	free := uint64(file.Fd())
	file.Close()
	for extra := range uint64(32) {
		o := newOld(t, "refuses")
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: free + extra, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		_, err := o.giver.Run(t.Context())
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		var failed *Error
		if !errors.As(err, &failed) {
			t.Fatalf("with %d descriptors left: %v", extra, err)
		}
		n := descriptors(t)
		for end := time.Now().Add(10 * time.Second); n > open && time.Now().Before(end); n = descriptors(t) {
			time.Sleep(time.Millisecond) // goroutines that end close some
		}
		if n > open {
			t.Errorf("with %d descriptors left, %d are open behind it, %d before: %v", extra, n, open, err)
		}
		open = min(open, n) // what earlier tests left may still be closed
		if failed.After == Started {
			if extra < 6 { // two pairs of sockets, a listener and its copy
				t.Errorf("%d descriptors were enough", extra)
			}
			return
		}
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("with %d descriptors left: %v", extra, err)
		}
	}
	t.Error("32 descriptors were not enough")
}

// descriptors counts the process's open ones.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestGivenUp holds that a hand-off whose process is told to end stops at once.
func TestGivenUp(t *testing.T) {
	o := newOld(t, "hangs before it is ready")
	ctx, cancel := context.WithCancelCause(t.Context())
	o.giver.Tell = func(p Progress) {
		if p.Step == Closed {
			cancel(errors.New("told to end"))
		}
	}
	began := time.Now()
	if _, err := o.giver.Run(ctx); err == nil || !strings.Contains(err.Error(), "told to end") || o.count("resume") != 1 {
		t.Errorf("%v, %q", err, o.said)
	}
	if time.Since(began) > 20*time.Second {
		t.Error("it waited for the hung process")
	}
}

// channels returns two ends of a channel.
func channels(t testing.TB) (*channel, *channel) {
	t.Helper()
	a, b, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	left, err := channelOf(a)
	if err != nil {
		t.Fatal(err)
	}
	right, err := channelOf(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { left.c.Close(); right.c.Close() })
	return left, right
}

func TestChannel(t *testing.T) {
	a, b := channels(t)
	big := bytes.Repeat([]byte("x"), 5<<20) // more than the socket takes at once
	go func() {
		for n := range 3 {
			files := make([]*os.File, BatchSize)
			for i := range files {
				files[i], _ = os.Open(os.DevNull)
			}
			a.send(header{Kind: kindBatch, PID: n}, [][]byte{big, nil, []byte("end")}, files, time.Minute)
			closeAll(files)
		}
		a.c.Close()
	}()
	for n := range 3 {
		var h header
		payload, files, err := b.receive(&h, 0)
		if err != nil || h.PID != n || len(payload) != len(big)+3 || string(payload[len(big):]) != "end" || len(files) != BatchSize {
			t.Fatalf("%+v, %d bytes, %d files, %v", h, len(payload), len(files), err)
		}
		closeAll(files)
	}
	if _, _, err := b.receive(&header{}, 0); !errors.Is(err, ErrGone) {
		t.Errorf("after the end: %v", err)
	}
	c, _ := channels(t)
	if _, _, err := c.receive(&header{}, time.Millisecond); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("a silent peer: %v", err)
	}
	if err := c.send(header{Kind: strings.Repeat("x", maxHeader)}, nil, nil, time.Second); err == nil {
		t.Error("a header beyond the bound was sent")
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0f\x00\x00\x00\x01{\"kind\":\"took\"}x"))
	f.Add([]byte("\x00\x00\x00\x02\xff\xff\xff\xff{}"))
	f.Add([]byte("\x00\x00\x00\x36\x00\x00\x00\x03{\"kind\":\"batch\",\"connections\":[{\"l\":\"x\",\"s\":1,\"d\":2}]}abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		a, c := channels(t)
		a.c.Write(b)
		a.c.Close()
		var h header
		payload, files, err := c.receive(&h, time.Second)
		closeAll(files)
		if err != nil {
			return
		}
		batch, err := batchOf(&h, payload, make([]*os.File, len(h.Connections)))
		if err != nil {
			return
		}
		var whole []byte
		for _, f := range batch {
			whole = append(append(whole, f.State...), f.Data...)
		}
		if !bytes.Equal(whole, payload) {
			t.Errorf("of %q came %q", payload, whole)
		}
	})
}

// FuzzLink gives a process what isn't the other's to say: it ends the link, and no
// more.
func FuzzLink(f *testing.F) {
	message := func(head, payload string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(head)))
		return append(binary.BigEndian.AppendUint32(b, uint32(len(payload))), head+payload...)
	}
	home := newHome(1)
	home.Release = func(connection.ID, int, int) error { return cluster.ErrNotHere }
	for _, op := range []string{opPush, opGet, opDelete, opRelease, opFind, opAll, opAllHere, "dance", ""} {
		f.Add(message(`{"n":1,"op":"`+op+`","id":"AAAAAAAAAAAAAAA=","api":"a","stage":"s","ended":1}`, "hello"), op == opAll)
	}
	f.Fuzz(func(t *testing.T, b []byte, giver bool) {
		if len(b) > 4096 {
			return
		}
		a, c := channels(t)
		l := newLink(c, home, giver)
		go func() {
			a.c.Write(b)
			a.c.CloseWrite()
			io.Copy(io.Discard, a.c)
		}()
		l.serve()
		<-l.Ended()
		// What it was asked, it has answered or given up.
		for range maxCalls {
			l.slots <- struct{}{}
		}
	})
}

func TestBatchOf(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, h := range map[string]header{
		"another kind":    {Kind: kindTook},
		"too many":        {Kind: kindBatch, Connections: make([]passed, 2)},
		"beyond the end":  {Kind: kindBatch, Connections: []passed{{State: 4, Data: 2}}},
		"negative":        {Kind: kindBatch, Connections: []passed{{State: -1, Data: 6}}},
		"short of it":     {Kind: kindBatch, Connections: []passed{{State: 1, Data: 1}}},
		"an integer over": {Kind: kindBatch, Connections: []passed{{State: 1, Data: int(^uint(0) >> 1)}}},
	} {
		if _, err := batchOf(&h, []byte("abcde"), []*os.File{file}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	got, err := batchOf(&header{Kind: kindBatch, Connections: []passed{{Listener: "l", State: 5}}}, []byte("abcde"), []*os.File{file})
	if err != nil || string(got[0].State) != "abcde" || got[0].Data != nil {
		t.Errorf("%+v, %v", got, err)
	}
}
