package console

import (
	"net/url"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// policyForms are what people say to the policy itself: levels of its own scales, duties that leave
// no other trace, declarations, and passing a gate although it is shut.
func policyForms(register func(form)) {
	register(form{Command: "scale", Title: "Set a level", Explain: "A level of one of the policy's own scales. Raising is free; lowering needs the lead.",
		Fields: func(v view, _ url.Values) []input {
			var scales, levels []option
			for _, s := range v.Policy.Scales {
				scales = append(scales, option{s.ID, word(s.ID)})
				for _, l := range s.Levels {
					levels = append(levels, option{l.ID, word(s.ID) + ": " + word(l.ID) + " — " + l.Means})
				}
			}
			return []input{{Name: "scale", Label: "Scale", Kind: "select", Options: scales}, {Name: "level", Label: "Level", Kind: "select", Options: levels}, reasonField()}
		},
		Button: says("Set the level on {id}"),
		Make: func(r reader) incident.Command {
			return incident.SetScale{Scale: r.text("scale"), Level: r.text("level"), Reason: r.text("reason")}
		}})
	register(form{Command: "done", Title: "Record that a duty is done", Explain: "For a duty that leaves no other trace. Say what was done and where it can be seen.",
		Fields: func(v view, _ url.Values) []input {
			var duties []option
			for _, d := range v.Policy.Duties {
				if d.For == "incident" && (d.Do == policy.Perform || d.Do == policy.Reach) {
					duties = append(duties, option{d.ID, word(d.ID)})
				}
			}
			return []input{{Name: "duty", Label: "Duty", Kind: "select", Options: duties}, {Name: "at", Label: "When", Kind: "time", Optional: true, Help: "Empty means now."},
				{Name: "note", Label: "What was done", Kind: "area"}}
		},
		Button: says("Record it on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Complete{Duty: r.text("duty"), At: r.time("at"), Note: r.text("note")}
		}})
	register(form{Command: "told", Title: "Told by another channel", Explain: "A recipient was reached by telephone, by letter or otherwise, after the mail could not.",
		Fields: func(v view, _ url.Values) []input {
			var notices []option
			for _, n := range v.State.Notices {
				notices = append(notices, option{n.ID, n.ID + " — " + word(n.Duty)})
			}
			return []input{{Name: "notice", Label: "Notice", Kind: "select", Options: notices}, {Name: "party", Label: "Recipient", Kind: "text", Help: "The id, such as m_214."},
				{Name: "channel", Label: "Channel", Kind: "text", Help: "Such as phone."}, reasonField()}
		},
		Button: says("Record who was told on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Told{Notice: r.text("notice"), Party: r.text("party"), Channel: r.text("channel"), Reason: r.text("reason")}
		}})
	register(form{Command: "attest", Title: "Make a declaration", Explain: "What a gate asks to be declared by whoever gives its command. It is used up when the gate lets the command through.",
		Fields: func(v view, _ url.Values) []input {
			var gates []option
			for _, g := range v.Policy.Gates {
				if g.Attest != "" {
					gates = append(gates, option{g.ID, word(g.Guards) + " — " + g.Attest})
				}
			}
			return []input{{Name: "gate", Label: "Gate", Kind: "select", Options: gates}}
		},
		Button: says("Declare it on {id}"), Make: func(r reader) incident.Command { return incident.Attest{Gate: r.text("gate")} }})
	register(form{Command: "override", Title: "Sign for passing a shut gate", Explain: "When enough people have signed, the gate's next command is let through although it is shut. That it was stays on record.", Danger: true,
		Fields: func(v view, _ url.Values) []input {
			var gates []option
			for _, g := range v.Policy.Gates {
				if g.Override != nil {
					gates = append(gates, option{g.ID, word(g.Guards)})
				}
			}
			return []input{{Name: "gate", Label: "Gate", Kind: "select", Options: gates}, reasonField()}
		},
		Button: says("Sign for passing the gate on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Override{Gate: r.text("gate"), Reason: r.text("reason")}
		}})
	register(form{Command: "move-policy", Title: "Move to the policy in force", Explain: "The incident goes on under the policy that new incidents run under. Clocks are computed again; the earliest due ever shown and every miss stay.", Fields: onlyReason, Danger: true,
		Button: says("Move {id} to the policy in force"),
		Make:   func(r reader) incident.Command { return incident.MovePolicy{Reason: r.text("reason")} }})
}
