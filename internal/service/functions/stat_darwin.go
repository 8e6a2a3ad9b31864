package functions

import "syscall"

func modifiedAt(st *syscall.Stat_t) int64 { return st.Mtimespec.Nano() }
