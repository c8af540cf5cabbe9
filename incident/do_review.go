package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// A review has three versions. The internal one is what the policy asks for. What clients and the public
// read is written for them: nothing of the internal text comes into it by itself.
const (
	VersionInternal = "internal"
	VersionClient   = "client"
	VersionPublic   = "public"
)

// ReviewVersions are the versions of a review, from the narrowest to the widest.
var ReviewVersions = []string{VersionInternal, VersionClient, VersionPublic}

// NoText is the Was of an edit that was begun when the part had no text.
const NoText = "none"

// The states of a corrective action.
const (
	CorrectiveOpen    = "open"
	CorrectiveDone    = "done"
	CorrectiveDropped = "dropped"
)

// maxPicked bounds the curated timeline, and maxCorrective the corrective actions of one incident.
const (
	maxPicked     = 500
	maxCorrective = maxItems
)

// outward are the parts that a version for people outside cannot do without.
var outward = map[string][]string{
	VersionClient: {"impact", "response", "recommendations"},
	VersionPublic: {"impact", "response"},
}

// ReviewParts lists the parts a version of the review may have, in their order. The internal version has
// those the policy names. A version for people outside has them too, and those it cannot do without.
func ReviewParts(p *policy.Program, version string) []string {
	parts := slices.Clone(p.Review)
	for _, part := range outward[version] {
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return parts
}

// ReviewNeeds lists the parts that a version of the review cannot be published without.
func ReviewNeeds(p *policy.Program, version string) []string {
	if version == VersionInternal {
		return p.Review
	}
	return outward[version]
}

// PartKey is where a part of a version stands in ReviewState.Parts.
func PartKey(version, part string) string {
	if version == VersionInternal || version == "" {
		return part
	}
	return version + "/" + part
}

// Shows reports whether an entry of the curated timeline is shown in a version.
func (e Picked) Shows(version string) bool {
	return slices.Index(ReviewVersions, e.Show) >= slices.Index(ReviewVersions, version)
}

// LastPublished is the newest publication of a version, or nil.
func (r *ReviewState) LastPublished(version string) *Publication {
	for i := range slices.Backward(r.Published) {
		if r.Published[i].Version == version {
			return &r.Published[i]
		}
	}
	return nil
}

// Overdue reports whether a corrective action should have been done by now.
func (c Corrective) Overdue(now time.Time) bool {
	return c.State == CorrectiveOpen && !c.Due.IsZero() && now.After(c.Due)
}

func versionOf(v string) (string, error) {
	if v == "" {
		return VersionInternal, nil
	}
	if !slices.Contains(ReviewVersions, v) {
		return "", invalid("version", "must be one of %s", strings.Join(ReviewVersions, ", "))
	}
	return v, nil
}

// plainVersion is a version as facts write it: the internal one, which all facts of earlier releases
// meant, is "".
func plainVersion(v string) string {
	if v == VersionInternal {
		return ""
	}
	return v
}

// reviewMissing lists the parts of a version of the review that have no text and cannot be without.
func reviewMissing(p *policy.Program, s *State, version string) []string {
	var missing []string
	for _, part := range ReviewNeeds(p, version) {
		if got := s.Review.Parts[PartKey(version, part)]; got == nil || strings.TrimSpace(got.Text) == "" {
			missing = append(missing, part)
		}
	}
	return missing
}

func (w *work) editReview(c EditReview) (Reason, error) {
	version, err := versionOf(c.Version)
	if err != nil {
		return "", err
	}
	if parts := ReviewParts(w.p, version); !slices.Contains(parts, c.Part) {
		return "", invalid("part", "must be one of %s", strings.Join(parts, ", "))
	}
	if err := needText("text", c.Text, maxText); err != nil {
		return "", err
	}
	if err := checkText("was", c.Was, maxID); err != nil {
		return "", err
	}
	old := w.base.Review.Parts[PartKey(version, c.Part)]
	if old != nil && old.Text == c.Text {
		return ReasonNothingChanged, nil
	}
	now := NoText
	if old != nil {
		now = old.Fact
	}
	if c.Was != "" && c.Was != now {
		return "", refuse(RefusedStale, fmt.Sprintf("the part %s was written by %s in the meantime: nothing was overwritten", c.Part, old.By),
			Missing{What: "a text that knows the newer one", Do: "look at what stands there now, then save yours over it"})
	}
	w.fact(KindReviewEdited, ReviewBody{Part: c.Part, Version: plainVersion(version)}, own(PlainText{c.Text}))
	return ReasonEdited, nil
}

func (w *work) pickEntry(c PickEntry) (Reason, error) {
	show, err := versionOf(c.Show)
	if err != nil {
		return "", invalid("show", "must be one of %s", strings.Join(ReviewVersions, ", "))
	}
	if err := needText("text", c.Text, maxReason); err != nil {
		return "", err
	}
	if err := checkText("of", c.Of, maxID); err != nil {
		return "", err
	}
	at := c.At.UTC()
	switch {
	case c.At.IsZero():
		return "", invalid("at", "must be given: the timeline is in the order of its times")
	case at.Year() < 1970 || at.After(w.now):
		return "", invalid("at", "must lie in the past")
	}
	old := w.picked(c.Entry)
	switch {
	case c.Entry != "" && old == nil:
		return "", refuse(RefusedUnknown, "the curated timeline has no such entry",
			Missing{What: "the id of an entry", Do: "see which there are: tocsin review entries " + w.base.ID})
	case old == nil && len(w.base.Review.Entries) >= maxPicked:
		return "", invalid("entry", "the curated timeline has %d entries already: a timeline of more is read by nobody", maxPicked)
	case old != nil && old.At.Equal(at) && old.Text == c.Text && old.Of == c.Of && old.Show == show:
		return ReasonNothingChanged, nil
	case old == nil && c.Of != "":
		for _, e := range w.base.Review.Entries {
			if e.Of == c.Of && e.Text == c.Text && e.At.Equal(at) {
				return ReasonNothingChanged, nil // picked twice
			}
		}
	}
	id := c.Entry
	if id == "" {
		id = fmt.Sprintf("TL-%d", w.base.Review.Picked+1)
	}
	w.fact(KindEntryPicked, EntryBody{Entry: id, At: at, Of: c.Of, Show: plainVersion(show)}, own(PlainText{c.Text}))
	return ReasonEntryPicked, nil
}

func (w *work) picked(id string) *Picked {
	for i := range w.base.Review.Entries {
		if w.base.Review.Entries[i].ID == id {
			return &w.base.Review.Entries[i]
		}
	}
	return nil
}

func (w *work) dropEntry(c DropEntry) (Reason, error) {
	if err := needID("entry", c.Entry); err != nil {
		return "", err
	}
	if w.picked(c.Entry) == nil {
		return ReasonNothingChanged, nil
	}
	w.fact(KindEntryDropped, EntryBody{Entry: c.Entry})
	return ReasonEntryDropped, nil
}

func (w *work) addCorrective(c AddCorrective) (Reason, error) {
	if err := needText("text", c.Text, maxText); err != nil {
		return "", err
	}
	if err := needID("owner", string(c.Owner)); err != nil {
		return "", err
	}
	if c.Due.IsZero() {
		return "", invalid("due", "must be given")
	}
	n := len(w.base.Review.Corrective)
	if n >= maxCorrective {
		return "", invalid("text", "the incident has %d corrective actions already", maxCorrective)
	}
	w.fact(KindCorrective, CorrectiveBody{Corrective: fmt.Sprintf("CA-%d", n+1), Owner: c.Owner, Due: c.Due.UTC()}, own(PlainText{c.Text}))
	return ReasonCorrectiveAdded, nil
}

func (w *work) moveCorrective(c MoveCorrective) (Reason, error) {
	if err := needID("corrective", c.Corrective); err != nil {
		return "", err
	}
	if err := needText("note", c.Note, maxReason); err != nil {
		return "", err
	}
	if c.Owner != "" {
		if err := needID("owner", string(c.Owner)); err != nil {
			return "", err
		}
	}
	i := slices.IndexFunc(w.base.Review.Corrective, func(x Corrective) bool { return x.ID == c.Corrective })
	if i < 0 {
		return "", refuse(RefusedUnknown, "the incident has no such corrective action",
			Missing{What: "the id of a corrective action of " + w.base.ID, Do: "see which there are: tocsin review actions"})
	}
	old := w.base.Review.Corrective[i]
	state := c.State
	if state == "" {
		state = old.State
	}
	if !slices.Contains([]string{CorrectiveOpen, CorrectiveDone, CorrectiveDropped}, state) {
		return "", invalid("state", "must be open, done or dropped")
	}
	same := (c.Owner == "" || c.Owner == old.Owner) && (c.Due.IsZero() || c.Due.Equal(old.Due))
	switch {
	case state == old.State && same:
		return ReasonNothingChanged, nil
	case !correctiveMachine.allows(old.State, KindCorrectiveMoved, state):
		return "", refuse(RefusedState, fmt.Sprintf("%s is %s", old.ID, old.State),
			Missing{What: "a corrective action that is open", Do: w.do("open it again", "move-corrective", old.ID+" --state open --note …")})
	}
	w.fact(KindCorrectiveMoved, CorrectiveBody{Corrective: old.ID, State: state, Owner: c.Owner, Due: c.Due.UTC()}, own(PlainText{c.Note}))
	return ReasonCorrectiveMoved, nil
}

// publish records that a version of the review is out. Text that is written afterwards is a draft again,
// and publishing it makes a further publication; what was published stays as it was.
func (w *work) publish(c PublishReview) (Reason, error) {
	version, err := versionOf(c.Version)
	if err != nil {
		return "", err
	}
	if c.Digest != "" && !fileDigest.MatchString(c.Digest) {
		return "", invalid("digest", "must be sha256: and 64 hexadecimal digits")
	}
	r := &w.base.Review
	last := r.LastPublished(version)
	if last != nil && last.Written == r.Written && (c.Digest == "" || c.Digest == last.Digest) {
		return ReasonAlreadyPublish, nil
	}
	v := w.view(w.base)
	if g := publishGate(w.p, w.base, &v, w.ctx.Actor, version); len(g.Missing) > 0 {
		reason := RefusedReview
		if len(g.Gates) > 0 {
			reason = RefusedGate
		}
		return w.refuseGate("publish", "", reason, "the review cannot be published yet", g.Gates, g.Missing...)
	}
	if c.Written != 0 && c.Written != r.Written {
		return "", stalePublication()
	}
	n := 1
	if last != nil {
		n = last.N + 1
	}
	w.through("publish", "", &v, "publish")
	w.fact(KindPublished, PublishedBody{Version: plainVersion(version), N: n, Digest: c.Digest, Kept: c.Kept})
	if version == VersionInternal && !w.base.has("reviewed") {
		w.setMilestone("reviewed", w.now, "the review was published")
	}
	return ReasonPublished, nil
}

func stalePublication() error {
	return refuse(RefusedStale, "the review was changed after it was looked at: nothing was published",
		Missing{What: "a look at the text as it is now", Do: "read it again, then publish it"})
}

// StalePublication is the refusal of a publication whose text is another by now.
func StalePublication() error { return stalePublication() }

// overdueCall begins the id of a call that tells the owner of a corrective action that it is overdue.
const overdueCall = "corrective/"

// CallsOwner returns the id of the corrective action whose owner a page calls, or "".
func (p *Page) CallsOwner() string {
	rest, ok := strings.CutPrefix(p.ID, overdueCall)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return id
}

// ownerCall is the call for an overdue corrective action: one for each date that passes. Only a person
// can be called.
func (c Corrective) ownerCall(s *State) (id string, ok bool) {
	if c.State != CorrectiveOpen || c.Due.IsZero() || !strings.HasPrefix(string(c.Owner), "person:") {
		return "", false
	}
	id = fmt.Sprintf("%s%s/%s", overdueCall, c.ID, c.Due.UTC().Format("20060102T150405Z"))
	return id, s.Pages[id] == nil
}

// remind calls the owners of corrective actions whose date has passed, whatever became of the incident.
func (w *work) remind() {
	for _, c := range w.base.Review.Corrective {
		if id, ok := c.ownerCall(w.base); ok && c.Overdue(w.now) {
			w.tick(KindPageOwed, past(c.Due), PageBody{Page: id, State: PageOwed, Due: c.Due, For: []Principal{c.Owner}, N: 1})
		}
	}
}
