package channel

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Slack is a workspace.
type Slack struct {
	Token    Secret            `json:"token"`    // of a bot with chat:write
	Channels map[string]string `json:"channels"` // by id: "" takes messages, anything else is the error it answers with
	Hooks    map[string]string `json:"hooks"`    // path of an incoming webhook to the channel it posts in, such as /services/T1/B1/x
}

const (
	slackBody = 1 << 20
	slackText = 40_000 // characters; what is beyond them is cut off
	perSlack  = time.Second
)

// SlackHandler is the Web API under /api, and the webhooks where they are.
func (p *Platforms) SlackHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/chat.postMessage", p.postMessage)
	mux.HandleFunc("POST /services/", p.hook)
	return mux
}

// postMessage answers as chat.postMessage does: 200 and ok: false for what is wrong, 429 for too much.
func (p *Platforms) postMessage(w http.ResponseWriter, r *http.Request) {
	say := func(fields map[string]any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(fields) // who asked is gone
	}
	no := func(word string) { say(map[string]any{"ok": false, "error": word}) }
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	raw, err := io.ReadAll(io.LimitReader(r.Body, slackBody))
	if err != nil {
		no("request_timeout")
		return
	}
	var m struct {
		Channel string          `json:"channel"`
		Text    string          `json:"text"`
		Blocks  json.RawMessage `json:"blocks"`
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		if json.Unmarshal(raw, &m) != nil {
			no("invalid_json")
			return
		}
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			no("invalid_form_data")
			return
		}
		m.Channel, m.Text = form.Get("channel"), form.Get("text")
		if !bearer {
			token, bearer = form.Get("token"), form.Get("token") != ""
		}
	default:
		no("invalid_post_type")
		return
	}
	switch {
	case !bearer || token == "":
		no("not_authed")
		return
	case subtle.ConstantTimeCompare([]byte(token), []byte(p.c.Slack.Token)) != 1:
		no("invalid_auth")
		return
	}
	ts, word, dropped := p.toSlack(m.Channel, m.Text, len(m.Blocks) > 0)
	switch {
	case dropped:
		hangUp(w)
	case word == "ratelimited":
		w.Header().Set("Retry-After", strconv.Itoa(int(perSlack/time.Second)))
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"ok":false,"error":"ratelimited"}`)
	case word != "":
		no(word)
	default:
		out := map[string]any{"ok": true, "channel": m.Channel, "ts": ts, "message": map[string]any{"type": "message", "subtype": "bot_message", "text": m.Text, "ts": ts}}
		if params["charset"] == "" && kind == "application/json" {
			out["warning"], out["response_metadata"] = "missing_charset", map[string]any{"warnings": []string{"missing_charset"}}
		}
		say(out)
	}
}

// toSlack takes one message for a channel.
func (p *Platforms) toSlack(id, text string, blocks bool) (ts, word string, dropped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	refused, known := p.c.Slack.Channels[id]
	now := p.tick()
	switch {
	case !known:
		word = "channel_not_found"
	case refused != "":
		word = refused
	case strings.TrimSpace(text) == "" && !blocks:
		word = "no_text"
	case now.Sub(p.last[id]) < perSlack:
		word = "ratelimited"
	}
	if word != "" {
		p.note(Line{Platform: "slack", Channel: id, Error: word, Text: read(text)})
		return "", word, false
	}
	p.last[id] = now
	if utf8.RuneCountInString(text) > slackText {
		text = string([]rune(text)[:slackText])
	}
	dropped = p.drops()
	ts = fmt.Sprintf("%d.%06d", now.Unix(), p.kept)
	p.note(Line{Platform: "slack", Channel: id, Message: ts, Text: read(text), Seen: true, Dropped: dropped})
	return ts, "", dropped
}

// markup is what stands between two signs on the wire: a link, or somebody who is called.
var markup = regexp.MustCompile(`<([^<>]*)>`)

// read is a text as people see it. Three characters are escaped on the wire; those that are not are markup,
// of which people see the label, and which calls everybody when it says so.
func read(text string) string {
	text = markup.ReplaceAllStringFunc(text, func(m string) string {
		inner := m[1 : len(m)-1]
		if _, label, ok := strings.Cut(inner, "|"); ok {
			return label
		}
		if name, ok := strings.CutPrefix(inner, "!"); ok {
			return "@" + name
		}
		return inner
	})
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
}

// hook answers as an incoming webhook does: a word of plain text.
func (p *Platforms) hook(w http.ResponseWriter, r *http.Request) {
	say := func(status int, word string) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		io.WriteString(w, word)
	}
	id, known := p.c.Slack.Hooks[r.URL.Path]
	var m struct {
		Text   string          `json:"text"`
		Blocks json.RawMessage `json:"blocks"`
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, slackBody))
	switch {
	case !known:
		say(http.StatusNotFound, "no_service")
		return
	case err != nil || json.Unmarshal(raw, &m) != nil:
		say(http.StatusBadRequest, "invalid_payload")
		return
	}
	_, word, dropped := p.toSlack(id, m.Text, len(m.Blocks) > 0)
	switch {
	case dropped:
		hangUp(w)
	case word == "":
		say(http.StatusOK, "ok")
	case word == "ratelimited":
		w.Header().Set("Retry-After", strconv.Itoa(int(perSlack/time.Second)))
		say(http.StatusTooManyRequests, "rate_limited")
	case word == "is_archived":
		say(http.StatusGone, "channel_is_archived")
	case word == "channel_not_found":
		say(http.StatusNotFound, word)
	case word == "no_text":
		say(http.StatusBadRequest, word)
	default:
		say(http.StatusForbidden, "action_prohibited")
	}
}
