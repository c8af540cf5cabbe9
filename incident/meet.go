package incident

import (
	"fmt"
	"strings"

	"github.com/tocsin-ir/tocsin/policy"
)

// meetLine says how a duty that is owed is met, and how it is let go of. Meeting it comes first: what a policy
// promises is not waived because that is the nearest form.
func meetLine(s *State, d *policy.Duty) string {
	of := ""
	if len(d.Of) > 0 {
		of = d.Of[0]
	}
	line := ""
	switch d.Do {
	case policy.Contain:
		line = doLine(s, "contain it", "contain", "ACTION --reason …")
	case policy.Decide, policy.Reach:
		verb, args := map[string]string{"acknowledged": "acknowledge", "confirmed": "confirm", "dismissed": "dismiss", "closed": "close"}[of], "--reason …"
		switch verb {
		case "":
			verb, args = "mark", of+" --reason …"
		case "acknowledge":
			args = ""
		}
		line = doLine(s, strings.ReplaceAll(verb, "mark", "record")+" it", verb, args)
	case policy.Assess:
		line = doLine(s, "assess it", "assess", "")
	case policy.Scope:
		line = "compute the scope: tocsin scope --incident " + s.ID
	case policy.Notify, policy.Announce:
		line = doLine(s, "write it", "draft", d.ID)
		for _, n := range s.Notices { // the newest says where it stands
			switch {
			case n.Duty != d.ID:
			case n.State == NoticeDraft:
				line = doLine(s, "finish "+n.ID, "draft", d.ID+" --notice "+n.ID)
			case n.State == NoticeApproved:
				line = doLine(s, "send "+n.ID, "send", n.ID)
			default:
				line = doLine(s, "see whom "+n.ID+" did not reach", "resend", n.ID+" RECIPIENT --reason …")
			}
		}
	case policy.Verify:
		line = doLine(s, "have the fix verified", "verify-fix", "--how …")
	case policy.Restore:
		line = doLine(s, "restore it", "restore", "--reason …")
	case policy.Review:
		line = doLine(s, "publish the review", "publish", "")
	case policy.Answer:
		line = doLine(s, "answer it", "answer", of+" yes|no --reason …")
	case policy.Perform:
		line = doLine(s, "say that it is done", "done", d.ID+" --note …")
	default:
		return doLine(s, "waive it", "waive", d.ID+" --reason …")
	}
	return fmt.Sprintf("%s (%s)", line, doLine(s, "or waive it", "waive", d.ID+" --reason …"))
}
