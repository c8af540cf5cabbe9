package incident

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reach is a suspicion that somebody of the staff reported: the lead is called until somebody says that they are
// on it. Last is the number of the newest call, from 0.
type Reach struct {
	By   Principal `json:"by"`
	Last int       `json:"last"`
}

// reachPage begins the id of a call about a suspicion.
const reachPage = "reach/"

// ReachAll is the first call that goes to everybody who can act: the lead has been called twice and has not
// answered.
const ReachAll = 2

// Reaches gives the number of a call about a suspicion, from 0.
func (p *Page) Reaches() (n int, ok bool) {
	rest, ok := strings.CutPrefix(p.ID, reachPage)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(rest)
	return n, err == nil
}

// callReach owes the n-th call.
func (w *work) callReach(n int, at time.Time) {
	w.tick(KindPageOwed, at, PageBody{Page: reachID(n), State: PageOwed, Role: "lead", N: 1})
}

// reachAt is when the n-th call is due: each quarter of an hour, and from the third hour on each hour. It never
// ends by itself.
func reachAt(opened time.Time, n int) time.Time {
	const quick = 8
	if n <= quick {
		return opened.Add(time.Duration(n) * 15 * time.Minute)
	}
	return opened.Add(2*time.Hour + time.Duration(n-quick)*time.Hour)
}

// NextReach is the next call about a suspicion, if nobody has answered yet. Who decides what it is has answered,
// too.
func (s *State) NextReach() (n int, at time.Time, ok bool) {
	if s.Reach == nil || s.Status != StatusOpen || s.Into != nil ||
		slices.ContainsFunc([]string{"acknowledged", "confirmed", "contained"}, func(name string) bool { return s.Milestones[name] != nil }) {
		return 0, time.Time{}, false
	}
	n = s.Reach.Last + 1
	return n, reachAt(s.Opened, n), true
}

// reachAgain calls again about a suspicion that nobody acknowledged. After a long standstill the newest call alone is
// made: those before it would say the same.
func (w *work) reachAgain() {
	n, at, ok := w.base.NextReach()
	if !ok || w.now.Before(at) {
		return
	}
	for !w.now.Before(reachAt(w.base.Opened, n+1)) {
		n++
	}
	w.callReach(n, reachAt(w.base.Opened, n))
}

// Suspicion is what opens an incident of which nothing is known but what somebody of the staff saw.
func Suspicion(saw string) Open {
	const most = 80
	first, _, _ := strings.Cut(strings.TrimSpace(saw), "\n")
	words := []rune(strings.Join(strings.Fields(first), " "))
	if len(words) > most {
		words = append(words[:most-1], '…')
	}
	return Open{Reach: true, Title: "Suspected: " + string(words), Summary: strings.TrimSpace(saw)}
}

// suspects reports whether a command says that somebody suspects a breach and decides nothing: every person with an
// account may.
func (w *work) suspects(command Command) bool {
	c, ok := command.(Open)
	return ok && c.Reach && w.ctx.Actor.Access == Viewer && strings.HasPrefix(string(w.ctx.Actor.Principal), "person:") &&
		(c.Class == "" || c.Class == Unclassified) && c.Severity == "" && !c.Private && len(c.Readers)+len(c.About) == 0 && c.Signal == nil && c.Split == nil && c.Suspect.IsZero()
}

// ReachPage is the newest call about a suspicion.
func (s *State) ReachPage() *Page {
	if s.Reach == nil {
		return nil
	}
	return s.Pages[reachID(s.Reach.Last)]
}

func reachID(n int) string { return fmt.Sprintf("%s%d", reachPage, n) }
