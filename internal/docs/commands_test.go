package docs

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tocsin-ir/tocsin/internal/cli"
)

// line is one documented command.
type line struct {
	where piece
	page  string
	words []string
	whole bool // it stands in a block and is meant to be typed as it is
}

var commandStart = regexp.MustCompile(`^(?:\$ )?(?:\./)?(?:bin/)?(tocsin|tocsin-verify)(?: |$)`)

// commands are the documented commands of a page: lines of blocks and inline code.
func commands(p page) []line {
	var out []line
	for _, b := range p.blocks {
		if strings.HasPrefix(b.info, "go") || strings.HasPrefix(b.info, "yaml") || strings.HasPrefix(b.info, "json") {
			continue
		}
		text := strings.ReplaceAll(b.text, "\\\n", " \x00") // a line that goes on counts once
		for i, l := range strings.Split(text, "\n") {
			if m := commandStart.FindString(l); m != "" && !strings.HasPrefix(strings.TrimPrefix(l, m), " ") {
				at := b.line + i + strings.Count(strings.Join(strings.Split(text, "\n")[:i], ""), "\x00")
				out = append(out, line{page: p.name, where: piece{l, at}, words: split(strings.ReplaceAll(l, "\x00", " ")), whole: true})
			}
		}
	}
	for _, s := range p.spans {
		if commandStart.MatchString(s.text) {
			out = append(out, line{page: p.name, where: s, words: split(s.text)})
		}
	}
	return out
}

// split is the part of a shell's splitting that documents need: quotes, and an end at the first
// pipe, redirection, comment or second command.
func split(s string) []string {
	s = strings.TrimPrefix(s, "$ ")
	var words []string
	var word strings.Builder
	quote, any := rune(0), false
	end := func() {
		if any {
			words = append(words, word.String())
		}
		word.Reset()
		any = false
	}
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, any = r, true
		case r == ' ' || r == '\t':
			end()
		default:
			word.WriteRune(r)
			any = true
		}
	}
	end()
	for i, w := range words {
		if slices.Contains([]string{"|", ">", ">>", "<", "&&", ";", "#", "&"}, w) {
			return words[:i]
		}
	}
	return words
}

// placeholder is a word that stands for others.
var placeholder = regexp.MustCompile(`^([A-Z][A-Z_|-]*|…|\.\.\.|.*…)$`)

// check finds what of a documented command the program does not have.
func check(root *cobra.Command, l line, outside func(words []string) error) error {
	cmd := root
	var flags, args []string
	words := l.words[1:]
	for i := 0; i < len(words); i++ {
		w := strings.Trim(words[i], "[]")
		if strings.HasPrefix(w, "-") && w != "-" {
			flags = append(flags, w)
			name, _, has := strings.Cut(strings.TrimLeft(w, "-"), "=")
			if f := findFlag(cmd, name); f != nil && !has && f.NoOptDefVal == "" {
				i++ // its value
			}
			continue
		}
		if len(args) == 0 && cmd.HasSubCommands() {
			if placeholder.MatchString(w) {
				return nil // stands for all of them
			}
			next := child(cmd, w)
			if next == nil && cmd == root {
				return outside(words)
			}
			if next == nil {
				return errors.New(cmd.CommandPath() + " has no " + w)
			}
			cmd = next
			continue
		}
		args = append(args, w)
	}
	for _, f := range flags {
		for _, one := range strings.Split(f, "|") {
			name, _, _ := strings.Cut(strings.TrimLeft(one, "-"), "=")
			if name != "help" && findFlag(cmd, name) == nil {
				return errors.New(cmd.CommandPath() + " has no flag --" + name)
			}
		}
	}
	if cmd.HasSubCommands() && l.whole && len(args) == 0 && cmd.Annotations["alone"] == "" {
		return errors.New(cmd.CommandPath() + " needs one of its commands")
	}
	if len(args) > 0 && !slices.ContainsFunc(args, placeholder.MatchString) || l.whole {
		if err := cmd.ValidateArgs(args); err != nil {
			return errors.New(cmd.CommandPath() + ": " + err.Error())
		}
	}
	return nil
}

func child(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

func findFlag(cmd *cobra.Command, name string) *pflag.Flag {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	if f := cmd.InheritedFlags().Lookup(name); f != nil {
		return f
	}
	return cmd.Root().PersistentFlags().Lookup(name)
}

// programs holds what program built; TestMain removes it.
var programs struct {
	sync.Mutex
	dir   string
	built map[string]string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// program builds one of the module's programs, once.
func program(t *testing.T, name string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if out := programs.built[name]; out != "" {
		return out
	}
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "tocsin-docs-")
		if err != nil {
			t.Fatal(err)
		}
		programs.dir, programs.built = dir, map[string]string{}
	}
	out := filepath.Join(programs.dir, name)
	cmd := exec.Command("go", "build", "-o", out, "./cmd/"+name)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, text)
	}
	programs.built[name] = out
	return out
}

// usage is what a program says about itself.
func usage(t *testing.T, program string, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	text, _ := exec.CommandContext(ctx, program, append(words, "--help")...).CombinedOutput() // 0 or 2, by the program
	return string(text)
}

func hasFlag(usage, name string) bool {
	return regexp.MustCompile(`(^|[^A-Za-z0-9-])--?` + regexp.QuoteMeta(name) + `([^A-Za-z0-9-]|$)`).MatchString(usage)
}

func TestEveryCommandADocumentNamesExists(t *testing.T) {
	root := cli.New(cli.Deps{})
	tocsin, verify := program(t, "tocsin"), program(t, "tocsin-verify")
	known := map[string]string{}
	// outside are commands that the program adds to those that talk to a server.
	outside := func(words []string) error {
		name := words[0]
		if known[name] == "" {
			known[name] = usage(t, tocsin, name)
		}
		if !strings.Contains(known[name], "tocsin "+name) {
			return errors.New("tocsin has no " + name)
		}
		for _, w := range words[1:] {
			w, _, _ = strings.Cut(strings.Trim(w, "[]"), "=")
			if flag, ok := strings.CutPrefix(w, "--"); ok && !hasFlag(known[name], flag) {
				return errors.New("tocsin " + name + " has no flag --" + flag)
			}
		}
		return nil
	}
	found := 0
	for _, p := range parsePages(t) {
		for _, l := range commands(p) {
			found++
			var err error
			if strings.HasSuffix(strings.TrimPrefix(l.words[0], "bin/"), "tocsin-verify") {
				for _, w := range l.words[1:] {
					if name, ok := strings.CutPrefix(strings.Trim(w, "[]"), "--"); ok && !hasFlag(usage(t, verify), name) {
						err = errors.New("tocsin-verify has no flag --" + name)
					}
				}
			} else {
				err = check(root, l, outside)
			}
			if err != nil {
				t.Errorf("%s:%d: %s: %v", p.name, l.where.line, strings.Join(l.words, " "), err)
			}
		}
	}
	if found < 10 {
		t.Fatalf("only %d commands found in all documents", found)
	}
}

func TestCheckFindsCommandsThatDoNotExist(t *testing.T) {
	root := cli.New(cli.Deps{})
	outside := func(words []string) error { return errors.New("tocsin has no " + words[0]) }
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{"tocsin incident show INC-1", true},
		{"tocsin --server 127.0.0.1:1 incident list", true},
		{"tocsin incident list --json | head", true},
		{"tocsin incident …", true},
		{"tocsin incident vanish INC-1", false},
		{"tocsin incident list --no-such-flag", false},
		{"tocsin vanish", false},
		{"tocsin incident show INC-1 INC-2 INC-3", false},
	} {
		err := check(root, line{words: split(c.text)}, outside)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// Targets of make are commands too.
func TestEveryMakeTargetADocumentNamesExists(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`^(?:[A-Z]+=\S+ )*make ([a-z-]+)\b`)
	for _, p := range parsePages(t) {
		texts := slices.Clone(p.spans)
		for _, b := range p.blocks {
			for i, l := range strings.Split(b.text, "\n") {
				texts = append(texts, piece{strings.TrimPrefix(l, "$ "), b.line + i})
			}
		}
		for _, s := range texts {
			m := target.FindStringSubmatch(s.text)
			if m != nil && !regexp.MustCompile(`(?m)^`+m[1]+`:`).Match(b) {
				t.Errorf("%s:%d: the Makefile has no target %s", p.name, s.line, m[1])
			}
		}
	}
}
