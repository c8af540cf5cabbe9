package rehearsal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// Limits on a file of facts.
const (
	MaxBytes     = 8 << 20 // of the file
	maxMerchants = 100_000
	maxHappening = 10_000
	maxDepth     = 12
)

// Story is a file of facts, read and checked against the policy it is for.
type Story struct {
	opened    time.Time
	class     string
	title     string
	severity  string
	merchants map[string]merchant
	order     []string // merchants in the order of the file
	zoned     bool     // a merchant has a zone of its own
	happen    []happening
}

// merchant is one recipient as the file describes it.
type merchant struct {
	exposure incident.Exposure
	zone     *time.Location
	country  string
	region   string
	language string
	hours    int // of the contract's term of notice; 0: none known
	exposed  string
}

// happening is one entry of the file with its instant.
type happening struct {
	at      time.Time
	what    string
	place   string // FILE:LINE:COL
	facts   func(*Run) ([]incident.Fact, error)
	then    incident.Command // given right after the facts; nil: the clocks are looked at
	command incident.Command
	by      incident.Actor
}

// An Error is something wrong with a file of facts, with its place.
type Error struct {
	Place, Message string
}

func (e *Error) Error() string { return e.Place + ": error: " + e.Message }

// reader collects everything that is wrong with a file.
type reader struct {
	file string
	p    *policy.Program
	st   *Story
	errs []error
}

// Read reads a file of facts for a policy. It reports everything it finds, each with its place;
// errors.Join holds them, and each is an *Error.
func Read(file string, src []byte, p *policy.Program) (*Story, error) {
	r := &reader{file: file, p: p, st: &Story{merchants: map[string]merchant{}}}
	if len(src) > MaxBytes {
		return nil, &Error{file + ":1:1", fmt.Sprintf("the file is larger than %d bytes", MaxBytes)}
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(src))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Error{file + ":1:1", "the file is empty; write milestones: { detected: 2026-11-22T03:02:00Z }"}
		}
		return nil, &Error{file + ":" + yamlLine(err) + ":1", "it is not YAML: " + firstLine(err)}
	}
	root := doc.Content[0]
	if n, deep := measure(root, 0); deep || n > 2_000_000 {
		return nil, &Error{file + ":1:1", fmt.Sprintf("it is nested more than %d deep, uses an alias, or has too many nodes", maxDepth)}
	}
	r.root(root)
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	slices.SortStableFunc(r.st.happen, func(a, b happening) int { return a.at.Compare(b.at) })
	return r.st, nil
}

func measure(n *yaml.Node, depth int) (nodes int, tooDeep bool) {
	if depth > maxDepth || n.Kind == yaml.AliasNode {
		return 1, true
	}
	nodes = 1
	for _, c := range n.Content {
		k, deep := measure(c, depth+1)
		nodes += k
		if deep {
			return nodes, true
		}
	}
	return nodes, false
}

func yamlLine(err error) string {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return "1"
	}
	line, _, _ := strings.Cut(rest, ":")
	if _, err := strconv.Atoi(line); err != nil {
		return "1"
	}
	return line
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(s, "yaml: ")
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, &Error{r.place(n), fmt.Sprintf(format, args...)})
}

func (r *reader) place(n *yaml.Node) string {
	if n == nil {
		return r.file + ":1:1"
	}
	return fmt.Sprintf("%s:%d:%d", r.file, n.Line, n.Column)
}

// pairs walks a mapping; unknown keys are errors that name the known ones.
func (r *reader) pairs(n *yaml.Node, what string, known []string, fn func(key string, k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s has to be a mapping, key: value", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case seen[k.Value]:
			r.fail(k, "%s: %s stands twice", what, clip(k.Value))
			continue
		case known != nil && !slices.Contains(known, k.Value):
			r.fail(k, "%s has no key %s%s", what, clip(k.Value), didYouMean(k.Value, known))
			continue
		}
		seen[k.Value] = true
		fn(k.Value, k, v)
	}
}

// clip keeps a value out of a message beyond what names it.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return strconv.Quote(string(r[:40]) + "…")
	}
	return strconv.Quote(s)
}

func (r *reader) time(v *yaml.Node, what string) time.Time {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		zone := time.UTC
		if r.p.Zone != nil && form != time.RFC3339Nano {
			zone = r.p.Zone
		}
		if t, err := time.ParseInLocation(form, v.Value, zone); err == nil && v.Kind == yaml.ScalarNode {
			if t.Year() < 1970 || t.Year() > 9000 {
				break
			}
			return t.UTC()
		}
	}
	r.fail(v, "%s: %s is not an instant; write 2026-11-22T03:02:00Z, or without Z for the policy's zone", what, clip(v.Value))
	return time.Time{}
}

// texts reads one text or a list of them.
func (r *reader) texts(v *yaml.Node, what string) []*yaml.Node {
	switch v.Kind {
	case yaml.ScalarNode:
		return []*yaml.Node{v}
	case yaml.SequenceNode:
		for _, c := range v.Content {
			if c.Kind != yaml.ScalarNode {
				r.fail(c, "%s is a list of texts", what)
				return nil
			}
		}
		return v.Content
	}
	r.fail(v, "%s is a text or a list of texts", what)
	return nil
}

func (r *reader) number(v *yaml.Node, what string) int64 {
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		r.fail(v, "%s: %s is not a whole number from 0", what, clip(v.Value))
		return 0
	}
	return n
}

// value reads an answer as the policy declares the fact.
func (r *reader) value(id, v *yaml.Node) any {
	i := slices.IndexFunc(r.p.Facts, func(f policy.FactDecl) bool { return f.ID == id.Value })
	if i < 0 {
		var ids []string
		for _, f := range r.p.Facts {
			ids = append(ids, f.ID)
		}
		r.fail(id, "the policy asks for no fact %s%s", clip(id.Value), didYouMean(id.Value, ids))
		return nil
	}
	d := r.p.Facts[i]
	switch d.Type {
	case "int":
		return r.number(v, id.Value)
	case "bool", "":
		switch strings.ToLower(v.Value) {
		case "true", "yes":
			return true
		case "false", "no":
			return false
		}
		r.fail(v, "%s is answered with yes or no", id.Value)
		return nil
	case "choice":
		if !slices.Contains(d.Values, v.Value) {
			r.fail(v, "%s cannot be %s%s", id.Value, clip(v.Value), didYouMean(v.Value, d.Values))
		}
	}
	return v.Value
}
