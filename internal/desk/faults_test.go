package desk

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
)

var update = flag.Bool("update", false, "write docs/design/faults.md again")

type unsettled struct{ notice, recipient string }

func (n *night) unsettled() (list []unsettled) {
	for _, notice := range n.state().Notices {
		for _, r := range slices.Sorted(maps.Keys(notice.Deliveries)) {
			if notice.Deliveries[r].State == incident.DeliveryUncertain {
				list = append(list, unsettled{notice.ID, r})
			}
		}
	}
	return list
}

func (n *night) checksFailed() bool {
	for _, c := range n.state().Checks {
		if c.State != incident.CheckPassed {
			return true
		}
	}
	return false
}

// outcome is what is left of a state without ids, times, counts of attempts and codes.
func outcome(s *incident.State, orgSwitches string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("status %s, class %s, severity %s, %d signals", s.Status, s.Class, s.Severity, len(s.Signals))
	for _, name := range slices.Sorted(maps.Keys(s.Milestones)) {
		say("milestone %s", name)
	}
	for _, v := range s.Scopes {
		say("scope %d: %s", v.N, v.Digest)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Duties)) {
		d := s.Duties[key]
		say("duty %s: %s, missed %v", key, d.State, !d.Missed.IsZero())
	}
	for _, a := range s.Actions {
		say("action %s: %s", a.Decl, a.State)
	}
	for _, notice := range s.Notices {
		say("notice %s: %s", notice.Duty, notice.State)
		for _, r := range slices.Sorted(maps.Keys(notice.Deliveries)) {
			say("delivery to %s: %s at address %d", r, notice.Deliveries[r].State, notice.Deliveries[r].Address)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Checks)) {
		say("check %s: %s", id, s.Checks[id].State)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Pages)) {
		say("page %s: %s", id, s.Pages[id].State)
	}
	for _, r := range s.Refusals {
		say("refused %s: %s", r.Command, r.Reason)
	}
	say("fix by %s, proved by %s", s.Fix.By, s.FixProof.By)
	say("review of %d parts published by %s", len(s.Review.Parts), s.Review.PublishedBy)
	say("%d exports", len(s.Exports))
	say("%s", orgSwitches)
	return b.String()
}

func (n *night) outcome() string {
	n.t.Helper()
	org, err := n.desk.Org(n.life)
	n.fail(err)
	switches := ""
	for _, key := range slices.Sorted(maps.Keys(org.Switches)) {
		switches += fmt.Sprintf("switch %s %s; ", key, org.Switches[key].State)
	}
	return outcome(n.state(), switches)
}

// verdict checks what has to hold after any fault, and says in a few words how the run differed
// from the undisturbed one.
func (n *night) verdict(undisturbed string) string {
	n.t.Helper()
	where := fmt.Sprintf("write %d %s", n.steps.at, n.steps.fault)
	if got := n.outcome(); undisturbed != "" && got != undisturbed {
		n.t.Errorf("%s: the outcome differs\n%s", where, diff(undisturbed, got))
	}
	records := recordsOf(n.t, n.store.Store, "INC-1")
	if err := ledger.VerifyChain(records); err != nil {
		n.t.Errorf("%s: %v", where, err)
	}
	hashes, unsure := map[string]string{}, map[string]bool{}
	unsureApply, uncertain := false, 0
	for _, r := range records {
		hashes[r.ID] = ledger.HashText(r.Hash)
		f, err := ledger.Open(r, n.g.keys)
		n.fail(err)
		switch f.Kind {
		case incident.KindNoticeUncertain:
			uncertain++
			var b incident.DeliveryBody
			n.fail(json.Unmarshal(f.Body, &b))
			unsure[b.Party] = true
			for _, p := range f.Parts {
				unsure[p.Merchant] = true
			}
		case incident.KindActionUncertain:
			uncertain++
			unsureApply = true
		case incident.KindCheckUncertain, incident.KindPageUncertain:
			uncertain++
		}
	}
	for id, hash := range n.acked {
		if hashes[id] != hash {
			n.t.Errorf("%s: fact %s was acknowledged and is not there as it was", where, id)
		}
	}
	for i, r := range n.before {
		if !bytes.Equal(r.Header, records[i].Header) || !bytes.Equal(r.Hash, records[i].Hash) {
			n.t.Errorf("%s: fact %d was durable when the process died and has changed", where, i+1)
		}
	}
	twice := 0
	letters := n.post.letters()
	for _, party := range []string{"m_1", "m_2", "m_3", "m_4", "m_5", "shopify"} {
		switch count := letters[party]; {
		case count == 0:
			n.t.Errorf("%s: the letter to %s was lost", where, party)
		case count > 1 && !unsure[party]:
			n.t.Errorf("%s: %s got %d letters and none is listed as uncertain", where, party, count)
		case count > 1 && party != "m_4":
			twice++
		}
	}
	for _, l := range n.post.arrived {
		first := slices.IndexFunc(n.post.arrived, func(x notify.Letter) bool { return x.Recipient == l.Recipient })
		if n.post.arrived[first].MessageID != l.MessageID {
			n.t.Errorf("%s: %s got letters with different Message-IDs", where, l.Recipient)
		}
	}
	if !n.app.revoked || n.app.applied > 1 && !unsureApply {
		n.t.Errorf("%s: the token was revoked %d times", where, n.app.applied)
	}
	n.anchoredOnce(where)
	if n.steps.at == 0 && n.steps.fault == "" {
		return ""
	}
	words := []string{"the same"}
	if uncertain > 1 { // one mail of every run is uncertain
		words = append(words, fmt.Sprintf("%d more listed uncertain", uncertain-1))
	}
	if twice > 0 {
		words = append(words, "that letter arrived twice")
	}
	if n.app.applied > 1 {
		words = append(words, "revoked twice, which is harmless")
	}
	return strings.Join(words, ", ")
}

// anchoredOnce checks that every fact of every chain is in the facts log once, where it says.
func (n *night) anchoredOnce(where string) {
	n.t.Helper()
	var all []ledger.Record
	n.fail(n.store.Store.View(n.life, func(r ledger.Reader) (err error) {
		all, err = r.RecordsSince(0, 0)
		return err
	}))
	if len(all) != len(n.facts.leaves) {
		n.t.Errorf("%s: %d facts and %d leaves", where, len(all), len(n.facts.leaves))
	}
	for _, r := range all {
		if r.Anchor < 0 || int(r.Anchor) >= len(n.facts.leaves) || !bytes.Equal(n.facts.leaves[r.Anchor], ledger.LeafData(r.ID, r.Hash)) {
			n.t.Errorf("%s: fact %s is not in the facts log at %d", where, r.ID, r.Anchor)
		}
	}
}

func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, l := range w {
		if !slices.Contains(g, l) {
			b.WriteString("- " + l + "\n")
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			b.WriteString("+ " + l + "\n")
		}
	}
	return b.String()
}

// result is what a run came to.
type result struct {
	writes  []string
	outcome string
	verdict string
}

func run(t *testing.T, at int, f fault, undisturbed string) result {
	t.Helper()
	n := newNight(t, at, f)
	defer func() {
		n.end()
		n.store.Close()
	}()
	n.play()
	return result{n.steps.writes, n.outcome(), n.verdict(undisturbed)}
}

// Every write of an incident goes wrong in every way, and the incident ends the same.
//
// promise: INV-3
func TestEveryWriteMayFailOrBeTheLast(t *testing.T) {
	base := run(t, 0, "", "")
	every := 1
	switch {
	case raceEnabled:
		every = 25
	case testing.Short():
		every = 9
	}
	if *update {
		every = 1
	}
	table := make([]map[fault]string, len(base.writes)+1)
	var mu sync.Mutex
	t.Run("at", func(t *testing.T) {
		for at := 1; at <= len(base.writes); at++ {
			table[at] = map[fault]string{}
			for i, f := range allFaults {
				if (at*len(allFaults)+i)%every != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%d %s", at, f), func(t *testing.T) {
					t.Parallel()
					r := run(t, at, f, base.outcome)
					if len(r.writes) < at || r.writes[at-1] != base.writes[at-1] {
						t.Errorf("write %d is not the same write as in the undisturbed run: %q", at, r.writes[min(at, len(r.writes))-1])
					}
					mu.Lock()
					defer mu.Unlock()
					table[at][f] = r.verdict
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	const golden = "../../docs/design/faults.md"
	if *update {
		if err := os.WriteFile(golden, []byte(faultsPage(base.writes, table)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(page), "\n")
	for at := 1; at < len(table); at++ {
		row := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, fmt.Sprintf("| %d | ", at)) })
		if row < 0 {
			t.Fatalf("%s has no row for write %d: make it again with -update", golden, at)
		}
		cells := strings.Split(lines[row], " | ")
		if got := strings.Join(cells[1:3], " | "); got != base.writes[at-1] {
			t.Errorf("%s: write %d is %q and is now %q: make it again with -update", golden, at, got, base.writes[at-1])
		}
		for i, f := range allFaults {
			want := strings.TrimSuffix(cells[3+i], " |")
			if got, ran := table[at][f]; ran && got != want {
				t.Errorf("%s: write %d, %s: it says %q and is now %q: make it again with -update", golden, at, f, want, got)
			}
		}
	}
}

func faultsPage(writes []string, table []map[fault]string) string {
	var b strings.Builder
	b.WriteString(faultsIntro)
	b.WriteString("| # | what goes on | the write |")
	for _, f := range allFaults {
		b.WriteString(" " + string(f) + " |")
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(allFaults)) + "\n")
	for at := 1; at < len(table); at++ {
		fmt.Fprintf(&b, "| %d | %s |", at, writes[at-1])
		for _, f := range allFaults {
			b.WriteString(" " + table[at][f] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

const faultsIntro = `# What a fault does

This table is made by a test: go test ./internal/desk -run EveryWrite -update. An incident is played from its first signal to its end, and each write of it goes wrong in four ways: it **fails** (nothing happened, and the process lives on), its **answer is lost** (it happened, the process hears of an error and lives on), the process **dies before** it, or **dies after** it. A new process starts on the same file where one died, callers repeat what they were not answered, with the same key, and the incident goes on to its end.

After each run the test checks:

* the outcome is that of the undisturbed run: status, milestones, scope, duties with their misses, actions, deliveries, checks, pages, refusals, review, exports, switches, without ids, times and numbers of attempts;
* the chain verifies; every fact that a caller was told of is there under its hash; every fact that was durable when the process died is there byte for byte; every fact is in the facts log exactly once;
* no letter is lost; a letter that arrived twice is listed as uncertain and has the same Message-ID; the token is revoked, and asked for twice only after an uncertain attempt.

Jobs are kept in memory here and die with the process, which is less than a runner promises: what is owed follows from the facts alone. In the undisturbed run one mail is greylisted, one goes to a second address because the first is dead, and one is uncertain because the connection breaks when the letter is over; that one arrives twice in every run and is not counted here.

"The same" is the outcome of the undisturbed run. "Listed uncertain" counts attempts that the facts call uncertain beyond the one of every run: the process died, or the answer was lost, between an attempt and its result.

`
