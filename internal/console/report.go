package console

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// Reports come from anybody, so they are few: what is beyond these limits is asked to write to the
// contact of the policy instead, and is told that nothing was recorded.
const (
	reportsOfOne = 5  // per address and hour
	reportsOfAll = 60 // per hour
	maxReport    = 1500
)

// reports counts them by the hour.
type reports struct {
	mu   sync.Mutex
	hour time.Time
	by   map[string]int // never more than reportsOfAll addresses
	all  int
}

// take counts one more of an address, and reports false when it is one too many.
func (x *reports) take(from string, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if hour := now.Truncate(time.Hour); !hour.Equal(x.hour) {
		x.hour, x.by, x.all = hour, map[string]int{}, 0
	}
	if x.all >= reportsOfAll || x.by[from] >= reportsOfOne {
		return false
	}
	x.all++
	x.by[from]++
	return true
}

// reportView is the public form.
type reportView struct {
	Frame     frame
	Contact   string
	In        url.Values
	Key       string
	Reference string // of what was just recorded
	Trouble   *trouble
}

func (c *Console) reportPage(w http.ResponseWriter, r *http.Request) error {
	return c.showReport(w, r, http.StatusOK, url.Values{}, nil, "")
}

func (c *Console) showReport(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble, reference string) error {
	v := reportView{Frame: c.visitor(r, "Report a security issue"), In: in, Key: rand.Text(), Trouble: t, Reference: reference}
	v.Frame.Here = "report"
	if k := in.Get("key"); k != "" && reference == "" {
		v.Key = k // sent again, it is the same report
	}
	if p := c.desk.PolicyProgram(r.Context()); p != nil {
		v.Contact = p.Contact.Email
	}
	return c.render(w, r, status, reportPage(v))
}

// report takes a report in. It is a fact before it is answered: a crash before that loses nothing,
// because the form that is sent again has the same key.
func (c *Console) report(w http.ResponseWriter, r *http.Request) error {
	in := reader{in: r.PostForm}
	what, where, when, from := in.text("what"), in.text("where"), in.text("when"), in.text("from")
	refuse := func(status int, format string, args ...any) error {
		return c.showReport(w, r, status, r.PostForm, &trouble{Status: status, Title: "Not recorded", Text: fmt.Sprintf(format, args...)}, "")
	}
	switch {
	case c.opt.ReadOnly:
		return desk.ErrReadOnly
	case in.text("website") != "":
		return refuse(http.StatusUnprocessableEntity, "The last field has to stay empty: programs that send unwanted messages fill it in. Empty it and send again.")
	case len(what) < 10:
		return refuse(http.StatusUnprocessableEntity, "Say in a sentence or two what you found.")
	case len(what) > maxReport || len(where) > 300 || len(when) > 100 || len(from) > 200:
		return refuse(http.StatusUnprocessableEntity, "Write at most %d characters about what you found, and one line in each other field.", maxReport)
	case len(in.text("key")) < 16 || len(in.text("key")) > 100:
		return refuse(http.StatusUnprocessableEntity, "This form is not whole. Look it over and send it again.")
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !c.reported.take(host, time.Now()) {
		w.Header().Set("Retry-After", "3600")
		return refuse(http.StatusTooManyRequests, "There were too many reports within the hour. Write to the address on this page instead, or send it again later.")
	}
	reference := strings.ToUpper(digest([]byte("report/" + in.text("key")))[:10])
	say := "Reported by a visitor: " + what
	for _, more := range [][2]string{{"Where", where}, {"Noticed", when}, {"Answer to", from}} {
		if more[1] != "" {
			say += "\n" + more[0] + ": " + more[1]
		}
	}
	now := c.opt.Now().UTC()
	sig := incident.Signal{ID: "report-" + reference, Class: "outside_report", Subject: "report:" + reference, At: now, From: now, To: now, Sentence: say}
	if _, err := c.desk.Signal(r.Context(), sig); err != nil {
		c.opt.Log.ErrorContext(r.Context(), "a report was not taken in", "reference", reference, "error", err)
		t := troubleOf(err)
		return refuse(t.Status, "It could not be recorded now. Send it again in a moment, or write to the address on this page.")
	}
	return c.showReport(w, r, http.StatusCreated, url.Values{}, nil, reference)
}

// statusView is the public page of how the service stands.
type statusView struct {
	Frame    frame
	Services []service
	Version  string
	Drill    *played.Run
	Sealed   string // the newest checkpoint's first lines
}

// service is what everybody may know of the probes that look at one thing: not which they are, nor what they saw.
type service struct {
	Name  string
	State string // the worst of its probes
	Since time.Time
}

// servicesOf tells how each service stands, by name. One that fails does so since its first probe saw it, and one
// that passes since its last probe did.
func servicesOf(probes []desk.ProbeRow) []service {
	worst := []string{"out", "failing", "passing"} // else it has not run
	rank := func(state string) int {
		if i := slices.Index(worst, state); i >= 0 {
			return i
		}
		return len(worst)
	}
	var out []service
	for _, p := range probes {
		i := slices.IndexFunc(out, func(s service) bool { return s.Name == p.Service })
		switch {
		case i < 0:
			out = append(out, service{p.Service, p.State, p.Since})
		case rank(p.State) < rank(out[i].State):
			out[i].State, out[i].Since = p.State, p.Since
		case p.State == out[i].State && (p.State == "passing") == p.Since.After(out[i].Since):
			out[i].Since = p.Since
		}
	}
	slices.SortFunc(out, func(a, b service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// statusPage shows what everybody may know: how services stand, the version of the policy, the newest drill and
// that the record goes on. Incidents are not on it: those they concern are told by the policy's own
// notices, and a list of open ones would tell an attacker what was noticed.
func (c *Console) statusPage(w http.ResponseWriter, r *http.Request) error {
	v := statusView{Frame: c.visitor(r, "Status")}
	v.Frame.Here = "status"
	if p := c.desk.PolicyProgram(r.Context()); p != nil {
		v.Version = p.Version()
	}
	probes, err := c.desk.Probes(r.Context())
	if err != nil {
		return err
	}
	v.Services = servicesOf(probes)
	if run, ok := c.drilled(); ok {
		v.Drill = &run
	}
	if points, err := c.desk.Checkpoints(r.Context()); err == nil {
		v.Sealed = points.Facts
	} else if !errors.Is(err, desk.ErrUnavailable) {
		c.opt.Log.WarnContext(r.Context(), "no checkpoint for the status page", "error", err)
	}
	return c.render(w, r, http.StatusOK, statusPage(v))
}

// drilled is the newest drill, looked up at most twice a minute: public pages ask for it.
func (c *Console) drilled() (run played.Run, ok bool) {
	if c.opt.LastDrill == nil {
		return run, false
	}
	c.printing.Lock()
	defer c.printing.Unlock()
	if time.Since(c.drill.looked) > 30*time.Second {
		c.drill.run, c.drill.ok = c.opt.LastDrill()
		c.drill.looked = time.Now()
	}
	return c.drill.run, c.drill.ok
}
