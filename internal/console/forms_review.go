package console

import (
	"net/url"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// versionOptions are the versions of a review, the internal one first.
var versionOptions = []option{{incident.VersionInternal, "internal"}, {incident.VersionClient, "for clients"}, {incident.VersionPublic, "for the public"}}

// shownTo are the same as the widest version in which something is shown.
var shownTo = []option{{incident.VersionInternal, "us alone"}, {incident.VersionClient, "clients and us"}, {incident.VersionPublic, "everybody"}}

// ownersOf are the people a corrective action can be given to.
func ownersOf(v view) []option {
	var people []option
	for _, p := range v.People {
		people = append(people, option{"person:" + p.ID, p.Name})
	}
	return people
}

// reviewForms are the commands about the review, each by itself; its page has them in one place.
func reviewForms(register func(form)) {
	register(form{Command: "review", Title: "Write the review", Explain: "One part at a time, in Markdown; each is kept with its author.",
		Fields: func(v view, in url.Values) []input {
			version := in.Get("version")
			if version == "" {
				version = incident.VersionInternal
			}
			var parts []option
			for _, p := range incident.ReviewParts(v.Policy, version) {
				parts = append(parts, option{p, word(p)})
			}
			text := input{Name: "text", Label: "Text", Kind: "area"}
			if p := v.State.Review.Parts[incident.PartKey(version, in.Get("part"))]; p != nil {
				text.Value = p.Text
			}
			return []input{{Name: "version", Label: "Version", Kind: "select", Options: versionOptions, Value: version}, {Name: "part", Label: "Part", Kind: "select", Options: parts}, text}
		},
		Button: says("Save this part of the review"), Make: func(r reader) incident.Command {
			return incident.EditReview{Part: r.text("part"), Version: r.text("version"), Text: r.prose("text")}
		}})
	register(form{Command: "pick", Title: "Put something on the timeline of the review", Explain: "One sentence about what happened, and when. Who reads it is said for each entry.",
		Fields: func(v view, in url.Values) []input {
			show := input{Name: "show", Label: "Shown to", Kind: "select", Options: shownTo}
			text, at := input{Name: "text", Label: "What happened, in a sentence", Kind: "area"}, input{Name: "at", Label: "When", Kind: "text", Help: "Such as 2026-11-22T03:02:05, in " + zoneName(zoneOf(v.Policy)) + "."}
			of := input{Name: "of", Label: "The fact or line it speaks of", Kind: "text", Optional: true, Help: "Empty for a note of your own."}
			entry := input{Name: "entry", Label: "Entry", Kind: "text", Optional: true, Help: "Empty for a new one; such as TL-1 to change one."}
			for _, e := range v.State.Review.Entries {
				if e.ID == in.Get("entry") {
					text.Value, of.Value, show.Value, at.Value = e.Text, e.Of, e.Show, e.At.In(zoneOf(v.Policy)).Format("2006-01-02T15:04:05")
				}
			}
			return []input{text, at, show, of, entry}
		},
		Button: says("Put it on the timeline of {id}"), Adds: true, Make: func(r reader) incident.Command {
			return incident.PickEntry{Entry: r.text("entry"), At: r.time("at"), Text: r.text("text"), Of: r.text("of"), Show: r.text("show")}
		}})
	register(form{Command: "unpick", Title: "Take an entry off the timeline of the review", Explain: "The fact that it speaks of stays in the log.",
		Fields: func(v view, _ url.Values) []input {
			var entries []option
			for _, e := range v.State.Review.Entries {
				entries = append(entries, option{e.ID, e.ID + " — " + e.Text})
			}
			return []input{{Name: "entry", Label: "Entry", Kind: "select", Options: entries}}
		},
		Button: says("Take it off"), Make: func(r reader) incident.Command { return incident.DropEntry{Entry: r.text("entry")} }})
	register(form{Command: "corrective", Title: "Add a corrective action", Explain: "What is done so that it does not happen again, by whom and until when. Its owner is called when the date passes.",
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "text", Label: "What", Kind: "area"}, {Name: "owner", Label: "Who", Kind: "select", Options: ownersOf(v)}, {Name: "due", Label: "Until", Kind: "time"}}
		},
		Button: says("Add the corrective action"), Adds: true,
		Make: func(r reader) incident.Command {
			return incident.AddCorrective{Text: r.text("text"), Owner: incident.Principal(r.text("owner")), Due: r.time("due")}
		}})
	register(form{Command: "move-corrective", Title: "Follow a corrective action", Explain: "It is done, it is let go of, it is open again, or somebody else has it. Also when the incident is closed.",
		Fields: func(v view, in url.Values) []input {
			var actions []option
			for _, c := range v.State.Review.Corrective {
				actions = append(actions, option{c.ID, c.ID + " (" + c.State + ") — " + c.Text})
			}
			return []input{{Name: "corrective", Label: "Corrective action", Kind: "select", Options: actions},
				{Name: "state", Label: "It is", Kind: "select", Options: []option{{"", "as it was"}, {incident.CorrectiveDone, "done"}, {incident.CorrectiveDropped, "dropped"}, {incident.CorrectiveOpen, "open"}}},
				{Name: "owner", Label: "Who does it now", Kind: "select", Options: append([]option{{"", "as it was"}}, ownersOf(v)...)},
				{Name: "due", Label: "Until when now", Kind: "time", Optional: true, Help: "Empty leaves it as it was."},
				{Name: "note", Label: "What was done and where it can be seen, or why", Kind: "area"}}
		},
		Button: says("Record it"), Make: func(r reader) incident.Command {
			return incident.MoveCorrective{Corrective: r.text("corrective"), State: r.text("state"), Owner: incident.Principal(r.text("owner")), Due: r.time("due"), Note: r.text("note")}
		}})
	register(form{Command: "publish", Title: "Publish the review", Explain: "The text as it stands is kept and its digest recorded. Refused while a part is missing. The page of the review shows the very text first.", Danger: true,
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "version", Label: "Version", Kind: "select", Options: versionOptions}}
		},
		Button: says("Publish the review of {id}"), Make: func(r reader) incident.Command {
			return incident.PublishReview{Version: r.text("version"), Digest: r.text("digest")}
		}})
}

// zoneOf is the zone in which times are written and read.
func zoneOf(p *policy.Program) *time.Location {
	if p == nil || p.Zone == nil {
		return time.UTC
	}
	return p.Zone
}

// prose reads a text whose lines matter: only the ends of lines are made the same.
func (r reader) prose(name string) string {
	return strings.TrimSpace(strings.ReplaceAll(r.in.Get(name), "\r\n", "\n"))
}
