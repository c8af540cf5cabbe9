package cli

import (
	"context"
	"regexp"

	"github.com/tocsin-ir/tocsin/client"
)

// names are what people are called, by their principal.
type names map[string]string

// named asks what people are called. Who may read an incident may read that too; should it fail, they
// are called by their ids, which is no reason to show nothing.
func named(ctx context.Context, server *client.Client) names {
	people, err := server.People(ctx)
	if err != nil {
		return nil
	}
	of, out := map[string]int{}, names{}
	for _, p := range people {
		of[p.Name]++
	}
	for _, p := range people {
		switch {
		case p.Name == "":
		case of[p.Name] > 1:
			out["person:"+p.ID] = p.Name + " (" + p.ID + ")"
		default:
			out["person:"+p.ID] = p.Name
		}
	}
	return out
}

var personID = regexp.MustCompile(`\bperson:([a-z0-9][a-z0-9._-]*[a-z0-9]|[a-z0-9])`)

// in writes a principal, or a text of the engine, with people by their names.
func (n names) in(text string) string {
	return personID.ReplaceAllStringFunc(text, func(p string) string {
		if name := n[p]; name != "" {
			return name
		}
		return p[len("person:"):]
	})
}

// line is the text of a line of a timeline. That of a log is left as it was brought in.
func (n names) line(l client.Line) string {
	if l.Source != "fact" {
		return l.Text
	}
	return n.in(l.Text)
}
