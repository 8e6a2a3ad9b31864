//go:build linux

// Package uring sends on many sockets by one system call, with the kernel's
// io_uring. It knows nothing else of io_uring: nothing waits in a ring, and
// between two calls of Submit a ring is empty.
package uring

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's numbers and structs: include/uapi/linux/io_uring.h.
const (
	opSend        = 26         // IORING_OP_SEND, Linux 5.6
	coopTaskrun   = 1 << 8     // IORING_SETUP_COOP_TASKRUN, Linux 5.19: no interrupt for a completion
	singleMmap    = 1 << 0     // IORING_FEAT_SINGLE_MMAP, Linux 5.4
	enterGet      = 1 << 0     // IORING_ENTER_GETEVENTS
	offsetRings   = 0          // IORING_OFF_SQ_RING
	offsetEntries = 0x10000000 // IORING_OFF_SQES
)

type submission struct {
	opcode      uint8
	flags       uint8
	priority    uint16
	fd          int32
	offset      uint64
	address     uint64
	length      uint32
	messageFlag uint32
	userData    uint64
	_           [3]uint64
}

type completion struct {
	userData uint64
	result   int32
	flags    uint32
}

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// A Ring is for one goroutine at a time.
type Ring struct {
	fd             int
	rings          []byte // both rings' indices, and the completions
	entries        []byte // the submissions' memory
	submissions    []submission
	completions    []completion
	sqHead         *uint32 // the kernel's
	sqTail         *uint32
	cqHead         *uint32
	cqTail         *uint32 // the kernel's
	sqMask, cqMask uint32
	tail           uint32   // of submissions; the kernel is told by Submit
	added          [][]byte // since the last Submit: for the garbage collector, and off the stack
}

// Missing says that an error of New means that the kernel has no io_uring for this
// process, now or later.
func Missing(err error) bool {
	return errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL)
}

// New makes a ring for size sends at a time, a power of two. The error is the
// kernel's; see Missing.
func New(size int) (*Ring, error) {
	p := params{flags: coopTaskrun}
	fd, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, uintptr(size), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	r := &Ring{fd: int(fd)}
	if p.features&singleMmap == 0 {
		r.Close()
		return nil, os.NewSyscallError("io_uring_setup", syscall.EINVAL)
	}
	if err := r.mapRings(&p); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Ring) mapRings(p *params) (err error) {
	size := max(int(p.sq.array)+4*int(p.sqEntries), int(p.cq.cqes)+int(unsafe.Sizeof(completion{}))*int(p.cqEntries))
	if r.rings, err = r.mmap(offsetRings, size); err != nil {
		return err
	}
	if r.entries, err = r.mmap(offsetEntries, int(unsafe.Sizeof(submission{}))*int(p.sqEntries)); err != nil {
		return err
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[offset])) }
	r.sqHead, r.sqTail, r.sqMask = at(p.sq.head), at(p.sq.tail), *at(p.sq.mask)
	r.cqHead, r.cqTail, r.cqMask = at(p.cq.head), at(p.cq.tail), *at(p.cq.mask)
	r.submissions = unsafe.Slice((*submission)(unsafe.Pointer(&r.entries[0])), p.sqEntries)
	r.completions = unsafe.Slice((*completion)(unsafe.Pointer(&r.rings[p.cq.cqes])), p.cqEntries)
	order := unsafe.Slice(at(p.sq.array), p.sqEntries)
	for i := range order {
		order[i] = uint32(i) // submissions are used as they lie
	}
	return nil
}

func (r *Ring) mmap(offset int64, size int) ([]byte, error) {
	m, err := syscall.Mmap(r.fd, offset, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_POPULATE)
	return m, os.NewSyscallError("mmap", err)
}

// Close gives the ring back to the kernel.
func (r *Ring) Close() error {
	for _, m := range [][]byte{r.rings, r.entries} {
		if m != nil {
			syscall.Munmap(m)
		}
	}
	return os.NewSyscallError("close", syscall.Close(r.fd))
}

// Size returns how many sends fit between two calls of Submit.
func (r *Ring) Size() int { return len(r.submissions) }

// Add puts one send into the ring, which must have room. Neither p nor what it
// points to may change, and fd must stay open, until Submit returns. It never waits
// for the socket, and raises no SIGPIPE.
func (r *Ring) Add(fd int, p []byte) {
	r.submissions[r.tail&r.sqMask] = submission{
		opcode: opSend, fd: int32(fd), userData: uint64(len(r.added)),
		address: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), length: uint32(len(p)),
		messageFlag: syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL,
	}
	r.tail++
	r.added = append(r.added, p)
}

// Submit does all sends that were added, in their order, and sets results[i] to
// how many bytes the i-th socket took, or to minus the errno: as send(2) would.
// -EAGAIN is also what the kernel refused to do, for lack of memory. It does not
// tell the scheduler, as a send does not block.
func (r *Ring) Submit(results []int) {
	defer r.forget()
	n := len(r.added)
	for i := range results[:n] {
		results[i] = -int(syscall.EAGAIN)
	}
	atomic.StoreUint32(r.sqTail, r.tail)
	for waiting := n; waiting > 0; waiting -= r.reap(results[:n]) {
		open := r.tail - atomic.LoadUint32(r.sqHead)
		_, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(open), uintptr(waiting), enterGet, 0, 0)
		switch errno {
		case 0, syscall.EINTR:
		case syscall.EAGAIN, syscall.EBUSY, syscall.ENOMEM:
			// What the kernel hasn't begun is taken back. It looks at the tail in
			// that call alone.
			left := r.tail - atomic.LoadUint32(r.sqHead)
			r.tail -= left
			atomic.StoreUint32(r.sqTail, r.tail)
			waiting -= int(left)
		default: // a ring that isn't one: the bytes of a send under way couldn't be given back
			panic(fmt.Sprintf("uring: io_uring_enter: %v", errno))
		}
	}
}

func (r *Ring) forget() {
	clear(r.added)
	r.added = r.added[:0]
}

// reap takes the completions and returns how many there were.
func (r *Ring) reap(results []int) int {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for i := head; i != tail; i++ {
		c := &r.completions[i&r.cqMask]
		results[c.userData] = int(c.result)
	}
	atomic.StoreUint32(r.cqHead, tail)
	return int(tail - head)
}
