package cli

import (
	"strings"
	"testing"
)

func TestPaintMarksErrorsWarningsAndCarets(t *testing.T) {
	report := "p.yaml:1:1: error: there is no role ^x\n    1 | who: ^x\n      |     ^\np.yaml:2:1: warning: nobody is named\n    2 | a\n      | ^"
	got := paint(report)
	for _, want := range []string{": \x1b[31m\x1b[1merror\x1b[0m: there is no role ^x", "      |     \x1b[31m^\x1b[0m", ": \x1b[33m\x1b[1mwarning\x1b[0m: ", "      | \x1b[33m^\x1b[0m", "    1 | who: ^x\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	plain := strings.NewReplacer("\x1b[31m", "", "\x1b[33m", "", "\x1b[1m", "", "\x1b[0m", "").Replace(got)
	if plain != report {
		t.Errorf("without colour it reads %q", plain)
	}
}
