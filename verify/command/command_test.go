package command

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func call(args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = Run(args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestExitCodesAreThoseOfTheManual(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	notOne := file("not-one", "hello\n\x1b[31m")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{}, 2, "one export is checked at a time"},
		{[]string{"--nonsense", notOne}, 2, "nonsense"},
		{[]string{notOne, notOne}, 2, "2 were given"},
		{[]string{filepath.Join(dir, "absent")}, 2, "absent"},
		{[]string{dir}, 2, "is not a file"},
		{[]string{"--key", filepath.Join(dir, "absent"), notOne}, 2, "absent"},
		{[]string{"--help"}, 0, "exit status"},
		{[]string{notOne}, 1, "NOT verified"},
		{[]string{notOne, "--json"}, 1, `"ok": false`},
		{[]string{file("empty", "")}, 1, "envelope"},
	} {
		code, out, errs := call(c.args...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%v: exit %d, %q %q", c.args, code, out, errs)
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%v: a control character reached the terminal", c.args)
		}
	}
}

func TestACheckpointIsFoundInWhatAUserKept(t *testing.T) {
	note := "org/facts\n2\nAAAA\n\n— org/facts AAAA\n"
	enc := base64.StdEncoding.EncodeToString([]byte(note))
	folded := enc[:20] + "\r\n " + enc[20:]
	for name, kept := range map[string]string{
		"the note": note,
		"base64":   enc + "\n",
		"pasted":   "\r\n" + strings.ReplaceAll(note, "\n", "\r\n") + "\r\n\r\n",
		"a mail":   "From: a@example.com\r\nTocsin-Checkpoint: " + folded + "\r\nSubject: x\r\n\r\nbody\r\n",
	} {
		got := checkpoints([]byte(kept))
		if len(got) != 1 || string(got[0]) != note {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestSeveralCheckpointsMayBeKeptInOneFile(t *testing.T) {
	facts := "org/facts\n2\nAAAA\n\n— org/facts AAAA\n"
	events := "org/events\n7\nBBBB\n\n— org/events BBBB\n— witness CCCC\n"
	for name, kept := range map[string]string{"one below the other": facts + events, "with a blank line": facts + "\n" + events} {
		got := checkpoints([]byte(kept))
		if len(got) != 2 || string(got[0]) != facts || string(got[1]) != events {
			t.Errorf("%s: %q", name, got)
		}
	}
}
