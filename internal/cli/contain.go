package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) containCommand() *cobra.Command {
	var target []string
	var secret, reason string
	c := &cobra.Command{Use: "contain INCIDENT ACTION", Aliases: []string{"plan"}, Short: "Plan a containment action; it is done when somebody else approves it", Args: exactly("INCIDENT", "ACTION")}
	c.Flags().StringArrayVar(&target, "target", nil, "what it is aimed at, such as credential=tok_9f (repeat for more)")
	c.Flags().StringVar(&secret, "secret", "", "name of a secret the action uses, never its value")
	c.Flags().StringVar(&reason, "reason", "", "why, in one sentence")
	c.RunE = func(c *cobra.Command, args []string) error {
		if reason == "" {
			return &usageError{text: "--reason is missing: why, in one sentence", hint: "usage: " + c.UseLine()}
		}
		aims := map[string]string{}
		for _, t := range target {
			k, v, ok := strings.Cut(t, "=")
			if !ok || k == "" || v == "" {
				return &usageError{text: fmt.Sprintf("--target %q is not NAME=VALUE", t), hint: "such as --target credential=tok_9f"}
			}
			aims[k] = v
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		out, err := server.Plan(a.context(c), args[0], args[1], aims, secret, reason)
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.showOutcome(out)
		}
		raw, err := server.Incident(a.context(c), args[0])
		if err != nil {
			return a.showOutcome(out) // it is planned; only the look at it failed
		}
		var s struct {
			Actions []struct {
				ID, Decl, Blast string
				Steps           []string
				Undo            string `json:"undo_text"`
			}
		}
		if err := json.Unmarshal(raw, &s); err != nil || len(s.Actions) == 0 {
			return a.showOutcome(out)
		}
		p := s.Actions[len(s.Actions)-1]
		a.folded(func(w io.Writer) {
			fmt.Fprintf(w, "%s is planned; nothing has been done yet\n", oneLine(p.ID))
			for i, step := range p.Steps {
				fmt.Fprintf(w, "  %d. %s\n", i+1, oneLine(step))
			}
			fmt.Fprintf(w, "  stops: %s\n  undo:  %s\nAnother person approves it: tocsin incident approve %s %s\n", oneLine(p.Blast), oneLine(p.Undo), args[0], oneLine(p.ID))
		})
		return nil
	}
	return c
}
