package console

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// mergeable is how many open incidents the form of a merging offers.
const mergeable = 500

// registerMerging are the two commands that concern two incidents.
func registerMerging(register func(form)) {
	register(form{Command: "merge", Title: "Merge another incident into this one", Danger: true, Both: true,
		Explain: "The other incident ends as a part of this one, by name. Its clocks go on here and nothing becomes due later; what was recorded in it stays in it, and its address leads here. Some of its signals can be split off again; the merging itself is not taken back.",
		Fields: func(v view, in url.Values) []input {
			other := input{Name: "from", Label: "The incident that ends as a part of this one", Kind: "select"}
			for _, row := range v.Others {
				if row.ID != v.State.ID {
					other.Options = append(other.Options, option{row.ID, row.ID + " — " + isolated(row.Title)})
				}
			}
			if len(other.Options) == 0 {
				other.Kind, other.Help = "text", "No other incident is open. Its id, such as INC-3."
			}
			return []input{other, reasonField()}
		},
		Button: func(v view, in url.Values) string { return "Merge " + in.Get("from") + " into " + v.State.ID }})
	register(form{Command: "split", Title: "Split signals off", Both: true,
		Explain: "Some signals become an incident of their own, with the times at which they were noticed. This one keeps its clocks; what was recorded here stays here.",
		Lacks: func(v view) []incident.Missing {
			word := map[int]string{0: "two signals, one that leaves and one that stays", 1: "a second signal: one leaves and one stays"}[len(v.State.Signals)]
			if word == "" {
				return nil
			}
			return []incident.Missing{{What: word, Do: "link one that belongs here: tocsin incident link-signal " + v.State.ID + " SIGNAL --from INCIDENT"}}
		},
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "signal", Label: "Signals that leave", Kind: "checks", Options: signalOptions(v.State.Signals), Help: "At least one stays."},
				{Name: "title", Label: "Title of the new incident", Kind: "text", Optional: true}, reasonField()}
		},
		Button: func(v view, in url.Values) string {
			return "Split " + count(int64(len(in["signal"])), "signal", "signals") + " off " + v.State.ID
		}})
}

func (c *Console) merge(r *http.Request, id string, dry bool) (desk.Outcome, error) {
	in := reader{in: r.PostForm}
	return c.desk.Merge(r.Context(), keyUnless(r, dry), callerOf(r.Context()), desk.MergeAsk{Into: id, From: in.text("from"), Reason: in.text("reason"), Dry: dry})
}

func (c *Console) split(r *http.Request, id string, dry bool) (desk.Outcome, error) {
	in := reader{in: r.PostForm}
	return c.desk.Split(r.Context(), keyUnless(r, dry), callerOf(r.Context()), desk.SplitAsk{Of: id, Signals: in.list("signal"), Title: in.text("title"), Reason: in.text("reason"), Dry: dry})
}

// otherVersion is the version of the incident that would end, as its plan is made; "" where there is none.
func (c *Console) otherVersion(r *http.Request) string {
	s, err := c.desk.Incident(r.Context(), reader{in: r.PostForm}.text("from"))
	if err != nil {
		return "" // the plan says so
	}
	return strconv.Itoa(s.Version)
}

// otherMovedOn says so when somebody acted on the incident that would end after its plan was shown: the
// plan is shown again as it is now.
func (c *Console) otherMovedOn(r *http.Request, was string) (*trouble, error) {
	version, err := strconv.Atoi(was)
	if err != nil {
		return nil, nil
	}
	other := reader{in: r.PostForm}.text("from")
	news, err := c.desk.Meanwhile(r.Context(), other, version, callerOf(r.Context()))
	if err != nil || len(news) == 0 {
		return nil, err
	}
	return &trouble{Status: http.StatusConflict, Title: "Not done yet: " + other + " moved on", News: news,
		Text: "Others acted on it since the plan was shown. The plan below is as it is now: look it over and submit again."}, nil
}

// keyUnless is the idempotency key of what is recorded; a look at a plan has none.
func keyUnless(r *http.Request, dry bool) string {
	if dry {
		return ""
	}
	return requestID(r)
}
