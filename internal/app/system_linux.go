package app

import (
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// mayUse asks the system whether this account may read a file or work in a folder, and write to it.
func mayUse(path string, folder, write bool) error {
	mode := uint32(unix.R_OK)
	if folder {
		mode |= unix.X_OK
	}
	if write {
		mode |= unix.W_OK
	}
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}

// belongsTo says whose a file is.
func belongsTo(info fs.FileInfo) string {
	if info == nil {
		return ""
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf(", it belongs to uid %d", s.Uid)
	}
	return ""
}

// space is how much of the folder's disk is free to this account, and how large it is.
func space(dir string) (free, all uint64) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil || s.Bsize <= 0 {
		return 0, 0
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize)
}

// clockState is what the kernel says of its clock. Asking changes nothing and needs no right.
func clockState() string {
	var t unix.Timex
	switch state, err := unix.Adjtimex(&t); {
	case err != nil:
		return ""
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return "unsynchronised"
	}
	return "synchronised"
}
