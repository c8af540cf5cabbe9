// Package command is the command line of the verifier, for tocsin-verify and for tocsin evidence
// verify: it checks an evidence export, or the proof of one event, offline.
//
// Exit status: 0 the export holds, 1 it does not (each finding named, one a line), 2 the command
// line or a file given with it cannot be used.
package command

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tocsin-ir/tocsin/verify"
)

// The exit codes.
const (
	exitOK    = 0
	exitNot   = 1
	exitUsage = 2
)

const usage = `usage: tocsin-verify [--key FILE] [--since FILE]... [--witness FILE]...
                     [--first] [--json] FILE

  FILE          the export of an incident, or the proof of one event
  --key FILE    verifier key of the facts log, or both keys, one a line (as in
                keys.txt). Get it from somewhere else than the export.
  --since FILE  a checkpoint you kept: the signed text, its base64, a mail that
                carries it, or an earlier export. May be given several times.
  --witness FILE
                verifier keys of witnesses, one a line, that have to have signed
                both logs. Get them from the witnesses.
  --first       stop at the first thing that is wrong
  --json        print the whole report as JSON

exit status: 0 holds, 1 does not, 2 cannot be checked
`

// files collects a flag that may be given several times.
type files []string

func (f *files) String() string     { return strings.Join(*f, " ") }
func (f *files) Set(v string) error { *f = append(*f, v); return nil }

// Run checks what the arguments name, and returns the exit status.
func Run(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("tocsin-verify", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var keys, since, witnesses files
	fs.Var(&keys, "key", "")
	fs.Var(&since, "since", "")
	fs.Var(&witnesses, "witness", "")
	first := fs.Bool("first", false, "")
	asJSON := fs.Bool("json", false, "")
	export, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "tocsin-verify: %v\n%s", err, usage)
		return exitUsage
	}
	o := verify.Options{First: *first}
	for _, list := range []struct {
		names files
		to    *[]string
	}{{keys, &o.Keys}, {witnesses, &o.Witnesses}} {
		for _, name := range list.names {
			raw, err := readSmall(name)
			if err != nil {
				fmt.Fprintf(stderr, "tocsin-verify: %v\n", err)
				return exitUsage
			}
			for line := range strings.Lines(string(raw)) {
				if line = strings.TrimSpace(line); line != "" {
					*list.to = append(*list.to, line)
				}
			}
		}
	}
	for _, name := range since {
		if begins(name, exportStart) {
			found, err := verify.Kept(name)
			if err != nil {
				fmt.Fprintf(stderr, "tocsin-verify: %s\n", strings.TrimPrefix(err.Error(), "verify: "))
				return exitUsage
			}
			o.Since = append(o.Since, found...)
			continue
		}
		raw, err := readSmall(name)
		if err != nil {
			fmt.Fprintf(stderr, "tocsin-verify: %v\n", err)
			return exitUsage
		}
		o.Since = append(o.Since, checkpoints(raw)...)
	}
	report, ok, err := check(export, o)
	if err != nil {
		fmt.Fprintf(stderr, "tocsin-verify: %s\n", strings.TrimPrefix(err.Error(), "verify: "))
		return exitUsage
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", " ")
		if err := enc.Encode(report); err != nil {
			fmt.Fprintf(stderr, "tocsin-verify: %v\n", err)
			return exitUsage
		}
	} else {
		report.show(stdout)
	}
	if !ok {
		return exitNot
	}
	return exitOK
}

// shown is a report that can print itself.
type shown interface{ show(io.Writer) }

type exportReport struct{ verify.Report }

type eventReport struct{ verify.EventReport }

// check checks an export, or the proof of one event: that is a JSON document, and an export never
// begins as one.
func check(name string, o verify.Options) (shown, bool, error) {
	if begins(name, "{") {
		raw, err := readUpTo(name, verify.MaxEventProof)
		if err != nil {
			return nil, false, err
		}
		r, err := verify.Event(raw, o)
		return eventReport{r}, r.OK, err
	}
	r, err := verify.File(name, o)
	return exportReport{r}, r.OK, err
}

// exportStart is how an export begins.
const exportStart = "tocsin-export/v1\n"

// begins says whether a file begins with a text; one that cannot be read does not.
func begins(name, text string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	first := make([]byte, len(text))
	_, err = io.ReadFull(f, first)
	return err == nil && string(first) == text
}

// parse takes flags before and after the export's name.
func parse(fs *flag.FlagSet, args []string) (string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return "", err
		}
		if fs.NArg() == 0 {
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if len(rest) != 1 {
		return "", fmt.Errorf("one export is checked at a time, %d were given", len(rest))
	}
	return rest[0], nil
}

// maxSmall bounds a key or a kept checkpoint, in bytes; a mail may be long.
const maxSmall = 1 << 20

func readSmall(name string) ([]byte, error) { return readUpTo(name, maxSmall) }

func readUpTo(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return raw, nil
}

// checkpoints finds the checkpoints in what a user kept: the note itself, its base64, or a mail
// whose headers carry one or both.
func checkpoints(raw []byte) [][]byte {
	if m, err := mail.ReadMessage(strings.NewReader(string(raw))); err == nil {
		var out [][]byte
		for name, values := range m.Header {
			if !strings.HasPrefix(name, "Tocsin-Checkpoint") && !strings.HasPrefix(name, "X-Tocsin-Checkpoint") {
				continue
			}
			for _, v := range values {
				if note, ok := unbase64(v); ok {
					out = append(out, note)
				}
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	if note, ok := unbase64(string(raw)); ok {
		return [][]byte{note}
	}
	if found := notes(string(raw)); len(found) > 0 {
		return found
	}
	return [][]byte{raw}
}

// Covers says how many leaves the kept checkpoint of a log covers: the one in raw, which is the note,
// its base64, or a mail, whose origin ends like suffix. Nothing is checked.
func Covers(raw []byte, suffix string) (uint64, error) {
	for _, kept := range checkpoints(raw) {
		origin, rest, _ := strings.Cut(string(kept), "\n")
		line, _, _ := strings.Cut(rest, "\n")
		if size, err := strconv.ParseUint(line, 10, 63); err == nil && strings.HasSuffix(origin, suffix) {
			return size, nil
		}
	}
	return 0, errors.New("it holds no checkpoint of a log whose name ends in " + suffix)
}

// notes finds the signed notes in a text that may hold several, with the line ends and blank lines
// that copying and pasting leaves behind: a note is a paragraph and the paragraph of its signatures.
func notes(text string) [][]byte {
	var out [][]byte
	above := ""
	for paragraph := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		if paragraph = strings.Trim(paragraph, "\n"); paragraph == "" {
			continue
		}
		if strings.HasPrefix(paragraph, "— ") && above != "" {
			// The next note may follow its predecessor's signatures without a blank line.
			signatures, rest := paragraph, ""
			for i, line := range strings.Split(paragraph, "\n") {
				if !strings.HasPrefix(line, "— ") {
					lines := strings.Split(paragraph, "\n")
					signatures, rest = strings.Join(lines[:i], "\n"), strings.Join(lines[i:], "\n")
					break
				}
			}
			out = append(out, []byte(above+"\n\n"+signatures+"\n"))
			above = rest
			continue
		}
		above = paragraph
	}
	return out
}

func unbase64(text string) ([]byte, bool) {
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	return raw, err == nil && strings.Contains(string(raw), "\n\n— ")
}

// printable takes control characters out of what an export says of itself: it may be hostile, and
// this is a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func (r exportReport) show(w io.Writer) {
	for _, f := range r.Findings {
		fmt.Fprintln(w, printable(f.String()))
	}
	if r.Incident != "" {
		fmt.Fprintf(w, "%s of %s: %s (%d pending, %s withheld), %s in %s, %s, %s\n",
			printable(r.Incident), printable(r.Organisation), count(r.Facts, "fact", "facts"), r.Pending, count(r.Withheld, "part", "parts"),
			count(r.Events, "event", "events"), count(r.Leaves, "leaf", "leaves"), count(r.Scopes, "scope", "scopes"), count(r.Checkpoints, "earlier checkpoint", "earlier checkpoints"))
	}
	r.removed(w)
	fmt.Fprintln(w, printable(r.Verdict))
	if r.OK {
		advise(w, "export", len(r.Against)+len(r.Witnessed) > 0, r.KeyGiven)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

// removed names the days whose events a scope may have counted and that were removed, each with the
// fact that says so, and what of each such scope is left.
func (r exportReport) removed(w io.Writer) {
	for _, d := range r.Removed {
		fmt.Fprintln(w, printable(fmt.Sprintf("removed: %s: %d events in %d leaves, on %s by the fact %s; kept for %s; %s",
			d.Day, d.Events, d.Leaves, d.At.UTC().Format(time.DateOnly), d.Fact, d.Keep, d.Basis)))
	}
	for _, s := range r.Short {
		days := strings.Join(s.Days[:min(len(s.Days), 5)], ", ")
		if n := len(s.Days) - 5; n > 0 {
			days += fmt.Sprintf(" and %d more days", n)
		}
		fmt.Fprintln(w, printable(fmt.Sprintf("scope %d: %d of its %d events are there and were counted again; its numbers are those of its fact; the others were removed with days among %s",
			s.Scope, s.Shown, s.Events, days)))
	}
}

// advise says what would make a verdict stronger.
func advise(w io.Writer, what string, anchored, key bool) {
	if !anchored {
		fmt.Fprintln(w, "a log rewritten with the real key would look the same: give a checkpoint you kept with --since, or the key of a witness with --witness")
	}
	if !key {
		fmt.Fprintf(w, "the %s vouches for its own key: give the key with --key\n", what)
	}
}

func (r eventReport) show(w io.Writer) {
	for _, f := range r.Findings {
		fmt.Fprintln(w, printable(f.String()))
	}
	if r.OK {
		fmt.Fprintf(w, "event %d of leaf %d of %s, of %d leaves\n%s\n", r.N, r.Leaf, printable(r.Log), r.Size, printable(string(r.Event)))
	}
	fmt.Fprintln(w, printable(r.Verdict))
	if r.OK {
		advise(w, "proof", len(r.Against)+len(r.Witnessed) > 0, r.KeyGiven)
	}
}
