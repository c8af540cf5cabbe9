package incident

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Line is one line of the timeline.
type Line struct {
	ID        string    `json:"id"` // of the fact
	At        time.Time `json:"at"`
	Recorded  time.Time `json:"recorded"`
	Kind      Kind      `json:"kind"`
	Principal Principal `json:"principal"`
	Text      string    `json:"text"`
}

// Render puts any fact into one line of plain words. It needs nothing but the fact: kinds it does
// not know, and facts whose parts are withheld or damaged, still get a line.
func Render(f Fact) Line {
	l := Line{ID: f.ID, At: f.Occurred, Recorded: f.Recorded, Kind: f.Kind, Principal: f.Principal}
	words := renderers[f.Kind]
	if words == nil {
		l.Text = "A fact of the kind " + string(f.Kind) + ", which this version does not know"
		return l
	}
	l.Text = oneLine(words(f))
	return l
}

// Capital begins a text with a capital. Its first letter may be of any script, and so of several bytes.
func Capital(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	if n == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[n:]
}

const maxLine = 400

// oneLine keeps a line a line, whatever people wrote.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)), " ")
	if runes := []rune(s); len(runes) > maxLine {
		return string(runes[:maxLine-1]) + "…"
	}
	return s
}

// read decodes body and own part as far as they can be read.
func read[B, T any](f Fact) (b B, t T) {
	_ = header(f, &b)
	_ = text(f, &t)
	return b, t
}

// because appends a reason, when there is one that may be read.
func because(s, reason string) string {
	if strings.TrimSpace(reason) == "" {
		return s
	}
	return s + ": " + reason
}

func reasoned(words string) func(Fact) string {
	return func(f Fact) string {
		_, t := read[struct{}, Reasoned](f)
		return because(words, t.Reason)
	}
}

func plain(words string) func(Fact) string {
	return func(f Fact) string {
		_, t := read[struct{}, PlainText](f)
		return because(words, t.Text)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// renderers puts each kind in words. It is never written to again.
var renderers = makeRenderers()

func makeRenderers() map[Kind]func(Fact) string {
	table := map[Kind]func(Fact) string{
		KindOpened: func(f Fact) string {
			b, t := read[OpenedBody, OpenedText](f)
			return because("Opened as "+b.Class, t.Title)
		},
		KindDismissed: reasoned("Dismissed as a false alarm"),
		KindClosed:    reasoned("Closed"),
		KindReopened:  reasoned("Taken up again"),
		KindSignal: func(f Fact) string {
			b, t := read[SignalBody, SignalText](f)
			what := "Signal " + b.Class
			if !b.Noticed.IsZero() {
				what += fmt.Sprintf(" of %s, in a log that was supplied later and came in at %s", utc(b.At), utc(b.Noticed))
			}
			return because(what, t.Signal.Sentence)
		},
		KindMilestone: func(f Fact) string {
			b, t := read[MilestoneBody, Reasoned](f)
			return because(fmt.Sprintf("Milestone %s at %s", b.Milestone, utc(b.At)), t.Reason)
		},
		KindCorrected: func(f Fact) string {
			b, t := read[MilestoneBody, Reasoned](f)
			return because(fmt.Sprintf("Milestone %s corrected from %s to %s", b.Milestone, utc(b.Before), utc(b.At)), t.Reason)
		},
		KindAnswered: func(f Fact) string {
			b, t := read[AnswerBody, AnswerText](f)
			return because(fmt.Sprintf("Answered %s: %v", b.Fact, t.Value), t.Reason)
		},
		KindSeverity: func(f Fact) string {
			b, t := read[SeverityBody, Reasoned](f)
			if b.From == "" {
				return because("Severity set to "+b.Severity, t.Reason)
			}
			return because("Severity changed from "+b.From+" to "+b.Severity, t.Reason)
		},
		KindAssigned: func(f Fact) string {
			b, _ := read[AssignedBody, struct{}](f)
			return fmt.Sprintf("%s holds the role %s", b.Person, b.Role)
		},
		KindNote: plain("Note"),
		KindSwitch: func(f Fact) string {
			b, _ := read[SwitchBody, struct{}](f)
			who := "one merchant"
			if b.All {
				who = "everybody"
			}
			for _, p := range f.Parts {
				if p.Merchant != "" {
					who = p.Merchant
				}
			}
			return fmt.Sprintf("Kill switch for %s turned %s", who, b.State)
		},
		KindScope:       renderScope,
		KindScopeAdjust: renderAdjusted,
		KindGateRefused: func(f Fact) string {
			b, t := read[RefusedBody, RefusedText](f)
			what := make([]string, len(t.Missing))
			for i, m := range t.Missing {
				what[i] = m.What
			}
			return because("Refused: "+b.Command, strings.Join(what, "; "))
		},
		KindGateSigned: func(f Fact) string {
			b, _ := read[GateSignedBody, struct{}](f)
			return "Signed the gate " + b.Gate + " as " + strings.Join(b.Roles, ", ")
		},
		KindSnapshot: func(f Fact) string {
			b, _ := read[SnapshotBody, struct{}](f)
			return fmt.Sprintf("Snapshot of the evidence: %s at %d leaves", b.Log, b.Size)
		},
		KindExported: func(f Fact) string {
			b, t := read[ExportedBody, ExportedText](f)
			return fmt.Sprintf("Evidence exported, %d bytes, %s", b.Bytes, because("for", t.Recipient))
		},
		KindFix:      plain("Fix recorded"),
		KindFixProof: plain("Fix verified"),
		KindRestored: reasoned("Service restored"),
		KindAssessed: func(f Fact) string {
			_, t := read[struct{}, AssessedText](f)
			return because("Assessment recorded", t.RootCause)
		},
	}
	for kind, words := range reviewRenderers() {
		table[kind] = words
	}
	for kind, words := range policyRenderers() {
		table[kind] = words
	}
	for kind, words := range roomRenderers() {
		table[kind] = words
	}
	for kind, words := range mergeRenderers() {
		table[kind] = words
	}
	for kind, words := range privateRenderers() {
		table[kind] = words
	}
	for kind := range folds {
		noun, _, _ := strings.Cut(string(kind), ".")
		words := map[string]func(Fact) string{
			"duty": renderDuty, "action": renderAction, "notice": renderNotice, "check": renderCheck, "page": renderPage,
		}[noun]
		if words != nil {
			table[kind] = words
		}
	}
	return table
}

func renderScope(f Fact) string {
	b, t := read[ScopeBody, ScopeText](f)
	least := ""
	if b.AtLeast {
		least = "at least "
	}
	s := fmt.Sprintf("Scope %d computed: %s%s, %d customer accounts, %d records", b.N, least, count(int(b.Merchants), "merchant", "merchants"), b.Customers, b.Records)
	if n := len(b.Supplied); n > 0 {
		var events int64
		for _, f := range b.Supplied {
			events += f.Events
		}
		s += fmt.Sprintf("; %d of %d accesses were not logged live but supplied later in %s, the first %s", events, b.Events, count(n, "file", "files"), b.Supplied[0].File)
	}
	if b.N > 1 {
		s += fmt.Sprintf("; %d more and %d fewer than before", b.Added, b.Removed)
	}
	return because(s, t.Reason)
}

func renderAdjusted(f Fact) string {
	b, _ := read[AdjustedBody, struct{}](f)
	verb := "excluded from"
	if b.Include {
		verb = "included in"
	}
	for _, p := range f.Parts {
		if p.Merchant != "" {
			var t Reasoned
			_ = decodePart(f, p, &t)
			return because(fmt.Sprintf("%s %s the scope by hand", p.Merchant, verb), t.Reason)
		}
	}
	return "A merchant was " + verb + " the scope by hand"
}

func renderDuty(f Fact) string {
	b, t := read[DutyBody, DutyText](f)
	who := ""
	switch {
	case b.N > 1:
		who = fmt.Sprintf(" to %d recipients", b.N)
	case b.Recipient != "":
		who = " to " + b.Recipient
	}
	s := "Duty " + b.Duty + who
	due := ""
	switch {
	case !b.Due.IsZero():
		due = ", due " + utc(b.Due)
	case !b.Target.IsZero():
		due = ", target " + utc(b.Target)
	}
	switch f.Kind {
	case KindDutyStarted:
		s += " runs" + due
		if b.Cell != "" {
			s += " (" + b.Cell + ")"
		}
	case KindDutyCarried:
		s += " is carried from " + b.From + due
	case KindDutyResumed:
		s += " runs again" + due
	case KindDutyMoved:
		s += " moved" + due
	case KindDutyAtRisk:
		s += " is at risk" + due
	case KindDutyMissed:
		s += " was missed" + due
	case KindDutyMet:
		s += " was met at " + utc(b.At)
		if b.State == DutyMetLate {
			s += ", late"
		}
	case KindDutyWaived:
		s += " was waived"
	case KindDutyStopped:
		s += " stopped"
	case KindDutyRuledOut:
		s += " does not apply"
	}
	return because(s, t.Why)
}

func renderAction(f Fact) string {
	b, t := read[ActionBody, ResultText](f)
	s := "Action " + b.Action
	switch f.Kind {
	case KindActionPlanned:
		var plan PlannedText
		for _, p := range f.Parts {
			_ = decodePart(f, p, &plan)
		}
		return because(s+" planned, "+b.Decl, plan.Reason)
	case KindActionApproved:
		s += " signed"
		if b.State == ActionApproved {
			s += " and approved"
		}
	case KindActionCancelled:
		s += " cancelled"
	case KindActionAttempted:
		s += " attempted"
	case KindActionDeferred:
		s += " put off"
	case KindActionApplied:
		s += " applied"
	case KindActionProven:
		s += " proven"
	case KindActionUnproven:
		s += " not proven"
	case KindActionFailed:
		s += " failed"
	case KindActionUncertain:
		s += " has an unknown outcome"
	case KindActionUndo:
		s += " is to be undone"
	case KindActionUndone:
		s += " undone"
	}
	if b.Code != "" {
		s += " (" + b.Code + ")"
	}
	if t.Reason != "" {
		return because(s, t.Reason)
	}
	return because(s, t.Proof)
}

func renderNotice(f Fact) string {
	b, t := read[NoticeBody, NoticeText](f)
	s := "Notice " + b.Notice
	switch f.Kind {
	case KindNoticeDrafted:
		if b.Corrects != "" {
			s += ", which corrects " + b.Corrects + ","
		}
		return because(s+" drafted", t.Subject)
	case KindNoticeApproved:
		if b.State == NoticeApproved {
			return s + " signed and approved"
		}
		return s + " signed"
	case KindNoticeSending:
		return s + " goes to " + count(b.N, "recipient", "recipients")
	}
	d, _ := read[DeliveryBody, struct{}](f)
	who := d.Party
	for _, p := range f.Parts {
		if p.Merchant != "" {
			who = p.Merchant
		}
	}
	if d.N > 1 {
		who = fmt.Sprintf("%d recipients", d.N)
	}
	verb := map[Kind]string{
		KindNoticeWithdrawn: "withdrawn from", KindNoticeAttempted: "being handed over for", KindNoticeAccepted: "accepted by the server of",
		KindNoticeDeferred: "put off by the server of", KindNoticeBounced: "refused by the server of",
		KindNoticeUncertain: "sent with an unknown outcome to", KindNoticeResent: "to be sent again to", KindNoticeTold: "reached, by another channel,",
	}[f.Kind]
	s += " " + verb + " " + who
	if d.Code != "" && d.Code != "withdrawn" {
		s += " (" + d.Code + ")"
	}
	return s
}

func renderCheck(f Fact) string {
	b, t := read[CheckBody, ResultText](f)
	verb := map[Kind]string{
		KindCheckAsked: "asked for", KindCheckAttempted: "runs", KindCheckDeferred: "put off", KindCheckPassed: "passed",
		KindCheckFailed: "failed", KindCheckUncertain: "had no result",
	}[f.Kind]
	return because("Check "+b.Check+" "+verb, t.Proof)
}

func renderPage(f Fact) string {
	b, _ := read[PageBody, struct{}](f)
	verb := map[Kind]string{
		KindPageOwed: "is called", KindPageAttempted: "is being called", KindPageSent: "was called", KindPageDeferred: "will be called again",
		KindPageFailed: "could not be called", KindPageUncertain: "may not have been called",
	}[f.Kind]
	said := fmt.Sprintf("Role %s %s: duty %s is still owed", b.Role, verb, b.Duty)
	if id := (&Page{ID: b.Page}).CallsOwner(); id != "" {
		said = fmt.Sprintf("The owner of the corrective action %s %s: it is overdue", id, verb)
	}
	if _, ok := (&Page{ID: b.Page}).Reaches(); ok {
		said = fmt.Sprintf("Role %s %s: somebody of the staff suspects a breach, and nobody has acknowledged it", b.Role, verb)
	}
	if strings.HasPrefix(b.Page, handOverPage) {
		said = fmt.Sprintf("Who the role %s is offered to %s", b.Role, verb)
	}
	if b.Code != "" && f.Kind != KindPageSent {
		said += " (" + strings.ReplaceAll(b.Code, "_", " ") + ")"
	}
	return said
}
