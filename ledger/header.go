package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/incident"
)

// hashPrefix stands before every hash that is written as text.
const hashPrefix = "sha256:"

// HashText writes a hash as "sha256:HEX".
func HashText(hash []byte) string { return hashPrefix + hex.EncodeToString(hash) }

// ParseHash reads what HashText writes.
func ParseHash(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, hashPrefix)
	hash, err := hex.DecodeString(digits)
	if !ok || err != nil || len(hash) != HashSize || strings.ToLower(digits) != digits {
		return nil, fmt.Errorf("ledger: a hash is written sha256: and %d lower-case hex digits", 2*HashSize)
	}
	return hash, nil
}

// appendHeader writes the header of f in the form of RFC 8785: the members stand here in their
// order, and what is empty is absent. Only simulated and prev are always there; prev of the first
// fact is 32 zero bytes.
func appendHeader(dst []byte, f *incident.Fact, prev []byte) ([]byte, error) {
	for _, s := range [...]string{f.ID, f.Chain, f.Env, string(f.Kind), string(f.Principal),
		f.Versions.Engine, f.Versions.Policy, f.Versions.Regimes, f.Versions.TZData} {
		if !utf8.ValidString(s) {
			return nil, errText
		}
	}
	w := headerWriter{out: append(dst, '{')}
	w.list("apps", f.Apps)
	if body := bytes.TrimSpace(f.Body); len(body) > 0 && string(body) != "null" {
		w.name("body")
		out, err := appendCanonical(w.out, body)
		if err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		w.out = out
	}
	w.list("causes", f.Causes)
	w.text("chain", f.Chain)
	w.text("env", f.Env)
	w.text("id", f.ID)
	w.text("kind", string(f.Kind))
	w.time("occurred", f.Occurred)
	w.text("prev", HashText(prev))
	w.text("principal", string(f.Principal))
	w.time("real", f.Real)
	w.time("recorded", f.Recorded)
	w.name("simulated")
	w.out = strconv.AppendBool(w.out, f.Simulated)
	if f.Versions != (incident.Versions{}) {
		w.name("versions")
		w.out = append(w.out, '{')
		w.text("engine", f.Versions.Engine)
		w.text("policy", f.Versions.Policy)
		w.text("regimes", f.Versions.Regimes)
		w.text("tzdata", f.Versions.TZData)
		w.out = append(w.out, '}')
	}
	if w.bad {
		return nil, errText
	}
	return append(w.out, '}'), nil
}

// headerWriter writes members with a comma where one is due.
type headerWriter struct {
	out []byte
	bad bool // an element of a list was not UTF-8
}

func (w *headerWriter) name(name string) {
	if w.out[len(w.out)-1] != '{' {
		w.out = append(w.out, ',')
	}
	w.out = append(append(append(w.out, '"'), name...), '"', ':')
}

func (w *headerWriter) text(name, value string) {
	if value != "" {
		w.name(name)
		w.out = appendText(w.out, value)
	}
}

func (w *headerWriter) time(name string, t time.Time) {
	if !t.IsZero() {
		w.name(name)
		w.out = append(t.UTC().AppendFormat(append(w.out, '"'), time.RFC3339Nano), '"')
	}
}

func (w *headerWriter) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	w.out = append(w.out, '[')
	for i, v := range values {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.bad = w.bad || !utf8.ValidString(v)
		w.out = appendText(w.out, v)
	}
	w.out = append(w.out, ']')
}

// header is what a stored header holds.
type header struct {
	Apps      []string           `json:"apps"`
	Body      json.RawMessage    `json:"body"`
	Causes    []string           `json:"causes"`
	Chain     string             `json:"chain"`
	Env       string             `json:"env"`
	ID        string             `json:"id"`
	Kind      incident.Kind      `json:"kind"`
	Occurred  time.Time          `json:"occurred"`
	Prev      string             `json:"prev"`
	Principal incident.Principal `json:"principal"`
	Real      time.Time          `json:"real"`
	Recorded  time.Time          `json:"recorded"`
	Simulated bool               `json:"simulated"`
	Versions  incident.Versions  `json:"versions"`
}

func parseHeader(r *Record) (header, error) {
	var h header
	if err := json.Unmarshal(r.Header, &h); err != nil {
		return header{}, fmt.Errorf("the header cannot be read: %w", err)
	}
	if h.ID != r.ID || h.Chain != r.Chain || string(h.Kind) != r.Kind {
		return header{}, fmt.Errorf("the header is of fact %s (%s) of chain %s", h.ID, h.Kind, h.Chain)
	}
	return h, nil
}

func (h *header) fact() incident.Fact {
	return incident.Fact{
		ID: h.ID, Kind: h.Kind, Chain: h.Chain, Apps: h.Apps, Env: h.Env, Principal: h.Principal,
		Occurred: h.Occurred, Recorded: h.Recorded, Real: h.Real, Simulated: h.Simulated,
		Versions: h.Versions, Causes: h.Causes, Body: h.Body,
	}
}
