package desk

import (
	"strconv"
	"strings"
)

// noteOrigin is the first line of a checkpoint: the name of its log.
func noteOrigin(note string) string {
	origin, _, _ := strings.Cut(note, "\n")
	return origin
}

// noteSize is the second line of a checkpoint: how many leaves it covers.
func noteSize(note string) (uint64, bool) {
	lines := strings.SplitN(note, "\n", 3)
	if len(lines) < 3 {
		return 0, false
	}
	n, err := strconv.ParseUint(lines[1], 10, 64)
	return n, err == nil
}
