//go:build !race

package console_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// somewhere is a form with one of its buttons, and a page that has it.
type somewhere struct{ key, page string }

var anyIncident = regexp.MustCompile(`INC-\d+`)

// formKey says which form this is: where it is sent, what it asks and which button sends it. What stands in it
// is left out, so that the same form about another incident, action or person is the same.
func formKey(method, action, do string, names []string) string {
	path, query, _ := strings.Cut(anyIncident.ReplaceAllString(action, "INC"), "?")
	path, _, _ = strings.Cut(path, "#")
	key := strings.ToUpper(method) + " " + path
	if query, _, _ = strings.Cut(query, "#"); query != "" {
		key += "?" + query
	}
	key += " (" + strings.Join(slices.Compact(names), " ") + ")"
	if do != "" {
		key += " " + do
	}
	return key
}

// walk visits a node and all under it.
func walk(n *html.Node, fn func(*html.Node)) {
	fn(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, fn)
	}
}

func has(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func value(n *html.Node, name string) string {
	v, _ := has(n, name)
	return v
}

// formsOf lists the forms of a page, each once for each button that sends it.
func formsOf(page string, root *html.Node) (out []somewhere) {
	var list []*html.Node
	fields := map[*html.Node][]*html.Node{}
	byID := map[string]*html.Node{}
	walk(root, func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "form" {
			list = append(list, n)
			byID[value(n, "id")] = n
		}
	})
	walk(root, func(n *html.Node) {
		if n.Type != html.ElementNode || !slices.Contains([]string{"input", "select", "textarea", "button"}, n.Data) {
			return
		}
		of := byID[value(n, "form")]
		for p := n.Parent; p != nil && value(n, "form") == ""; p = p.Parent {
			if p.Type == html.ElementNode && p.Data == "form" {
				of = p
				break
			}
		}
		fields[of] = append(fields[of], n)
	})
	here, _, _ := strings.Cut(page, "?")
	for _, f := range list {
		var names, buttons []string
		for _, n := range fields[f] {
			name := value(n, "name")
			switch {
			case n.Data == "button" && name == "line":
				buttons = append(buttons, "line") // its value is the line
			case n.Data == "button" && name != "":
				buttons = append(buttons, name+"="+value(n, "value"))
			case n.Data == "button":
				buttons = append(buttons, "")
			case name == "do":
				names = append(names, "do="+value(n, "value"))
			case name != "csrf" && name != "key":
				names = append(names, name)
			}
		}
		action := value(f, "action")
		if action == "" {
			action = here
		}
		slices.Sort(buttons)
		for _, do := range slices.Compact(buttons) {
			out = append(out, somewhere{formKey(value(f, "method"), action, do, names), page})
		}
	}
	return out
}

// leadsTo lists where a page leads to on this site.
func leadsTo(root *html.Node) (out []string) {
	walk(root, func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "a" {
			if to, _, _ := strings.Cut(value(n, "href"), "#"); strings.HasPrefix(to, "/") {
				out = append(out, to)
			}
		}
	})
	return out
}

// allForms reads every page of the list and whatever those lead to, and gives the forms, each with the first
// page that has it. A page is read once for each set of choices in its address.
func allForms(t *testing.T, get func(path string) (status int, kind string, root *html.Node), from []string) (out []somewhere) {
	t.Helper()
	queue, known, asked := slices.Clone(from), map[string]bool{}, map[string]bool{}
	for _, path := range from {
		asked[path] = true
	}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		status, kind, root := get(path)
		if status != http.StatusOK || !strings.HasPrefix(kind, "text/html") {
			if slices.Contains(from, path) {
				t.Errorf("%s: %d %s", path, status, kind)
			}
			continue
		}
		for _, f := range formsOf(path, root) {
			if !known[f.key] {
				known[f.key] = true
				out = append(out, f)
			}
		}
		for _, to := range leadsTo(root) {
			u, err := url.Parse(to)
			if err != nil {
				t.Fatalf("%s leads to %q", path, to)
			}
			sort := u.Path + "?" + strings.Join(slices.Sorted(maps.Keys(u.Query())), "&")
			if !asked[sort] && !asked[to] {
				asked[sort], asked[to] = true, true
				queue = append(queue, to)
			}
		}
	}
	return out
}
