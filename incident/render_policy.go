package incident

import (
	"fmt"
	"strings"
)

// policyRenderers puts into words what people and the clock say to the policy: levels, acts that
// are done, gates that are passed, policies that change.
func policyRenderers() map[Kind]func(Fact) string {
	return map[Kind]func(Fact) string{
		KindScale: func(f Fact) string {
			b, t := read[ScaleBody, Reasoned](f)
			if b.From == "" {
				return because(spaces(b.Scale)+" set to "+b.Level, t.Reason)
			}
			return because(spaces(b.Scale)+" changed from "+b.From+" to "+b.Level, t.Reason)
		},
		KindDirectory: func(f Fact) string {
			b, _ := read[DirectoryBody, struct{}](f)
			return "The directory says something new of " + count(b.N, "merchant", "merchants")
		},
		KindDone: func(f Fact) string {
			b, t := read[DoneBody, PlainText](f)
			s := "Done: " + spaces(b.Duty)
			if b.Recipient != "" {
				s += " for " + b.Recipient
			}
			return because(s+", at "+utc(b.At), t.Text)
		},
		KindPassed: func(f Fact) string {
			b, _ := read[PassedBody, struct{}](f)
			return b.Clock + " has passed, at " + utc(b.At)
		},
		KindAttested: func(f Fact) string {
			b, _ := read[GateSignedBody, struct{}](f)
			return "Declared what the gate " + b.Gate + " asks for"
		},
		KindWaiver: func(f Fact) string {
			b, t := read[GateSignedBody, Reasoned](f)
			return because("Signed as "+strings.Join(b.Roles, ", ")+" to pass the gate "+b.Gate+" although it is shut", t.Reason)
		},
		KindOverridden: func(f Fact) string {
			b, t := read[OverriddenBody, RefusedText](f)
			if b.N == 0 {
				return "The gate " + b.Gate + " let " + b.Command + " through"
			}
			what := make([]string, len(t.Missing))
			for i, m := range t.Missing {
				what[i] = m.What
			}
			return because("The gate "+b.Gate+" was passed although it was shut, for "+b.Command, strings.Join(what, "; "))
		},
		KindPolicyMoved: func(f Fact) string {
			b, t := read[PolicyMovedBody, Reasoned](f)
			return because("Moved from the policy "+short(b.From)+" to "+short(b.To), t.Reason)
		},
		KindProgramme: func(f Fact) string {
			b, _ := read[ProgrammeBody, struct{}](f)
			return "The programme runs under the policy " + short(b.Policy)
		},
		KindEvent: func(f Fact) string {
			b, t := read[EventBody, PlainText](f)
			return because(fmt.Sprintf("Event %s, %s, at %s", b.ID, spaces(b.Event), utc(b.At)), t.Text)
		},
	}
}

// spaces writes an id as words.
func spaces(id string) string { return strings.ReplaceAll(id, "_", " ") }

// short is the beginning of a digest, enough to tell two policies apart.
func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19]
	}
	return digest
}
