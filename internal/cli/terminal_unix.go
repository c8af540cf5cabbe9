//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalSize is the size of the terminal that v writes to; 0, 0 when it is none.
func terminalSize(v any) (columns, rows int) {
	f, ok := v.(*os.File)
	if !ok {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	if size.Row == 0 || size.Col == 0 { // a terminal that does not know
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}
