package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/rehearsal"
)

// longestRehearsal bounds how far after the last thing that happens a story is told.
const longestRehearsal = 10 * 366 * 24 * time.Hour

// rehearse reads a policy and a file of facts for it. Everything that is wrong with the facts is
// reported, each with its place.
func (a *app) rehearse(policyFile, factsFile string) (*rehearsal.Run, error) {
	if factsFile == "" {
		return nil, &usageError{text: "--facts is needed: what is known, and when it happened", hint: "write facts.yaml with a line milestones: { detected: 2026-11-22T03:02:00Z }"}
	}
	p, err := a.compile(policyFile)
	if err != nil {
		return nil, err
	}
	src, err := readLimited(factsFile, rehearsal.MaxBytes)
	if err != nil {
		return nil, &failure{text: err.Error()}
	}
	story, err := rehearsal.Read(factsFile, src, p)
	if err == nil {
		return rehearsal.New(p, story), nil
	}
	leave := &ExitError{Code: ExitRefused, Err: err}
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) && len(all.Unwrap()) > 0 {
		leave.Err = all.Unwrap()[0]
		for _, more := range all.Unwrap()[1:] {
			leave.Hint = append(leave.Hint, more.Error())
		}
	}
	return nil, leave
}

// instantFlag reads --at or --until: RFC 3339, or a date and time in the policy's zone.
func instantFlag(r *rehearsal.Run, name, s string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, r.Program().Zone); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &usageError{text: fmt.Sprintf("--%s %q is not an instant", name, s), hint: "write 2026-11-22T12:00:00Z, or without Z for the policy's zone"}
}

func (a *app) policyExplain() *cobra.Command {
	var facts, at string
	c := &cobra.Command{
		Use: "explain FILE --facts FACTS --at TIME", Args: exactly("FILE"),
		Short: "What is due at an instant, to whom and why; what is not, and why not",
		Long: "explain plays the facts of a file up to an instant and lists every duty: its state,\n" +
			"when it is due where its recipient is, and why; every duty that is not due, and why\n" +
			"not; and which unanswered question decides most. docs/policy says what a file of\n" +
			"facts may hold.",
	}
	c.Flags().StringVar(&facts, "facts", "", "file of facts with their times")
	c.Flags().StringVar(&at, "at", "", "instant to explain (default: the last of the file)")
	c.RunE = func(_ *cobra.Command, args []string) error {
		r, err := a.rehearse(args[0], facts)
		if err != nil {
			return err
		}
		when := r.Last()
		if at != "" {
			if when, err = instantFlag(r, "at", at); err != nil {
				return err
			}
		}
		if err := r.To(when); err != nil {
			return &failure{text: err.Error()}
		}
		answer := r.Explain()
		return a.show(answer, func(w io.Writer) { _ = answer.Write(w, r.Program().Zone) })
	}
	return c
}

func (a *app) policySimulate() *cobra.Command {
	var facts, until, svg string
	c := &cobra.Command{
		Use: "simulate FILE --facts FACTS", Args: exactly("FILE"),
		Short: "The whole life of an incident that has not happened, as text and as a drawing",
	}
	c.Flags().StringVar(&facts, "facts", "", "file of facts with their times")
	c.Flags().StringVar(&until, "until", "", "instant to stop at (default: when every clock has run out)")
	c.Flags().StringVar(&svg, "svg", "", "also draw the clocks into this file")
	c.RunE = func(_ *cobra.Command, args []string) error {
		r, err := a.rehearse(args[0], facts)
		if err != nil {
			return err
		}
		end := r.Last()
		if until != "" {
			if end, err = instantFlag(r, "until", until); err != nil {
				return err
			}
			if end.After(r.Last().Add(longestRehearsal)) {
				return &usageError{text: "--until lies more than ten years after the last thing that happens", hint: "choose an earlier instant"}
			}
		}
		if err := r.To(end); err != nil {
			return &failure{text: err.Error()}
		}
		if until == "" {
			// What the clocks start at the end may start others; a policy's chains are short.
			for range 8 {
				next := r.End()
				if !next.After(end) || next.After(r.Last().Add(longestRehearsal)) {
					break
				}
				end = next.Add(time.Second) // a limit is missed just after it
				if err := r.To(end); err != nil {
					return &failure{text: err.Error()}
				}
			}
		}
		if svg != "" {
			if err := os.WriteFile(svg, []byte(r.SVG()), 0o644); err != nil {
				return &failure{text: err.Error()}
			}
		}
		return a.show(map[string]any{"steps": r.Steps(), "end": r.Explain()}, func(w io.Writer) { _ = r.WriteStory(w) })
	}
	return c
}
