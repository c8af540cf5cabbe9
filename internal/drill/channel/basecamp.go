package channel

import (
	"crypto/subtle"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Basecamp is an account.
type Basecamp struct {
	Account string         `json:"account"`
	Token   Secret         `json:"token"`  // the access token that is good now
	Boards  map[string]int `json:"boards"` // by id of the message board: 0 takes messages, anything else is the status it answers with

	// Of the sign-in: who may have the token anew, and with what.
	ClientID     string `json:"client_id"`
	ClientSecret Secret `json:"client_secret"`
	Refresh      Secret `json:"refresh"`
}

// The first limit: so many requests in so long, from one address.
const (
	baseCalls  = 50
	baseWindow = 10 * time.Second
)

// BasecampHandler is the API, and the sign-in beside it.
func (p *Platforms) BasecampHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /authorization/token", p.signIn)
	mux.HandleFunc("POST /{account}/message_boards/{board}/messages.json", p.admitted(p.postToBoard))
	mux.HandleFunc("PUT /{account}/recordings/{id}/client_visibility.json", p.admitted(p.showToClients))
	return mux
}

// signIn gives the access token for the refresh token.
func (p *Platforms) signIn(w http.ResponseWriter, r *http.Request) {
	b := p.c.Basecamp
	good := r.FormValue("grant_type") == "refresh_token" && r.FormValue("client_id") == b.ClientID && b.Refresh != "" &&
		same(r.FormValue("client_secret"), b.ClientSecret) && same(r.FormValue("refresh_token"), b.Refresh)
	if !good {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"access_token": string(b.Token), "token_type": "Bearer", "expires_in": 1209600, "refresh_token": string(b.Refresh)})
}

func same(got string, want Secret) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who asked is gone
}

// admitted is what every call of the API has to have.
func (p *Platforms) admitted(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		agent := r.UserAgent()
		switch {
		case !strings.Contains(agent, "(") || !strings.Contains(agent, ")") || !strings.ContainsAny(agent, "@/"):
			answer(w, http.StatusBadRequest, map[string]any{"error": "Please identify yourself with a User-Agent header"})
		case !same(token, p.c.Basecamp.Token):
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			answer(w, http.StatusUnauthorized, map[string]any{"error": "OAuth token invalid or expired"})
		case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
			w.WriteHeader(http.StatusUnsupportedMediaType)
		case r.PathValue("account") != p.c.Basecamp.Account:
			w.Header().Set("Reason", "Account Inactive")
			w.WriteHeader(http.StatusNotFound)
		case p.over():
			w.Header().Set("Retry-After", strconv.Itoa(int(baseWindow/time.Second)))
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			next(w, r)
		}
	}
}

// over says that this is one call too many for now.
func (p *Platforms) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.tick()
	p.calls = slices.DeleteFunc(p.calls, func(t time.Time) bool { return now.Sub(t) > baseWindow })
	if len(p.calls) >= baseCalls {
		return true
	}
	p.calls = append(p.calls, now)
	return false
}

// postToBoard keeps a message that the team can read, and clients cannot.
func (p *Platforms) postToBoard(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Subject string `json:"subject"`
		Content string `json:"content"`
		Status  string `json:"status"`
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(raw, &m) != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "the body is no JSON"})
		return
	}
	p.mu.Lock()
	board := r.PathValue("board")
	status, known := p.c.Basecamp.Boards[board]
	switch {
	case !known:
		status = http.StatusNotFound
	case status == 0 && strings.TrimSpace(m.Subject) == "":
		status = http.StatusUnprocessableEntity
	}
	if status != 0 {
		p.note(Line{Platform: "basecamp", Channel: board, Error: fmt.Sprintf("http %d", status), Text: plain(m.Content)})
		p.mu.Unlock()
		w.WriteHeader(status)
		return
	}
	p.next++
	id := p.next
	l := Line{Platform: "basecamp", Channel: board, Message: strconv.FormatInt(id, 10), Subject: m.Subject, Text: plain(m.Content)}
	if m.Status != "active" { // a draft, which nobody reads
		p.note(l)
		p.mu.Unlock()
		answer(w, http.StatusCreated, map[string]any{"id": id, "status": "drafted", "visible_to_clients": false, "type": "Message", "subject": m.Subject})
		return
	}
	l.Dropped = p.drops()
	p.note(l)
	p.posts[id] = &l
	p.mu.Unlock()
	if l.Dropped {
		hangUp(w)
		return
	}
	w.Header().Set("Location", fmt.Sprintf("/%s/messages/%d.json", p.c.Basecamp.Account, id))
	answer(w, http.StatusCreated, map[string]any{"id": id, "status": "active", "visible_to_clients": false, "type": "Message", "subject": m.Subject, "content": m.Content})
}

// showToClients lets clients read a message.
func (p *Platforms) showToClients(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Visible bool `json:"visible_to_clients"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&m); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "the body is no JSON"})
		return
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.posts[id]
	if err != nil || l == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if m.Visible && !l.Seen {
		l.Seen, l.Dropped = true, false
		p.note(*l)
	}
	answer(w, http.StatusOK, map[string]any{"id": id, "type": "Message", "visible_to_clients": m.Visible})
}

// plain is the text of a message's HTML.
func plain(s string) string {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var b strings.Builder
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			return s
		}
		switch t := t.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			if t.Name.Local == "br" {
				b.WriteString("\n")
			}
		}
	}
}
