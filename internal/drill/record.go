package drill

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/scenarios"
)

// recordLines bounds what of the timeline a record prints: a tabletop is talked through from it.
const recordLines = 400

// recorded is one line of the timeline as saveTimeline left it.
type recorded struct {
	At     time.Time `json:"at"`
	Source string    `json:"source"`
	Kind   string    `json:"kind"`
	Text   string    `json:"text"`
	By     string    `json:"principal"`
}

// tooMany are the kinds of facts of which a record gives the number alone.
var tooMany = []string{"notice.attempted", "notice.accepted", "notice.deferred", "notice.bounced", "notice.uncertain", "duty.started", "duty.met"}

// writeRecord leaves what a person did and how it was scored as Markdown, to be printed or sent round. It
// is made from the judge's scorecard and the timeline alone.
func (r *run) writeRecord(card Scorecard) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Drill of %s\n\n", plainMarkdown(r.program.Title))
	fmt.Fprintf(&b, "Scenario %s, policy %s, seed %d, played %s", card.Scenario, card.Policy, card.Seed, r.began.UTC().Format("2006-01-02 15:04 UTC"))
	if r.o.Hints {
		b.WriteString(", with hints")
	}
	fmt.Fprintf(&b, ".\nIncident %s. Times of the story are %s.\n\n## Score by promise\n\n", r.inc, r.program.Zone)
	kept, lost, unjudged := 0, []Promise{}, 0
	b.WriteString("| promise | result | took | limit | why |\n|---|---|---|---|---|\n")
	for _, p := range card.Promises {
		switch p.Got {
		case scenarios.NotApplicable:
			continue
		case scenarios.NotReached:
			unjudged++
		case scenarios.Kept:
			kept++
		default:
			lost = append(lost, p)
		}
		took, limit := "", ""
		if p.TookSeconds != nil {
			took = length(*p.TookSeconds)
		}
		if p.DueSeconds != nil {
			limit = length(*p.DueSeconds)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.ID, strings.ReplaceAll(p.Got, "_", " "), took, limit, plainMarkdown(p.Reason))
	}
	fmt.Fprintf(&b, "\n%d kept, %d missed, %d not judged by this story.\n", kept, len(lost), unjudged)
	b.WriteString("\n## What would have been missed\n\n")
	if len(lost) == 0 {
		b.WriteString("Nothing that the judge could look at.\n")
	}
	for _, p := range lost {
		fmt.Fprintf(&b, "* **%s**: %s\n", p.ID, plainMarkdown(p.Reason))
	}
	if len(r.missed) > 0 {
		b.WriteString("\nClocks that ran out while time passed:\n\n")
		for _, m := range r.missed {
			fmt.Fprintf(&b, "* %s\n", plainMarkdown(m))
		}
	}
	fmt.Fprintf(&b, "\n## The scope\n\nPrecision %.3f, recall %.3f: %d merchants, %d customer accounts.\n", card.Scope.Precision, card.Scope.Recall, card.Scope.Merchants, card.Scope.Customers)
	b.WriteString("\n## What happened\n\n")
	if err := r.story(&b); err != nil {
		return "", err
	}
	name := filepath.Join(r.o.Dir, "drill", "record.md")
	return name, os.WriteFile(name, []byte(b.String()), 0o600)
}

// story is the facts of the incident, without what was done to every merchant alike.
func (r *run) story(b *strings.Builder) error {
	f, err := os.Open(filepath.Join(r.o.Dir, "drill", "timeline.ndjson"))
	if err != nil {
		return err
	}
	defer f.Close()
	var lines []recorded
	lines, left := nil, map[string]int{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l recorded
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return fmt.Errorf("timeline: %w", err)
		}
		switch {
		case l.Source != "fact":
			left["accesses and lines of other logs"]++
		case slices.Contains(tooMany, l.Kind):
			left[l.Kind]++
		default:
			lines = append(lines, l)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("timeline: %w", err)
	}
	slices.SortStableFunc(lines, func(x, y recorded) int { return x.At.Compare(y.At) })
	for i, l := range lines {
		if i == recordLines {
			fmt.Fprintf(b, "* and %d more\n", len(lines)-i)
			break
		}
		fmt.Fprintf(b, "* %s %s\n", l.At.In(r.program.Zone).Format("Mon 15:04:05"), plainMarkdown(l.Text))
	}
	for _, kind := range sortedKeys(left) {
		fmt.Fprintf(b, "* %d × %s\n", left[kind], kind)
	}
	return nil
}

func sortedKeys(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// plainMarkdown is text on one line in which nothing begins a table, a link or markup.
func plainMarkdown(s string) string {
	s = strings.Join(strings.Fields(printable(strings.ReplaceAll(s, "\n", " "))), " ")
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, "[", `\[`, "`", "\\`").Replace(s)
}
