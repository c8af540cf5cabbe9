package console

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/review"
)

// reviewView is the review of an incident: the curated timeline beside the document of one version.
type reviewView struct {
	Frame     frame
	State     *incident.State
	Version   string
	Plan      desk.ReviewPlan
	Parts     []partForm
	Entries   []entryForm
	Log       []desk.LogLine // what can be picked: a page of the log, where accesses of a minute are one line
	LogText   string         // what its lines hold
	Before    string         // address of the first page, on another one
	Next      string         // address of the page after
	Own       entryForm      // the form of a note of one's own
	Published []incident.Publication
	Owners    []option
	Now       time.Time
	Key       string
	Trouble   *trouble
}

// partForm is one part of the document as it is written.
type partForm struct {
	ID, Title, Text string
	Was             string   // the fact of the text, or incident.NoText
	By              string   // who wrote what stands there
	Kept            string   // what stands there, when somebody else wrote it meanwhile and Text is what was refused
	Lacks           []string // what it still needs
	Needed          bool
	Section         review.Section
}

// entryForm is an entry of the curated timeline as it is written.
type entryForm struct {
	incident.Picked
	When   string
	Hidden bool // this version does not show it
}

// logRows is how many lines of the log a page offers.
const logRows = 40

func (c *Console) reviewPage(w http.ResponseWriter, r *http.Request) error {
	return c.showReview(w, r, http.StatusOK, nil, nil)
}

// versionIn is the version an address or a form names.
func versionIn(in url.Values) string {
	if v := in.Get("version"); slices.Contains(incident.ReviewVersions, v) {
		return v
	}
	return incident.VersionInternal
}

// showReview renders the page. in is the submitted form when something was refused: what was written stays.
func (c *Console) showReview(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	look, err := c.look(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	s := look.State
	v := reviewView{Frame: c.frame(r, "Review · "+s.ID), State: s, Key: rand.Text(), Trouble: t, Owners: ownersOf(look), Now: c.opt.Now()}
	v.Version = versionIn(r.URL.Query())
	if in != nil {
		v.Version = versionIn(in)
	}
	if v.Plan, err = c.desk.PlanReview(r.Context(), s.ID, v.Version); err != nil {
		return err
	}
	for _, id := range incident.ReviewParts(look.Policy, v.Version) {
		v.Parts = append(v.Parts, v.partOf(id, slices.Contains(incident.ReviewNeeds(look.Policy, v.Version), id), in, t != nil))
	}
	for _, e := range s.Review.Entries {
		one := entryForm{e, e.At.In(v.Frame.Zone).Format("2006-01-02T15:04:05"), !e.Shows(v.Version)}
		if t != nil && in.Get("entry") == e.ID {
			one.When, one.Show, one.Text = in.Get("at"), in.Get("show"), in.Get("text")
		}
		v.Entries = append(v.Entries, one)
	}
	if t != nil && in.Get("do") == "pick" && in.Get("entry")+in.Get("of") == "" {
		v.Own.When, v.Own.Text = in.Get("at"), in.Get("text")
	}
	for _, p := range slices.Backward(s.Review.Published) {
		if p.Version == v.Version {
			v.Published = append(v.Published, p)
		}
	}
	if err := c.offerLog(r, &v); err != nil {
		return err
	}
	return c.render(w, r, status, reviewPage(v))
}

// partOf is the form of one part. What was refused because somebody else wrote meanwhile is kept beside what
// stands there now, and saving it again, knowing that, overwrites it.
func (v *reviewView) partOf(id string, needed bool, in url.Values, refused bool) partForm {
	p := partForm{ID: id, Title: word(id), Was: incident.NoText, Needed: needed}
	if got := v.State.Review.Parts[incident.PartKey(v.Version, id)]; got != nil {
		p.Text, p.Was, p.By = got.Text, got.Fact, v.Frame.who(got.By)
	}
	for _, sec := range v.Plan.Document.Sections {
		if sec.ID == id {
			p.Section, p.Lacks, p.Title = sec, sec.Missing, sec.Title
		}
	}
	if refused && in.Get("do") == "write" && in.Get("part") == id {
		written := strings.ReplaceAll(in.Get("text"), "\r\n", "\n")
		if in.Get("was") != p.Was {
			p.Kept = p.Text
		}
		p.Text = written
	}
	return p
}

// offerLog reads a page of the incident's timeline, where accesses of a minute are one line with a count.
func (c *Console) offerLog(r *http.Request, v *reviewView) error {
	q := r.URL.Query()
	v.LogText = strings.TrimSpace(q.Get("text"))
	if len(v.LogText) > maxFilter {
		v.LogText = ""
	}
	if !v.Frame.Acts {
		return nil
	}
	at := func(place string) string {
		next := url.Values{"version": {v.Version}}
		if v.LogText != "" {
			next.Set("text", v.LogText)
		}
		if place != "" {
			next.Set("from", place)
		}
		return reviewAddress(v.State.ID) + "?" + next.Encode() + "#log"
	}
	place := q.Get("from")
	if place != "" {
		v.Before = at("")
	}
	if v.LogText == "" {
		lines, next, err := c.desk.Newest(r.Context(), v.State.ID, place, logRows, []string{desk.SourceFact, desk.SourceEvent, desk.SourceLog})
		if err != nil {
			return err
		}
		v.Log = lines
		if next != "" {
			v.Next = at(next)
		}
		return nil
	}
	page, err := c.desk.Entries(r.Context(), v.State.ID, desk.EntryQuery{After: place, Limit: logRows, Text: v.LogText})
	if err != nil {
		return err
	}
	for _, e := range page.Entries {
		v.Log = append(v.Log, desk.LogLine{TimelineLine: e.TimelineLine, Count: 1})
	}
	if page.Next != "" {
		v.Next = at(page.Next)
	}
	return nil
}

func reviewAddress(id string) string { return "/incidents/" + url.PathEscape(id) + "/review" }

func (v reviewView) address(version string) string {
	return reviewAddress(v.State.ID) + "?version=" + version
}

// file is the address of a text as a file; n 0 is the draft.
func (v reviewView) file(n int, form string) string {
	return reviewAddress(v.State.ID) + "/file?" + url.Values{"version": {v.Version}, "n": {strconv.Itoa(n)}, "form": {form}}.Encode()
}

// changes is the address of what changed from one publication to another; to 0 is the draft.
func (v reviewView) changes(from, to int) string {
	return reviewAddress(v.State.ID) + "/changes?" + url.Values{"version": {v.Version}, "from": {strconv.Itoa(from)}, "to": {strconv.Itoa(to)}}.Encode()
}

// actOnReview does what a form of the page says, and leads back to the place on it.
func (c *Console) actOnReview(w http.ResponseWriter, r *http.Request) error {
	in, id := r.PostForm, r.PathValue("id")
	version, place := versionIn(in), ""
	err := checkForm(r)
	if err == nil {
		read := reader{in: in, loc: c.frame(r, "").Zone, err: &err}
		var command incident.Command
		switch in.Get("do") {
		case "write":
			command, place = incident.EditReview{Part: read.text("part"), Version: version, Text: read.prose("text"), Was: read.text("was")}, "#p-"+read.text("part")
		case "pick":
			command, place = incident.PickEntry{Entry: read.text("entry"), At: read.time("at"), Text: read.text("text"), Of: read.text("of"), Show: cmp.Or(read.text("show"), version)}, "#curated"
		case "unpick":
			command, place = incident.DropEntry{Entry: read.text("entry")}, "#curated"
		case "publish":
			command, place = incident.PublishReview{Version: version, Digest: read.text("digest")}, "#published"
		default:
			return desk.ErrNotFound
		}
		if err == nil {
			_, err = c.desk.Submit(r.Context(), desk.Request{ID: requestID(r), Incident: id, Command: command, Caller: callerOf(r.Context())})
		}
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "writing a review failed", "error", err)
		}
		if in.Get("do") == "publish" {
			return c.showReviewPlan(w, r, t.Status, version, t)
		}
		return c.showReview(w, r, t.Status, in, t)
	}
	http.Redirect(w, r, reviewAddress(id)+"?version="+version+place, http.StatusSeeOther)
	return nil
}

// reviewPlanView is the very text that would be published.
type reviewPlanView struct {
	Frame   frame
	ID      string
	Version string
	Plan    desk.ReviewPlan
	Key     string
	Trouble *trouble
}

func (c *Console) reviewPlanPage(w http.ResponseWriter, r *http.Request) error {
	return c.showReviewPlan(w, r, http.StatusOK, versionIn(r.URL.Query()), nil)
}

func (c *Console) showReviewPlan(w http.ResponseWriter, r *http.Request, status int, version string, t *trouble) error {
	id := r.PathValue("id")
	plan, err := c.desk.PlanReview(r.Context(), id, version)
	if err != nil {
		return err
	}
	return c.render(w, r, status, reviewPlanPage(reviewPlanView{Frame: c.frame(r, "Publish the review · "+id), ID: id, Version: version, Plan: plan, Key: rand.Text(), Trouble: t}))
}

// reviewChangesView is what changed between two texts.
type reviewChangesView struct {
	Frame       frame
	ID, Version string
	From, To    int
	Lines       []string
}

func (c *Console) reviewChangesPage(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	from, err := strconv.Atoi(cmp.Or(q.Get("from"), "0"))
	if err != nil {
		return desk.ErrNotFound
	}
	to, err := strconv.Atoi(cmp.Or(q.Get("to"), "0"))
	if err != nil {
		return desk.ErrNotFound
	}
	v := reviewChangesView{ID: r.PathValue("id"), Version: versionIn(q), From: from, To: to}
	changes, err := c.desk.ReviewDiff(r.Context(), v.ID, v.Version, from, to)
	if err != nil {
		return err
	}
	v.Frame = c.frame(r, "What changed · "+v.ID)
	if changes != "" {
		v.Lines = strings.Split(strings.TrimRight(changes, "\n"), "\n")
	}
	return c.render(w, r, http.StatusOK, reviewChangesPage(v))
}

// reviewTypes are the forms a text is given out in, with their media types.
var reviewTypes = map[string]string{"md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8", "pdf": "application/pdf"}

// reviewFile gives a text out as a file, to be saved: no browser opens it as a page of ours.
func (c *Console) reviewFile(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	kind := reviewTypes[q.Get("form")]
	n, err := strconv.Atoi(cmp.Or(q.Get("n"), "0"))
	if err != nil || n < 0 || kind == "" {
		return fmt.Errorf("%w: form: is md, html or pdf", desk.ErrInvalid)
	}
	id, version := r.PathValue("id"), versionIn(q)
	body, err := c.desk.Review(r.Context(), id, desk.ReviewQuery{Version: version, N: n, Format: q.Get("form")})
	if err != nil {
		return err
	}
	name := "review-" + version
	if n > 0 {
		name += "-" + strconv.Itoa(n)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+"."+q.Get("form")+`"`)
	_, _ = w.Write(body) // a failed write means that the reader is gone
	return nil
}

// correctiveLook is the sign of a corrective action.
func correctiveLook(c incident.Corrective, now time.Time) look {
	switch {
	case c.Overdue(now):
		return look{"overdue", "✕", "missed"}
	case c.State == incident.CorrectiveDone:
		return look{"done", "✓", "met"}
	case c.State == incident.CorrectiveDropped:
		return look{"dropped", "–", "waiting"}
	}
	return look{"open", "○", "waiting"}
}

// sentenceOf is a line of the log as it is offered for the timeline.
func sentenceOf(l desk.LogLine) string {
	if l.Count > 1 {
		return l.Text + " (" + number(int64(l.Count)) + " times)"
	}
	return l.Text
}

// pickable cuts a sentence to what an entry may hold.
func pickable(text string) string {
	const most = 1000
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

func versionName(version string) string {
	for _, o := range versionOptions {
		if o.Value == version {
			return o.Text
		}
	}
	return version
}

func publicationName(n int) string {
	if n == 0 {
		return "the draft"
	}
	return "publication " + number(int64(n))
}

// describedBy names what describes a field, when there is something.
func describedBy(there bool, id string) templ.Attributes {
	if !there {
		return nil
	}
	return templ.Attributes{"aria-describedby": id}
}

// publicationPlace is the permanent place of a publication on the page of its version.
func publicationPlace(version string, n int) string { return version + "-" + strconv.Itoa(n) }
