package incident

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func (w *world) list() (on []Principal) {
	for _, r := range w.s.Private.Readers {
		on = append(on, r.Person)
	}
	return on
}

func TestAPrivateIncidentTakesCommandsFromItsListAlone(t *testing.T) {
	w := newWorld(t)
	w.must(lena, Open{Class: "credential_exposure", Title: "One of us", Private: true, Readers: []Principal{"person:mark"}, About: []Principal{"person:boss"}}, ReasonOpened)
	if got := w.list(); !slices.Equal(got, []Principal{"person:lena", "person:mark"}) {
		t.Fatalf("on the list: %v", got)
	}
	// Whoever is not on it is answered as of an incident that does not exist.
	none := newWorld(t).refused(nadia, Note{Text: "x"}, RefusedNoIncident)
	for _, who := range []Actor{nadia, boss} {
		for _, c := range []Command{Note{Text: "x"}, Grant{Person: who.Principal, Reason: "me"}, Restrict{Readers: []Principal{who.Principal}, Reason: "me"}, BreakGlass{Reason: "me"}} {
			if r := w.refused(who, c, RefusedNoIncident); r.Error() != none.Error() {
				t.Errorf("%s: %s hears %q, and %q of one that does not exist", c.Name(), who.Principal, r, none)
			}
		}
	}
	w.must(worker, Tick{}, ReasonNothingChanged)
	w.refused(lena, Grant{Person: "person:boss", Reason: "is on call"}, RefusedAccess)
	w.refused(lena, Assign{Role: "lead", Person: "person:nadia"}, RefusedAccess)
	w.must(mark, Grant{Person: "person:nadia", Reason: "reads logs"}, ReasonGranted)
	w.must(nadia, Note{Text: "x"}, ReasonNoted)
	w.must(lena, Assign{Role: "lead", Person: "person:nadia"}, ReasonAssigned)
	// Whom it turns out to be about leaves the list, and does not come on it again.
	w.must(lena, Restrict{About: []Principal{"person:nadia"}, Reason: "it was two of them"}, ReasonRestricted)
	w.refused(nadia, Note{Text: "x"}, RefusedNoIncident)
	w.refused(lena, Grant{Person: "person:nadia", Reason: "x"}, RefusedAccess)
	w.must(lena, RevokeAccess{Person: "person:mark", Reason: "left"}, ReasonAccessRevoked)
	w.refused(lena, RevokeAccess{Person: "person:lena", Reason: "x"}, RefusedState)
	if _, err := w.give(lena, Restrict{About: []Principal{"person:lena"}, Reason: "x"}); err == nil {
		t.Error("the last one on the list left it")
	}
}

func TestAnIncidentIsMadePrivateWithoutLockingOutWhoDoesIt(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.refused(lena, Grant{Person: "person:mark", Reason: "x"}, RefusedState)
	if _, err := w.give(lena, Restrict{About: []Principal{"person:lena"}, Reason: "x"}); err == nil {
		t.Error("nobody was left on the list")
	}
	w.must(lena, Restrict{Reason: "counsel asks for it"}, ReasonRestricted)
	w.must(lena, Restrict{Reason: "counsel asks for it"}, ReasonNothingChanged)
	w.must(lena, Note{Text: "x"}, ReasonNoted)
	w.refused(omar, Note{Text: "x"}, RefusedNoIncident)
}

// When nobody of the list has acted for a day an owner may come on it, and all of them are told.
func TestGlassIsBrokenOnlyWhenNobodyOfTheListActs(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.must(lena, Restrict{Readers: []Principal{"person:mark"}, Reason: "x"}, ReasonRestricted)
	w.after(20 * time.Hour)
	w.must(mark, Note{Text: "still here"}, ReasonNoted)
	w.after(GlassAfter - time.Minute)
	w.refused(boss, BreakGlass{Reason: "nobody answers"}, RefusedNoIncident)
	w.after(time.Minute)
	w.refused(omar, BreakGlass{Reason: "nobody answers"}, RefusedNoIncident) // no owner
	w.must(boss, BreakGlass{Reason: "nobody answers"}, ReasonGlassBroken)
	w.must(boss, Note{Text: "x"}, ReasonNoted)
	var told *Page
	for _, p := range w.s.Pages {
		if p.Glass() {
			told = p
		}
	}
	if told == nil || !slices.Equal(told.For, []Principal{"person:lena", "person:mark"}) {
		t.Fatalf("told: %+v", told)
	}
	if line := Render(Fact{Kind: KindGlass, Parts: []Part{own(AccessText{Person: "person:boss", Reason: "nobody answers"})}}); !strings.Contains(line.Text, "person:boss") || !strings.Contains(line.Text, "nobody answers") {
		t.Errorf("%q", line.Text)
	}
}
