package cli_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

// shells are the shells that a completion is made for, each with a script that loads it and says, for each
// line of standard input, what the shell makes of its last word.
var shells = []struct{ name, script string }{
	{"bash", `
for place in /usr /usr/local /opt/homebrew; do
  [ -f $place/share/bash-completion/bash_completion ] && . $place/share/bash-completion/bash_completion
done
declare -F _get_comp_words_by_ref >/dev/null || { echo 'bash-completion is not installed'; exit; }
source <(tocsin completion bash)
while read -r line; do
  read -r -a COMP_WORDS <<<"$line"
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMPREPLY=()
  __start_tocsin 2>/dev/null # compopt complains that nobody pressed Tab
  echo "${COMPREPLY[*]}"
done
`},
	{"fish", `
tocsin completion fish | source
while read line
  complete -C $line | string replace -r '\t.*' '' | string join ' '
end
true # the end of the input is no failure
`},
	// Zsh completes at a terminal alone: it gets one of its own, Tab is pressed there, and Ctrl-T says what
	// the line has become.
	{"zsh", `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'autoload -Uz compinit; compinit -D -u; source <(tocsin completion zsh); answer() { print -r -- ${${=BUFFER}[-1]} >>answers; BUFFER= }; zle -N answer; bindkey "^T" answer; print ready-$((1+1))'
while zpty -r shell said; do [[ $said == *ready-2* ]] && break; done
while read -r line; do zpty -w -n shell "$line"$'\t\x14'; done
zpty -w shell exit
while zpty -r shell said; do :; done
cat answers
`},
}

// Every shell that a completion is written for is asked itself.
func TestShellsComplete(t *testing.T) {
	d, owner := desktest.New(now)
	fill(d)
	server := httptest.NewServer(httpapi.New(d, httpapi.Options{}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(owner), 0o600); err != nil {
		t.Fatal(err)
	}
	const typed = "tocsin inc\ntocsin incident open --cl\ntocsin incident show IN\n"
	const want = "incident\n--class\nINC-1\n"
	for _, shell := range shells {
		t.Run(shell.name, func(t *testing.T) {
			without := func(what string) {
				if os.Getenv("CI") == "true" {
					t.Fatal(what)
				}
				t.Skip(what)
			}
			path, err := exec.LookPath(shell.name)
			if err != nil {
				without(shell.name + " is not installed")
			}
			dir := t.TempDir()
			script := filepath.Join(dir, "script")
			if err := os.WriteFile(script, []byte(shell.script), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, path, script)
			c.Dir, c.Stdin = dir, strings.NewReader(typed)
			c.Env = append(os.Environ(), "HOME="+dir, "TERM=xterm", "TOCSIN_SERVER="+server.URL, "TOCSIN_TOKEN_FILE="+token)
			c.WaitDelay = time.Second
			out, err := c.Output()
			if text := strings.TrimSpace(string(out)); strings.HasSuffix(text, "is not installed") {
				without(text)
			}
			if err != nil || string(out) != want {
				t.Errorf("completes to %q, want %q: %v", out, want, err)
			}
		})
	}
}

// A shell offers the names of files where an argument is one: behind an incident too, and never for an id.
func TestFilesAreOfferedWhereAnArgumentIsOne(t *testing.T) {
	run := terminal(t)
	for line, files := range map[string]bool{
		"ingest": true, "incident attach INC-1": true, "policy diff old.yaml": true, "detect run --rules rules": true, "access erase m_1": true,
		"incident attach": false, "incident note INC-1": false, "people invite": false, "access erase": false, "whoami": false,
	} {
		_, out, errs := run(append(append([]string{"__complete"}, strings.Fields(line)...), "")...)
		if got := strings.HasSuffix(out, ":0\n"); got != files {
			t.Errorf("tocsin %s: files are offered: %v: %s%s", line, got, out, errs)
		}
	}
	if _, out, _ := run("__complete", "detect", "run", "--ru"); !strings.Contains(out, "--rules\t") || strings.Contains(out, "`") {
		t.Errorf("a flag is described as %q", out)
	}
}
