package console

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Founding is what the page of an empty data folder needs. There is no desk yet, and nobody who
// could sign in: whoever has the code has seen the terminal of this machine.
type Founding struct {
	Code     string    // printed on the terminal and nowhere else
	Until    time.Time // when it stops to work
	Policies []string
	Make     func(context.Context, FirstAnswers) (link string, err error) // makes the folder and starts its server
	Log      *slog.Logger
}

// FirstAnswers is what an installation is made from.
type FirstAnswers struct{ Organisation, Name, OwnerName, App, AppName, Policy string }

// NewFounding makes the handler of an empty data folder: one form, and nothing else.
func NewFounding(f Founding) http.Handler {
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	c := &Console{mux: http.NewServeMux(), guard: http.NewCrossOriginProtection(), opt: Options{Log: f.Log, Now: time.Now}, assets: map[string]string{}}
	c.serveStatic()
	c.public("GET /setup", func(w http.ResponseWriter, r *http.Request) error {
		if !f.knows(r.URL.Query().Get("code")) {
			return c.render(w, r, http.StatusForbidden, troublePage(c.bare("Not set up yet"), unproven()))
		}
		return c.render(w, r, http.StatusOK, foundingPage(c.bare("Set up Tocsin"), f, url.Values{"code": {f.Code}, "policy": {"shopify-app"}}, nil))
	})
	c.public("POST /setup", func(w http.ResponseWriter, r *http.Request) error {
		if !f.knows(r.PostFormValue("code")) {
			return c.render(w, r, http.StatusForbidden, troublePage(c.bare("Not set up yet"), unproven()))
		}
		in := reader{in: r.PostForm}
		link, err := f.Make(r.Context(), FirstAnswers{
			Organisation: in.text("organisation"), Name: in.text("name"), OwnerName: in.text("owner_name"), App: in.text("app"), AppName: in.text("app_name"), Policy: in.text("policy"),
		})
		if err != nil {
			f.Log.WarnContext(r.Context(), "setting up failed", "error", err)
			first, _, _ := strings.Cut(err.Error(), "\n")
			t := &trouble{Status: http.StatusUnprocessableEntity, Title: "Not set up", Text: strings.TrimPrefix(first, "tocsin.yaml: ") + "."}
			return c.render(w, r, t.Status, foundingPage(c.bare("Set up Tocsin"), f, r.PostForm, t))
		}
		http.Redirect(w, r, link, http.StatusSeeOther)
		return nil
	})
	c.public("GET /", func(w http.ResponseWriter, r *http.Request) error {
		return c.render(w, r, http.StatusForbidden, troublePage(c.bare("Not set up yet"), unproven()))
	})
	return c
}

// knows compares the code in a time that says nothing about it.
func (f Founding) knows(code string) bool {
	return f.Code != "" && time.Now().Before(f.Until) && subtle.ConstantTimeCompare([]byte(code), []byte(f.Code)) == 1
}

func unproven() *trouble {
	return &trouble{Title: "Not set up yet", Text: "Nothing is set up here. Open the link that tocsin serve printed on the terminal of this machine: it shows that the machine is yours. It works for half an hour; starting again prints another one."}
}

// bare is the frame of a page that leads nowhere yet.
func (c *Console) bare(title string) frame {
	return frame{Title: title, Now: c.opt.Now(), Zone: time.UTC, Assets: c.assets, Self: "/setup", Bare: true}
}

// foundingFields are the questions of an empty folder.
func foundingFields(f Founding, in url.Values) []input {
	var policies []option
	for _, p := range f.Policies {
		policies = append(policies, option{p, p})
	}
	return []input{
		{Name: "name", Label: "What is your company called?", Help: "As merchants know it: letters and the public page name it.", Kind: "text", Value: in.Get("name")},
		{Name: "organisation", Label: "A short id for it", Help: "a-z, 0-9, - and . It names the evidence logs and never changes.", Kind: "text", Value: in.Get("organisation")},
		{Name: "owner_name", Label: "Your name", Help: "As the timeline and letters to your people call you. Without it you are called Owner.", Kind: "text", Value: in.Get("owner_name"), Optional: true},
		{Name: "app_name", Label: "What is your first app called?", Kind: "text", Value: in.Get("app_name")},
		{Name: "app", Label: "A short id for the app", Help: "a-z, 0-9, -, _ and .", Kind: "text", Value: in.Get("app")},
		{Name: "policy", Label: "Which shipped policy to begin with", Help: "A step of the first hour writes your own from a dozen answers.", Kind: "select", Options: policies, Value: in.Get("policy")},
	}
}
