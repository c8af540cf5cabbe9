package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
)

// Whose token or key a try was made with.
const (
	LevelOwner     = "owner"
	LevelResponder = "responder"
	LevelViewer    = "viewer"
	LevelIngest    = "ingest" // a machine's key that may send events
	LevelSwitch    = "switch" // a machine's key that may follow switches
	LevelNobody    = "nobody"
	LevelEnded     = "ended" // an account that was ended
)

// Act is a request that not everybody may make.
type Act struct {
	Method, Path, Body string
	may                []string // the levels that may
}

// Try is an act that somebody tried, and what came of it.
type Try struct {
	Who    string `json:"who"`
	Level  string `json:"level"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
	Text   string `json:"text"`
}

// Acts are what somebody of a level tries in an incident. What each level may do is written here a second
// time, so that the server is held against it. An owner invites nobody: that would change who there is.
func Acts(incident, level string) []Act {
	readers := []string{LevelOwner, LevelResponder, LevelViewer}
	responders := []string{LevelOwner, LevelResponder}
	acts := []Act{
		{Method: http.MethodGet, Path: "/v1/incidents", may: readers},
		{Method: http.MethodGet, Path: "/v1/incidents/" + incident + "/timeline", may: readers},
		{Method: http.MethodPost, Path: "/v1/incidents/" + incident + "/note", Body: `{"text":"Looked at together."}`, may: responders},
		{Method: http.MethodGet, Path: "/v1/bearers", may: []string{LevelOwner}},
		{Method: http.MethodPost, Path: "/v1/people", Body: `{"id":"mallory","name":"Mallory","access":"owner","roles":[]}`, may: []string{LevelOwner}},
		{Method: http.MethodPost, Path: "/v1/events?format=native", Body: ordinaryEvent + "\n", may: []string{LevelIngest}},
	}
	return slices.DeleteFunc(acts, func(a Act) bool { return level == LevelOwner && a.Path == "/v1/people" })
}

// ordinaryEvent is an access as applications send it.
const ordinaryEvent = `{"id":"tried-1","time":"2026-11-20T09:59:00Z","kind":"pii_access","actor":{"type":"service","id":"sync-1"},"action":"read","merchant":"m_001","credential":"tok_tried","data_types":["customer.email"],"outcome":"ok"}`

func refusedStatus(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound
}

func (b *bench) tries() ([]Try, error) {
	raw, err := os.ReadFile(b.c.Tries)
	if err != nil {
		return nil, fmt.Errorf("what people tried: %w", err)
	}
	var out []Try
	for line := range bytes.Lines(raw) {
		var t Try
		if err := json.Unmarshal(line, &t); err != nil {
			return nil, fmt.Errorf("what people tried: line %d: %w", len(out)+1, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// roleBased: each level was let do what it may, was refused what it may not, and the token of an account
// that was ended was refused at the very next request although it had worked.
func (b *bench) roleBased(p *row) error {
	opened := b.export.of("incident.opened")
	if len(opened) == 0 {
		return errors.New("the evidence holds no opening of the incident")
	}
	all, err := b.tries()
	if err != nil {
		return err
	}
	let, refused := 0, 0
	for _, level := range []string{LevelOwner, LevelResponder, LevelViewer, LevelIngest, LevelSwitch, LevelNobody} {
		for _, act := range Acts(opened[0].Chain, level) {
			i := slices.IndexFunc(all, func(t Try) bool { return t.Level == level && t.Method == act.Method && t.Path == act.Path })
			switch may := slices.Contains(act.may, level); {
			case i < 0:
				return fmt.Errorf("%s never tried %s %s, so nothing is shown of it", level, act.Method, act.Path)
			case may && all[i].Status/100 != 2:
				return fmt.Errorf("%s may %s %s and was answered %d", level, act.Method, act.Path, all[i].Status)
			case !may && !refusedStatus(all[i].Status):
				return fmt.Errorf("%s may not %s %s and was answered %d", level, act.Method, act.Path, all[i].Status)
			case may:
				let++
			default:
				refused++
			}
		}
	}
	ended := slices.IndexFunc(all, func(t Try) bool { return t.Level == LevelEnded })
	if ended < 0 {
		return errors.New("no account was ended")
	}
	worked := slices.ContainsFunc(all[:ended], func(t Try) bool {
		return t.Who == all[ended].Who && t.Path == all[ended].Path && t.Status == http.StatusOK
	})
	if !worked || all[ended].Status != http.StatusUnauthorized {
		return fmt.Errorf("the token of %s, whose account was ended, was answered %d; it worked before: %v", all[ended].Who, all[ended].Status, worked)
	}
	p.Trigger = "system"
	p.Proof = fmt.Sprintf("%d acts let through, %d refused, and the next request of an ended account", let, refused)
	return nil
}

// accessReviewed: beside that, the list of accounts names everybody who was given one, at the level they
// were given, before an account was ended and, as ended, after it.
func (b *bench) accessReviewed(p *row) error {
	if err := b.roleBased(p); err != nil {
		return err
	}
	all, err := b.tries()
	if err != nil {
		return err
	}
	var lists []map[string]account
	ended := ""
	for _, t := range all {
		if t.Level == LevelEnded {
			ended = strings.TrimPrefix(t.Who, "person:")
		}
		if t.Path != "/v1/people" || t.Method != http.MethodGet {
			continue
		}
		var page struct{ People []account }
		if err := json.Unmarshal([]byte(t.Text), &page); err != nil {
			return fmt.Errorf("the list of accounts: %w", err)
		}
		by := map[string]account{}
		for _, x := range page.People {
			by[x.ID] = x
		}
		lists = append(lists, by)
	}
	if len(lists) != 2 {
		return fmt.Errorf("the accounts were looked over %d times, and not before and after", len(lists))
	}
	for _, s := range b.c.People {
		if x := lists[0][s.ID]; x.Access != LevelResponder || !sameSet(x.Roles, s.Roles) {
			return fmt.Errorf("the list of accounts says %q and %v of %s, who has %q and %v", x.Access, x.Roles, s.ID, LevelResponder, s.Roles)
		}
	}
	if len(lists[0]) != len(b.c.People)+2 { // the owner, and whoever's account is ended
		return fmt.Errorf("the list has %d accounts; %d were given", len(lists[0]), len(b.c.People)+2)
	}
	if lists[0][ended].Revoked != "" || lists[1][ended].Revoked == "" {
		return fmt.Errorf("the list does not say when the account of %s was ended", ended)
	}
	return nil
}

type account struct {
	ID      string   `json:"id"`
	Access  string   `json:"access"`
	Roles   []string `json:"roles"`
	Revoked string   `json:"revoked"`
}

func sameSet(a, b []string) bool {
	x, y := slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(x, y)
}
