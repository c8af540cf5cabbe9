//go:build unix

package email

import (
	"net"
	"syscall"
)

// spoken reports, without waiting, whether the other side has sent something or hung up.
func spoken(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	yes := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		yes = err != syscall.EAGAIN && err != syscall.EINTR
		return true
	})
	return yes || err != nil
}
