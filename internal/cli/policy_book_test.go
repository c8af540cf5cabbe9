package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

var update = flag.Bool("update", false, "write what the commands print into the book")

const book = "../../docs/policy"

// TestTheBookSaysWhatTheProgramSays reads every page of docs/policy and does what its blocks say:
//
//	```yaml             a part that goes into the first example of README.md; it compiles without a finding
//	```yaml NAME        the whole file NAME; with "add" behind it, lines to add to its end
//	```yaml facts       the file facts.yaml
//	```diff NAME        lines of the file NAME taken out (-) and put in (+)
//	```page             lines of the page of the last policy; the tags of rules are left out
//	```console          commands, each behind "$ ", and what they print; a line … is what is left out
//
// What a command finds wrong with a part is said by a "policy check" below it. -update fills in what
// is printed, except where it is shown in part.
func TestTheBookSaysWhatTheProgramSays(t *testing.T) {
	pages, err := filepath.Glob(book + "/*.md")
	if err != nil || len(pages) < 3 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	base := smallest(t)
	for i, name := range pages {
		pages[i], err = filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".md"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			r := &reader{t: t, base: base, name: filepath.Base(name)}
			text = r.read(text)
			if *update {
				if err := os.WriteFile(name, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// smallest is the policy that parts go into: the first example of README.md.
func smallest(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(book + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := fence.FindSubmatch(text)
	if m == nil {
		t.Fatal("README.md has no example")
	}
	return string(m[2])
}

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

// reader does what the blocks of one page say, from top to bottom.
type reader struct {
	t       *testing.T
	base    string
	name    string
	line    int
	program *policy.Program // of the last policy
	ids     []string        // what the last part declares
	unsaid  string          // findings about the last part that no check has shown yet
}

func (r *reader) errorf(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("docs/policy/%s:%d: %s", r.name, r.line, fmt.Sprintf(format, args...))
}

func (r *reader) read(text []byte) []byte {
	var out bytes.Buffer
	last := 0
	for _, m := range fence.FindAllSubmatchIndex(text, -1) {
		r.line = 1 + bytes.Count(text[:m[0]], []byte("\n"))
		body := r.block(strings.Fields(string(text[m[2]:m[3]])), string(text[m[4]:m[5]]))
		out.Write(text[last:m[4]])
		out.WriteString(body)
		last = m[5]
	}
	r.settle()
	out.Write(text[last:])
	return out.Bytes()
}

// block does what one block says and gives it back as it should be.
func (r *reader) block(info []string, body string) string {
	switch {
	case slices.Equal(info, []string{"yaml", "bad"}): // of the index of errors, which is made by its own test
	case slices.Equal(info, []string{"yaml"}):
		r.settle()
		r.part(body)
	case slices.Equal(info, []string{"yaml", "facts"}):
		r.write("facts.yaml", body)
	case len(info) == 2 && info[0] == "yaml":
		r.settle()
		r.write(info[1], body)
		r.load(info[1])
	case len(info) == 3 && info[0] == "yaml" && info[2] == "add":
		r.settle()
		r.write(info[1], r.file(info[1])+body)
		r.load(info[1])
	case len(info) == 2 && info[0] == "diff":
		r.settle()
		r.patch(info[1], body)
		r.load(info[1])
	case slices.Equal(info, []string{"page"}):
		return r.page(body)
	case slices.Equal(info, []string{"console"}):
		return r.console(body)
	}
	return body
}

func (r *reader) write(name, text string) {
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) file(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		r.errorf("%v", err)
	}
	return string(text)
}

// settle is called before another policy is looked at.
func (r *reader) settle() {
	if r.unsaid != "" {
		r.errorf("this is found and not said on the page:\n%s", r.unsaid)
	}
	r.unsaid = ""
}

// part completes a part by the smallest policy. The lines of the part stay as they are.
func (r *reader) part(body string) {
	var part yaml.Node
	if err := yaml.Unmarshal([]byte(body), &part); err != nil || len(part.Content) == 0 {
		r.errorf("this is not YAML: %v", err)
		return
	}
	r.ids = declared(part.Content[0])
	for _, section := range sections(r.base) {
		key, entries, _ := strings.Cut(section, "\n")
		at := regexp.MustCompile("(?m)^" + key[:strings.Index(key, ":")] + ":.*\n").FindStringIndex(body)
		switch {
		case at == nil:
			body += section
		case key == "duties:" || key == "roles:":
			body = joined(body, at, entries)
		}
	}
	r.write("policy.yaml", body)
	r.load("policy.yaml")
}

// sections splits a policy at its outermost keys.
func sections(src string) []string {
	var out []string
	starts := regexp.MustCompile(`(?m)^[a-z]+:`).FindAllStringIndex(src, -1)
	for i, at := range starts {
		end := len(src)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		out = append(out, src[at[0]:end])
	}
	return out
}

// joined adds entries that a section of a text does not have. The section begins with the line at.
func joined(text string, at []int, entries string) string {
	head, rest := text[at[0]:at[1]], text[at[1]:]
	body := rest
	if next := regexp.MustCompile(`(?m)^[a-z]`).FindStringIndex(rest); next != nil {
		body = rest[:next[0]]
	}
	for entry := range strings.Lines(entries) {
		name := strings.TrimSpace(entry[:strings.Index(entry, ":")])
		if regexp.MustCompile(`(?m)(^  |[{,] )` + name + `:`).MatchString(head + body) {
			continue
		}
		if brace := strings.LastIndex(head, "}"); strings.Contains(head, ": {") && brace >= 0 {
			head = strings.TrimSuffix(head[:brace], " ") + ", " + strings.TrimSpace(entry) + " " + head[brace:]
		} else {
			rest = body + entry + strings.TrimPrefix(rest, body)
			body += entry
		}
	}
	return text[:at[0]] + head + rest
}

// declared lists the ids that a part makes up.
func declared(n *yaml.Node) []string {
	var out []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		section := n.Content[i+1]
		for j := 0; section.Kind == yaml.MappingNode && j+1 < len(section.Content); j += 2 {
			out = append(out, section.Content[j].Value)
			if n.Content[i].Value == "scales" {
				out = append(out, declared(&yaml.Node{Kind: yaml.MappingNode, Content: section.Content[j : j+2]})...)
			}
		}
		for _, item := range section.Content {
			for j := 0; section.Kind == yaml.SequenceNode && j+1 < len(item.Content); j += 2 {
				if k := item.Content[j].Value; k == "id" || k == "guards" {
					out = append(out, item.Content[j+1].Value)
				}
			}
		}
	}
	return out
}

// load compiles the last policy.
func (r *reader) load(name string) {
	src := r.file(name)
	p, diags := policy.Compile(name, []byte(src), policy.WithLaws(regimes.Catalogue()), policy.WithChannels("email", "slack", "basecamp", "teams", "google-chat", "pagerduty", "webhook", "status-page", "app", "sms"))
	r.program = p
	if len(diags) > 0 {
		r.unsaid = policy.Format(diags, []byte(src))
	}
}

var ruleTag = regexp.MustCompile(` \[([a-z0-9_]+)?( · )?[A-Z0-9, -]*\]`)

// page looks for lines on the page of the last policy.
func (r *reader) page(body string) string {
	if r.program == nil {
		r.errorf("there is no policy whose page could be shown:\n%s", r.unsaid)
		return body
	}
	printed := strings.Split(string(r.program.Markdown()), "\n")
	missing := strings.TrimSpace(body) == ""
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if !missing && !slices.ContainsFunc(printed, func(p string) bool { return ruleTag.ReplaceAllString(p, "") == line }) {
			missing = true
			if !*update {
				r.errorf("the page does not print:\n%s\nit prints:\n%s", line, strings.Join(printed, "\n"))
			}
		}
	}
	if !*update || !missing {
		if missing && strings.TrimSpace(body) == "" {
			r.errorf("nothing is shown of the page")
		}
		return body
	}
	var out strings.Builder
	for i, line := range printed {
		shown := slices.ContainsFunc(r.ids, func(id string) bool {
			spoken := strings.ReplaceAll(id, "_", " ")
			return strings.Contains(line, " ["+id+" ") || strings.Contains(line, " ["+id+"]") || strings.HasPrefix(strings.ToLower(line), "- **"+spoken+"**")
		})
		if strings.HasPrefix(line, "| ") && i+2 < len(printed) && strings.HasPrefix(printed[i+1], "| ---") {
			shown = slices.ContainsFunc(printed[i+2:], func(row string) bool {
				return slices.ContainsFunc(r.ids, func(id string) bool { return strings.HasPrefix(row, "| ") && strings.Contains(row, " ["+id) })
			})
			if shown {
				fmt.Fprintf(&out, "%s\n%s\n", line, printed[i+1])
				continue
			}
		}
		if shown {
			out.WriteString(ruleTag.ReplaceAllString(line, "") + "\n")
		}
	}
	return out.String()
}

// console runs the commands of a block and compares what they print.
func (r *reader) console(body string) string {
	var out strings.Builder
	parts := regexp.MustCompile(`(?m)^\$ `).Split(body, -1)
	if parts[0] != "" {
		r.errorf("a console begins with a command behind $")
	}
	for _, part := range parts[1:] {
		command, want, _ := strings.Cut(part, "\n")
		got := r.run(command)
		switch {
		case matches(strings.Split(want, "\n"), strings.Split(got, "\n")):
			got = want
		case !*update || strings.Contains("\n"+want, "\n…\n"):
			r.errorf("$ %s prints\n%s\nwant\n%s", command, got, want)
			got = want
		}
		out.WriteString("$ " + command + "\n" + got)
	}
	return out.String()
}

// matches compares line by line; a line … stands for any number of them.
func matches(want, got []string) bool {
	for i, line := range want {
		if strings.TrimSpace(line) == "…" {
			for skip := 0; skip <= len(got)-i; skip++ {
				if matches(want[i+1:], got[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(got) || got[i] != line {
			return false
		}
	}
	return len(want) == len(got)
}

// run runs a command line: tocsin, cp, and grep behind a pipe.
func (r *reader) run(command string) string {
	var printed string
	for i, stage := range strings.Split(command, " | ") {
		words := shellWords(stage)
		switch {
		case i == 0 && words[0] == "tocsin":
			var out bytes.Buffer
			root := cli.New(cli.Deps{Out: &out, Err: &out, Getenv: func(string) string { return "" }})
			root.SetOut(&out)
			root.SetErr(&out)
			cli.Run(r.t.Context(), root, words[1:])
			if slices.Contains(words, "check") {
				r.unsaid = ""
			}
			printed = out.String()
		case i == 0 && words[0] == "cp" && len(words) == 3:
			r.write(words[2], r.file(words[1]))
		case i > 0 && words[0] == "grep":
			printed = grep(printed, words[1:])
		default:
			r.errorf("there is no command %s here", words[0])
		}
	}
	return printed
}

var word = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

func shellWords(s string) []string {
	words := word.FindAllString(s, -1)
	for i, w := range words {
		words[i] = strings.Trim(w, `'"`)
	}
	return words
}

// grep prints lines with a word, and with -A N the lines behind each.
func grep(text string, args []string) string {
	after := 0
	if n, ok := strings.CutPrefix(args[0], "-A"); ok {
		after, _ = strconv.Atoi(n)
		args = args[1:]
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var out strings.Builder
	until, last := -1, -1
	for i, line := range lines {
		if strings.Contains(line, args[0]) {
			until = i + after
		}
		if i > until {
			continue
		}
		if after > 0 && last >= 0 && i > last+1 {
			out.WriteString("--\n")
		}
		out.WriteString(line + "\n")
		last = i
	}
	return out.String()
}

// patch takes lines of a file out and puts others in.
func (r *reader) patch(name, body string) {
	text := r.file(name)
	var old, fresh strings.Builder
	swap := func() {
		if old.Len() == 0 {
			return
		}
		if strings.Count(text, old.String()) != 1 {
			r.errorf("%s does not have once:\n%s", name, old.String())
		}
		text = strings.Replace(text, old.String(), fresh.String(), 1)
		old.Reset()
		fresh.Reset()
	}
	for line := range strings.Lines(body) {
		switch {
		case strings.HasPrefix(line, "+"):
			fresh.WriteString(line[1:])
		case strings.HasPrefix(line, "-"):
			if fresh.Len() > 0 {
				swap()
			}
			old.WriteString(line[1:])
		case strings.HasPrefix(line, " "):
			old.WriteString(line[1:])
			fresh.WriteString(line[1:])
		}
	}
	swap()
	r.write(name, text)
}
