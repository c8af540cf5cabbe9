package sigma

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The limits of what is loaded. What is beyond one is a Problem, never a panic or a long wait.
const (
	maxFile      = 4 << 20 // bytes of a rule file or a pipeline
	maxRules     = 50_000  // documents that are loaded together
	maxDepth     = 64      // of YAML nodes and of conditions
	maxNodes     = 200_000 // YAML nodes of a file
	maxValues    = 20_000  // values of a rule
	maxExpansion = 4096    // variants that one value expands into
	maxRegexp    = 8 << 10 // bytes of a regular expression
	maxProgram   = 20_000  // size of a compiled regular expression, counted over its repetitions
	maxTimespan  = 366 * 24 * 3600
	maxCount     = 50_000 // of a correlation; more cannot be remembered for a group
)

// Position is a place in a file. Line and Col count from 1; 0 means the whole file.
type Position struct {
	File      string
	Line, Col int
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Problem is something in a rule file that is wrong, or with Warning set something that is not as
// the specification asks and was used all the same. Its rule is not used; the others are.
type Problem struct {
	At      Position
	Rule    string // title of the rule
	Text    string
	Hint    string // what to do about it
	Warning bool
	// Missing says that a correlation names a rule that was not loaded with it: it may stand elsewhere.
	Missing bool
}

// Error gives the problem in one line: place, text, hint.
func (p *Problem) Error() string {
	s := p.At.String() + ": "
	if p.Warning {
		s += "warning: "
	}
	s += p.Text
	if p.Hint != "" {
		s += ": " + p.Hint
	}
	return s
}

// quote shows a piece of a rule in an error, in one line and not too long.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return "«" + strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s) + "»"
}

// reader reads one document of a file and collects what is wrong with it.
type reader struct {
	file     string
	title    string
	values   int
	problems []*Problem
}

func (r *reader) at(n *yaml.Node) Position { return Position{r.file, n.Line, n.Column} }

func (r *reader) fail(n *yaml.Node, hint, format string, args ...any) {
	r.problems = append(r.problems, &Problem{At: r.at(n), Rule: r.title, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) warn(n *yaml.Node, hint, format string, args ...any) {
	r.problems = append(r.problems, &Problem{At: r.at(n), Rule: r.title, Text: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

func (r *reader) failed() bool {
	for _, p := range r.problems {
		if !p.Warning {
			return true
		}
	}
	return false
}

// pair is a key of a map with its value.
type pair struct{ key, value *yaml.Node }

// pairs lists a map in its order and refuses keys that stand twice: YAML would lose one of them.
func (r *reader) pairs(n *yaml.Node, what string) []pair {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		r.fail(n, "write keys and values", "%s has to be a map", what)
		return nil
	}
	seen := map[string]bool{}
	out := make([]pair, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := resolve(n.Content[i]), resolve(n.Content[i+1])
		if k.Kind != yaml.ScalarNode {
			r.fail(k, "a key is a word", "%s has a key that is no text", what)
			continue
		}
		if seen[k.Value] {
			r.fail(k, "join the two, or name one of them otherwise", "%s has %s twice", what, quote(k.Value))
			continue
		}
		seen[k.Value] = true
		out = append(out, pair{k, v})
	}
	return out
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// text reads a scalar as it is written.
func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.fail(n, "write one text", "%s has to be text", what)
		return ""
	}
	return n.Value
}

// texts reads a list of scalars, or one.
func (r *reader) texts(n *yaml.Node, what string) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{r.text(n, what)}
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "write a list", "%s has to be a list of texts", what)
		return nil
	}
	var out []string
	for _, c := range n.Content {
		out = append(out, r.text(resolve(c), what))
	}
	return out
}

// measure counts the nodes of a document and refuses aliases that hold themselves and nesting
// without end before anything walks the tree.
func measure(n *yaml.Node, depth int, left *int, open map[*yaml.Node]bool) error {
	if *left--; *left < 0 {
		return fmt.Errorf("the file has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return fmt.Errorf("the file is nested deeper than %d", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		if n.Alias == nil || open[n.Alias] {
			return fmt.Errorf("the alias %s holds itself", quote(n.Value))
		}
		open[n.Alias] = true
		defer delete(open, n.Alias)
		return measure(n.Alias, depth+1, left, open)
	}
	for _, c := range n.Content {
		if err := measure(c, depth+1, left, open); err != nil {
			return err
		}
	}
	return nil
}
