package integrity

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"
)

// The bounds of a diff that is shown. Beyond them a file is shown by its digests and sizes.
const (
	maxDiffed    = 256 << 10 // bytes of a file whose lines are compared
	maxDiffLines = 400       // of one file
	maxDiffWidth = 400       // bytes of a line
)

// Shown is a change with what can be shown of it.
type Shown struct {
	Change
	Diff   string `json:"diff,omitempty"`    // unified, bounded; "" when the file is shown by digest and size alone
	Binary bool   `json:"binary,omitempty"`  // it is no text
	Cut    bool   `json:"cut,omitempty"`     // the diff is longer than is shown, or the file too long to compare
	Gone   bool   `json:"missing,omitempty"` // a version of it is not kept any more
}

// show makes the diff of one change. before and after are the bytes, nil where there is no such file.
func show(c Change, before, after []byte) Shown {
	s := Shown{Change: c}
	if !text(before) || !text(after) {
		s.Binary = true
		return s
	}
	if len(before) > maxDiffed || len(after) > maxDiffed {
		s.Cut = true
		return s
	}
	from, to := "approved/"+c.Path, "found/"+c.Path
	if c.Before == nil {
		from = "/dev/null"
	}
	if c.After == nil {
		to = "/dev/null"
	}
	var out strings.Builder
	n := 0
	for line := range strings.Lines(udiff.Unified(from, to, string(before), string(after))) {
		if n++; n > maxDiffLines {
			s.Cut = true
			break
		}
		body := strings.TrimSuffix(line, "\n")
		if len(body) > maxDiffWidth {
			// A minified script is one line of many kilobytes: its beginning shows what it is.
			body = strings.ToValidUTF8(body[:maxDiffWidth], "") + " …"
			s.Cut = true
		}
		out.WriteString(body + "\n")
	}
	s.Diff = out.String()
	return s
}

// text says that bytes can be shown as lines.
func text(b []byte) bool { return utf8.Valid(b) && !bytes.ContainsRune(b, 0) }
