package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A private incident is known to the people on its list and to nobody else: not to other responders,
// not to owners. A member of staff whom it is about is never on the list. To everybody who is not on
// it the incident does not exist, and a command to it is refused as one to no incident is.

// Privacy is who may know of a private incident.
type Privacy struct {
	Since   time.Time   `json:"since"`
	By      Principal   `json:"by"`
	Why     string      `json:"why"`
	Readers []Reader    `json:"readers"`         // the list, in the order in which people came on it
	About   []Principal `json:"about,omitempty"` // members of staff whom it is about: never on the list, never called
	Acted   time.Time   `json:"acted"`           // when somebody of the list last did something
}

// Reader is somebody on the list of a private incident.
type Reader struct {
	Person Principal `json:"person"`
	By     Principal `json:"by"` // who put them on it
	At     time.Time `json:"at"`
	Why    string    `json:"why,omitempty"`
}

// Restrict makes an incident private, with the caller and others on its list. Given again, it adds
// people whom the incident is about, who leave the list, and people to the list. It is not taken
// back: an incident that may be known after all has people put on its list.
type Restrict struct {
	Readers []Principal `json:"readers,omitempty"` // besides the caller
	About   []Principal `json:"about,omitempty"`   // members of staff whom it is about
	Reason  string      `json:"reason"`
}

// Grant puts a person on the list of a private incident.
type Grant struct {
	Person Principal `json:"person"`
	Reason string    `json:"reason"`
}

// RevokeAccess takes a person off the list. The last one stays on it.
type RevokeAccess struct {
	Person Principal `json:"person"`
	Reason string    `json:"reason"`
}

// BreakGlass puts an owner on the list of a private incident when nobody of the list has done
// anything for a day. Everybody on the list is told.
type BreakGlass struct {
	Reason string `json:"reason"`
}

func (Restrict) Name() string     { return "restrict" }
func (Grant) Name() string        { return "grant" }
func (RevokeAccess) Name() string { return "revoke-access" }
func (BreakGlass) Name() string   { return "break-glass" }

// GlassAfter is how long nobody of the list has done anything before an owner may break the glass.
const GlassAfter = 24 * time.Hour

// RestrictedText is who may know of it and why; it is sealed, because it names people.
type RestrictedText struct {
	Reason  string      `json:"reason"`
	Readers []Principal `json:"readers,omitempty"`
	About   []Principal `json:"about,omitempty"`
}

// AccessText is whose access changed and why.
type AccessText struct {
	Person Principal `json:"person"`
	Reason string    `json:"reason"`
}

// Sees reports whether somebody may know of the incident. The system's own workers do; whoever it is
// about does not, also when they are on the list of an older fact.
func Sees(s *State, who Principal, access Access) bool {
	if s == nil || s.Private == nil || access == Service {
		return true
	}
	return s.Private.lists(who)
}

func (p *Privacy) lists(who Principal) bool {
	return !slices.Contains(p.About, who) && slices.ContainsFunc(p.Readers, func(r Reader) bool { return r.Person == who })
}

// maxReaders bounds the list and the people whom an incident is about.
const maxReaders = 200

// admitReader refuses whoever may not know of the incident, in the words that are used of one that
// does not exist. Breaking the glass is refused the same way by its own command.
func (w *work) admitReader(c Command) error {
	if _, glass := c.(BreakGlass); glass || Sees(w.base, w.ctx.Actor.Principal, w.ctx.Actor.Access) {
		return nil
	}
	return refuseUnknown()
}

func refuseUnknown() error {
	return refuse(RefusedNoIncident, "there is no such incident",
		Missing{What: "no incident has this id", Do: "list them: tocsin incident list"})
}

func needPeople(field string, list []Principal) error {
	if len(list) > maxReaders {
		return invalid(field, "has more than %d entries", maxReaders)
	}
	for _, p := range list {
		if err := needID(field, string(p)); err != nil {
			return err
		}
		if !strings.HasPrefix(string(p), "person:") {
			return invalid(field, "must be principals such as person:lena")
		}
	}
	return nil
}

func (w *work) restrict(c Restrict) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if err := needPeople("readers", c.Readers); err != nil {
		return "", err
	}
	if err := needPeople("about", c.About); err != nil {
		return "", err
	}
	me := w.ctx.Actor.Principal
	var on []Principal // who stays on the list
	was := 0
	t := RestrictedText{Reason: c.Reason}
	if p := w.base.Private; p != nil {
		for _, r := range p.Readers {
			on = append(on, r.Person)
		}
		t.About = slices.Clone(p.About)
		was = len(p.About)
	} else if strings.HasPrefix(string(me), "person:") {
		c.Readers = append([]Principal{me}, c.Readers...)
	}
	for _, who := range c.About {
		if !slices.Contains(t.About, who) {
			t.About = append(t.About, who)
		}
	}
	about := slices.Clone(t.About)
	t.About = t.About[was:] // the fact says what is new
	for _, who := range c.Readers {
		if !slices.Contains(on, who) {
			on, t.Readers = append(on, who), append(t.Readers, who)
		}
	}
	t.Readers = slices.DeleteFunc(t.Readers, func(who Principal) bool { return slices.Contains(about, who) })
	on = slices.DeleteFunc(on, func(who Principal) bool { return slices.Contains(about, who) })
	switch {
	case len(on) == 0:
		return "", invalid("readers", "must name somebody whom the incident is not about: a private incident has at least one person on its list")
	case len(on) > maxReaders || len(about) > maxReaders:
		return "", invalid("readers", "are more than %d", maxReaders)
	case w.base.Private != nil && len(t.Readers) == 0 && len(t.About) == 0:
		return ReasonNothingChanged, nil
	}
	w.fact(KindRestricted, nil, own(t))
	return ReasonRestricted, nil
}

// needPrivate refuses what only a private incident has.
func (w *work) needPrivate() error {
	if w.base.Private != nil {
		return nil
	}
	return refuse(RefusedState, w.base.ID+" is not private: everybody who is signed in may read it",
		Missing{What: "a list of who may know of it", Do: w.do("make it private", "restrict", "--reason …")})
}

func (w *work) grant(c Grant) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if err := needPeople("person", []Principal{c.Person}); err != nil {
		return "", err
	}
	if err := w.needPrivate(); err != nil {
		return "", err
	}
	p := w.base.Private
	switch {
	case slices.Contains(p.About, c.Person):
		return "", refuse(RefusedAccess, "the incident is about "+string(c.Person)+", who is never on its list",
			Missing{What: "somebody whom it is not about", Do: "put another person on the list"})
	case p.lists(c.Person):
		return ReasonNothingChanged, nil
	case len(p.Readers) >= maxReaders:
		return "", invalid("person", "is one too many: the list has %d people", maxReaders)
	}
	w.fact(KindGranted, nil, own(AccessText(c)))
	return ReasonGranted, nil
}

func (w *work) revokeAccess(c RevokeAccess) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if err := needPeople("person", []Principal{c.Person}); err != nil {
		return "", err
	}
	if err := w.needPrivate(); err != nil {
		return "", err
	}
	switch p := w.base.Private; {
	case !p.lists(c.Person):
		return ReasonNothingChanged, nil
	case len(p.Readers) == 1:
		return "", refuse(RefusedState, string(c.Person)+" is the last one on the list",
			Missing{What: "somebody else who knows of it", Do: w.do("put another person on the list first", "grant", "PERSON --reason …")})
	}
	w.fact(KindAccessRevoked, nil, own(AccessText(c)))
	return ReasonAccessRevoked, nil
}

// breakGlass is for the day on which nobody of the list can be reached. Whoever may not do it hears
// what they would hear of an incident that does not exist.
func (w *work) breakGlass(c BreakGlass) (Reason, error) {
	me := w.ctx.Actor.Principal
	if Sees(w.base, me, w.ctx.Actor.Access) {
		return ReasonNothingChanged, nil
	}
	p := w.base.Private
	if w.ctx.Actor.Access != Owner || !strings.HasPrefix(string(me), "person:") || slices.Contains(p.About, me) || w.now.Sub(p.Acted) < GlassAfter {
		return "", refuseUnknown()
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	w.fact(KindGlass, nil, own(AccessText{Person: me, Reason: c.Reason}))
	var all []Principal
	for _, r := range p.Readers {
		all = append(all, r.Person)
	}
	w.tick(KindPageOwed, w.now, PageBody{Page: fmt.Sprintf("%s%d", glassPage, w.base.Version+1), State: PageOwed, For: all, N: 1})
	return ReasonGlassBroken, nil
}

// glassPage begins the id of a call that tells the people on a list that an owner has come on it.
const glassPage = "glass/"

// Glass reports whether a page says that an owner has come on the list of a private incident.
func (p *Page) Glass() bool { return strings.HasPrefix(p.ID, glassPage) }

// mustRead refuses to give a part in a private incident to somebody who is not on its list.
func (w *work) mustRead(who Principal) error {
	if w.base.Private == nil || w.base.Private.lists(who) {
		return nil
	}
	return refuse(RefusedAccess, string(who)+" is not on the list of this private incident",
		Missing{What: "their access", Do: w.do("put them on the list", "grant", strings.TrimPrefix(string(who), "person:")+" --reason …")})
}

func foldRestricted(s *State, f Fact) error {
	var t RestrictedText
	if err := text(f, &t); err != nil {
		return err
	}
	p := Privacy{Since: f.Recorded, By: f.Principal, Why: t.Reason, Acted: f.Recorded}
	if s.Private != nil {
		p = *s.Private
	}
	p.About = append(slices.Clone(p.About), t.About...)
	p.Readers = slices.Clone(p.Readers)
	for _, who := range t.Readers {
		p.Readers = append(p.Readers, Reader{Person: who, By: f.Principal, At: f.Recorded, Why: t.Reason})
	}
	p.Readers = slices.DeleteFunc(p.Readers, func(r Reader) bool { return slices.Contains(p.About, r.Person) })
	s.Private = &p
	return nil
}

func foldAccess(s *State, f Fact) error {
	var t AccessText
	if err := text(f, &t); err != nil {
		return err
	}
	if s.Private == nil {
		return fmt.Errorf("incident: fact %s changes the list of an incident that is not private", f.ID)
	}
	p := *s.Private
	p.Readers = slices.DeleteFunc(slices.Clone(p.Readers), func(r Reader) bool { return r.Person == t.Person })
	if f.Kind != KindAccessRevoked {
		p.Readers = append(p.Readers, Reader{Person: t.Person, By: f.Principal, At: f.Recorded, Why: t.Reason})
	}
	s.Private = &p
	return nil
}

// acted notes that somebody of the list did something.
func (s *State) acted(f Fact) {
	if s.Private == nil || !s.Private.lists(f.Principal) {
		return
	}
	p := *s.Private
	p.Acted = f.Recorded
	s.Private = &p
}

// privateRenderers puts in words who may know of an incident.
func privateRenderers() map[Kind]func(Fact) string {
	names := func(list []Principal) string {
		words := make([]string, len(list))
		for i, who := range list {
			words[i] = string(who)
		}
		return strings.Join(words, ", ")
	}
	return map[Kind]func(Fact) string{
		KindRestricted: func(f Fact) string {
			_, t := read[struct{}, RestrictedText](f)
			s := "Private: only the people on its list may know of it"
			if len(t.Readers) > 0 {
				s += "; on it " + names(t.Readers)
			}
			if len(t.About) > 0 {
				s += "; it is about " + names(t.About)
			}
			return because(s, t.Reason)
		},
		KindGranted: func(f Fact) string {
			_, t := read[struct{}, AccessText](f)
			return because(string(t.Person)+" put on the list", t.Reason)
		},
		KindAccessRevoked: func(f Fact) string {
			_, t := read[struct{}, AccessText](f)
			return because(string(t.Person)+" taken off the list", t.Reason)
		},
		KindGlass: func(f Fact) string {
			_, t := read[struct{}, AccessText](f)
			return because(string(t.Person)+", an owner, came on the list because nobody of it had acted for a day", t.Reason)
		},
	}
}
