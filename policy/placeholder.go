package policy

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// placeholderForm is a part of a text that somebody still has to fill in. What is followed by a
// round bracket is a link of Markdown.
var placeholderForm = regexp.MustCompile(`\[[A-Za-z][^\[\]{}]{1,60}\](?:[^(]|$)|<[A-Za-z][A-Za-z _-]{2,40}>|_{3,}|\bTB[ADC]\b|[Ll]orem ipsum`)

// isPlaceholder reports whether a text is nothing but a placeholder.
func isPlaceholder(s string) bool {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "?", "…", "...", "to be decided", "to be defined", "to be determined":
		return true
	}
	return len(s) == 3 && strings.HasPrefix(s, "tb") && strings.ContainsAny(s[2:], "acd")
}

// codeKeys are keys whose values are conditions, clocks or names: brackets have a meaning there.
var codeKeys = []string{"when", "unless", "need", "holder", "guards", "to", "by"}

// placeholders warns of texts that are still open, and puts them into the program.
func (c *compiler) placeholders(root *yaml.Node) {
	seen := map[*yaml.Node]bool{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		n = deref(n)
		if n == nil || seen[n] {
			return
		}
		if n.Anchor != "" {
			seen[n] = true // only what has an anchor can be met twice
		}
		switch n.Kind {
		case yaml.ScalarNode:
			c.placeholder(n)
		case yaml.SequenceNode:
			for _, item := range n.Content {
				walk(item)
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if !slices.Contains(codeKeys, n.Content[i].Value) {
					walk(n.Content[i+1])
				}
			}
		}
	}
	walk(root)
}

func (c *compiler) placeholder(n *yaml.Node) {
	found := ""
	if isPlaceholder(n.Value) {
		found = strings.TrimSpace(n.Value)
	} else if !strings.ContainsAny(n.Value, "[<") && !strings.Contains(n.Value, "___") && !strings.Contains(n.Value, "TB") && !strings.Contains(n.Value, "orem ips") {
		return // none of what a placeholder begins with
	} else if m := placeholderForm.FindStringIndex(n.Value); m != nil {
		found = strings.TrimSpace(n.Value[m[0]:m[1]])
		if found[0] == '[' {
			found = found[:strings.IndexByte(found, ']')+1]
		}
	} else {
		return
	}
	t := text{s: n.Value, pos: nodePos(n), node: n}
	at := max(0, strings.Index(n.Value, found))
	pos := c.pos(c.inside(t, 0, n.Value, 1, len([]rune(n.Value[:at]))))
	c.p.Open = append(c.p.Open, Placeholder{Text: found, Pos: pos})
	c.warnf(pos, "placeholder", "write what belongs there before the policy is published", "%q is still to be filled in", short(found))
}
