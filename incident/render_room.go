package incident

import "fmt"

// roomRenderers puts in words what people do with an incident as a whole.
func roomRenderers() map[Kind]func(Fact) string {
	return map[Kind]func(Fact) string{
		KindSignalEnd: func(f Fact) string {
			b, t := read[EndedBody, PlainText](f)
			return because("What signal "+b.Signal+" saw is over", t.Text)
		},
		KindSignalOut: func(f Fact) string {
			b, t := read[UnlinkedBody, Reasoned](f)
			s := "Signal " + b.Signal + " taken out"
			if b.To != "" {
				s += ", to " + b.To
			}
			return because(s, t.Reason)
		},
		KindOffered: func(f Fact) string {
			b, t := read[OfferedBody, PlainText](f)
			if b.Person == "" {
				return because("The offer of the role "+b.Role+" is withdrawn", t.Text)
			}
			return because(fmt.Sprintf("The role %s is offered to %s", b.Role, b.Person), t.Text)
		},
		KindHeld: func(f Fact) string {
			b, t := read[HoldBody, HoldText](f)
			s := "Hold " + b.Hold + " placed"
			if !b.Until.IsZero() {
				s += " until " + utc(b.Until)
			}
			if t.Basis != "" {
				s += ", " + t.Basis
			}
			return because(s, t.What)
		},
		KindReleased: func(f Fact) string {
			b, t := read[HoldBody, Reasoned](f)
			return because("Hold "+b.Hold+" released", t.Reason)
		},
		KindAttached: func(f Fact) string {
			b, t := read[AttachedBody, AttachedText](f)
			s := fmt.Sprintf("%s attached, %s, %s", b.Attachment, count(int(b.Bytes), "byte", "bytes"), b.Digest)
			if t.Name != "" {
				s = fmt.Sprintf("%s attached as %s, %s, %s", t.Name, b.Attachment, count(int(b.Bytes), "byte", "bytes"), b.Digest)
			}
			return because(s, t.Note)
		},
	}
}
