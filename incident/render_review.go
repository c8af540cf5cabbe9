package incident

import (
	"cmp"
	"fmt"
)

// reviewRenderers word what is done about the review.
func reviewRenderers() map[Kind]func(Fact) string {
	return map[Kind]func(Fact) string{
		KindReviewEdited: func(f Fact) string {
			b, _ := read[ReviewBody, struct{}](f)
			return "Review" + forWhom(b.Version) + ": the part " + b.Part + " was written"
		},
		KindEntryPicked: func(f Fact) string {
			b, t := read[EntryBody, PlainText](f)
			return because("Review: "+b.Entry+" of the timeline, "+utc(b.At), t.Text)
		},
		KindEntryDropped: func(f Fact) string {
			b, _ := read[EntryBody, struct{}](f)
			return "Review: " + b.Entry + " was taken off the timeline"
		},
		KindCorrective: func(f Fact) string {
			b, t := read[CorrectiveBody, PlainText](f)
			return because(fmt.Sprintf("Corrective action for %s, due %s", b.Owner, utc(b.Due)), t.Text)
		},
		KindCorrectiveMoved: func(f Fact) string {
			b, t := read[CorrectiveBody, PlainText](f)
			s := "Corrective action " + b.Corrective + " is " + b.State
			if b.Owner != "" {
				s += fmt.Sprintf(", for %s", b.Owner)
			}
			if !b.Due.IsZero() {
				s += ", due " + utc(b.Due)
			}
			return because(s, t.Text)
		},
		KindPublished: func(f Fact) string {
			b, _ := read[PublishedBody, struct{}](f)
			s := "Review" + forWhom(b.Version) + " published"
			if b.N > 1 {
				s += fmt.Sprintf(" again, for the %d. time", b.N)
			}
			if b.Digest != "" {
				s += ", " + b.Digest
			}
			return s
		},
	}
}

func forWhom(version string) string {
	return map[string]string{"": "", VersionClient: " for clients", VersionPublic: " for the public"}[cmp.Or(version, "")]
}
