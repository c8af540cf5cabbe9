package console

import (
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
)

// roomForms are the commands about an incident as a whole: its signals, its roles, its holds and its
// files.
func roomForms(register func(form)) {
	register(form{Command: "hand-over", Title: "Hand over a role", Explain: "The other person is told by mail. Until they accept, the role stays with who holds it, and both are shown.",
		Fields: func(v view, _ url.Values) []input {
			var roles, people []option
			for _, role := range sortedRoles(v.State) {
				roles = append(roles, option{role, word(role) + ", held by " + v.who(v.State.Roles[role])})
			}
			for _, p := range v.People {
				people = append(people, option{"person:" + p.ID, p.Name})
			}
			return []input{{Name: "role", Label: "Role", Kind: "select", Options: roles}, {Name: "person", Label: "To", Kind: "select", Options: people},
				{Name: "note", Label: "What they have to know", Kind: "area"}}
		},
		Button: says("Offer the role on {id}"),
		Make: func(r reader) incident.Command {
			return incident.HandOver{Role: r.text("role"), Person: incident.Principal(r.text("person")), Note: r.text("note")}
		}})
	register(form{Command: "accept-role", Title: "Accept a role", Explain: "Take a role that was offered to you. From then on it is yours alone.",
		Fields: func(v view, _ url.Values) []input {
			var offered []option
			for role, o := range v.State.Offers {
				offered = append(offered, option{role, word(role) + ", from " + v.who(o.By) + ": " + o.Note})
			}
			slices.SortFunc(offered, func(a, b option) int { return strings.Compare(a.Value, b.Value) })
			return []input{{Name: "role", Label: "Role", Kind: "select", Options: offered}}
		},
		Button: says("Accept the role on {id}"), Make: func(r reader) incident.Command { return incident.AcceptRole{Role: r.text("role")} }})
	register(form{Command: "unlink-signal", Title: "Take a signal out", Explain: "The signal does not belong to this incident. What it said stays in the timeline.",
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "signal", Label: "Signal", Kind: "select", Options: signalOptions(v.State.Signals)}, reasonField()}
		},
		Button: says("Take the signal out of {id}"),
		Make: func(r reader) incident.Command {
			return incident.UnlinkSignal{Signal: r.text("signal"), Reason: r.text("reason")}
		}})
	register(form{Command: "link-signal", Title: "Link a signal", Explain: "A signal of another incident belongs here. There it is taken out, in the same moment.",
		Fields: func(view, url.Values) []input {
			return []input{{Name: "from", Label: "Incident that has the signal, or had it", Kind: "text", Help: "Such as INC-3."},
				{Name: "signal", Label: "Signal", Kind: "text", Help: "Its id, as that incident shows it."}, reasonField()}
		},
		Button: says("Link the signal to {id}")})
	registerMerging(register)
	register(form{Command: "hold", Title: "Place a hold", Explain: "Say what must not be deleted, on which legal basis and until when.",
		Fields: func(view, url.Values) []input {
			return []input{{Name: "what", Label: "What is held", Kind: "area"}, {Name: "basis", Label: "Legal basis", Kind: "text", Help: "Such as litigation, or the order of a court."},
				{Name: "until", Label: "Until", Kind: "time", Optional: true, Help: "Empty means until it is released."}}
		},
		Button: says("Place the hold on {id}"), Adds: true,
		Make: func(r reader) incident.Command {
			return incident.PlaceHold{What: r.text("what"), Basis: r.text("basis"), Until: r.time("until")}
		}})
	register(form{Command: "release-hold", Title: "Release a hold", Explain: "End a hold before its time. It is the owner's or the lead's, and stays on record.", Danger: true,
		Fields: func(v view, _ url.Values) []input {
			var standing []option
			for _, h := range v.State.Holds {
				if h.Released == nil {
					standing = append(standing, option{h.ID, h.ID + " — " + h.Basis + ": " + h.What})
				}
			}
			return []input{{Name: "hold", Label: "Hold", Kind: "select", Options: standing}, reasonField()}
		},
		Button: says("Release the hold on {id}"),
		Make: func(r reader) incident.Command {
			return incident.ReleaseHold{Hold: r.text("hold"), Reason: r.text("reason")}
		}})
	register(form{Command: "restrict", Title: "Make it private", Danger: true,
		Explain: "Only the people on its list may know of it: it leaves every page, list, search and answer of everybody else, owners included, and calls go to the list alone. It is not taken back; people can be put on the list.",
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "readers", Label: "On the list, besides you", Kind: "text", Optional: true, Help: "Ids of people, with blanks between: " + idsOf(v) + "."},
				{Name: "about", Label: "Members of staff whom it is about", Kind: "text", Optional: true, Help: "They are never on the list and never called."}, reasonField()}
		},
		Button: says("Make {id} private"),
		Make: func(r reader) incident.Command {
			return incident.Restrict{Readers: peopleIn(r.text("readers")), About: peopleIn(r.text("about")), Reason: r.text("reason")}
		}})
	register(form{Command: "grant", Title: "Put somebody on the list", Explain: "The person may know of this private incident from now on, all of it.",
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "person", Label: "Person", Kind: "select", Options: peopleWho(v, false)}, reasonField()}
		},
		Button: says("Put them on the list of {id}"),
		Make: func(r reader) incident.Command {
			return incident.Grant{Person: incident.Principal(r.text("person")), Reason: r.text("reason")}
		}})
	register(form{Command: "revoke-access", Title: "Take somebody off the list", Explain: "The person does not see this incident any more. What they have seen they have seen.",
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "person", Label: "Person", Kind: "select", Options: peopleWho(v, true)}, reasonField()}
		},
		Button: says("Take them off the list of {id}"),
		Make: func(r reader) incident.Command {
			return incident.RevokeAccess{Person: incident.Principal(r.text("person")), Reason: r.text("reason")}
		}})
	register(form{Command: "attach", Title: "Attach a file as evidence", File: true, Adds: true,
		Explain: "The file is kept as it is, under its digest, and never shown or run here: it can only be saved. It goes into every export.",
		Fields: func(view, url.Values) []input {
			return []input{{Name: "name", Label: "What it is called", Kind: "text", Optional: true, Help: "Empty means the file's own name."},
				{Name: "note", Label: "What it is, and where it comes from", Kind: "area"},
				{Name: "file", Label: "File", Kind: "file", Help: "At most 32 MiB."}}
		},
		Button: says("Attach the file to {id}")})
}

func signalOptions(list []incident.Signal) []option {
	var out []option
	for _, g := range list {
		out = append(out, option{g.ID, word(g.Class) + " — " + g.Sentence})
	}
	return out
}

// peopleIn reads ids of people with blanks or commas between.
func peopleIn(text string) []incident.Principal {
	var out []incident.Principal
	for _, id := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		if !strings.Contains(id, ":") {
			id = "person:" + id
		}
		out = append(out, incident.Principal(id))
	}
	return out
}

func idsOf(v view) string {
	var out []string
	for _, p := range v.People {
		out = append(out, p.ID)
	}
	return strings.Join(out, ", ")
}

// peopleWho are the people who are on the list of a private incident, or are not and may be.
func peopleWho(v view, on bool) []option {
	var out []option
	if v.State.Private == nil {
		return nil
	}
	for _, p := range v.People {
		who := incident.Principal("person:" + p.ID)
		if incident.Sees(v.State, who, incident.Viewer) == on && (on || !slices.Contains(v.State.Private.About, who)) {
			out = append(out, option{string(who), p.Name})
		}
	}
	return out
}

func sortedRoles(s *incident.State) []string {
	var out []string
	for role := range s.Roles {
		out = append(out, role)
	}
	slices.Sort(out)
	return out
}
