package app

import "golang.org/x/sys/unix"

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
