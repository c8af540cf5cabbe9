package incident

import (
	"fmt"
	"slices"
)

func foldUnlinked(s *State, f Fact) error {
	var b UnlinkedBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	i := slices.IndexFunc(s.Signals, func(g Signal) bool { return g.ID == b.Signal })
	if i < 0 {
		return fmt.Errorf("incident: fact %s takes out a signal that is not linked", f.ID)
	}
	s.Unlinked = append(s.Unlinked, Unlinked{Signal: s.Signals[i], To: b.To, By: f.Principal, Out: f.Recorded, Why: t.Reason})
	s.Signals = slices.Concat(s.Signals[:i], s.Signals[i+1:]) // a new list: readers have the old one
	return nil
}

func foldEnded(s *State, f Fact) error {
	var b EndedBody
	if err := header(f, &b); err != nil {
		return err
	}
	i := slices.IndexFunc(s.Signals, func(g Signal) bool { return g.ID == b.Signal })
	if i < 0 {
		return fmt.Errorf("incident: fact %s ends a signal that is not linked", f.ID)
	}
	s.Signals = slices.Clone(s.Signals) // readers have the old one
	s.Signals[i].Ended = b.At
	return nil
}

func foldOffered(s *State, f Fact) error {
	var b OfferedBody
	var t PlainText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	offers := writable(s, inOffers, &s.Offers)
	if b.Person == "" {
		delete(offers, b.Role)
		return nil
	}
	offers[b.Role] = &Offer{Role: b.Role, Person: b.Person, By: f.Principal, At: f.Recorded, Note: t.Text}
	return nil
}

func foldHeld(s *State, f Fact) error {
	var b HoldBody
	var t HoldText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Holds = append(s.Holds, &Hold{ID: b.Hold, What: t.What, Basis: t.Basis, Until: b.Until, By: f.Principal, At: f.Recorded})
	return nil
}

func foldReleased(s *State, f Fact) error {
	var b HoldBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	i := slices.IndexFunc(s.Holds, func(h *Hold) bool { return h.ID == b.Hold })
	if i < 0 {
		return fmt.Errorf("incident: fact %s releases hold %s, which was never placed", f.ID, b.Hold)
	}
	h := *s.Holds[i]
	h.Released = &Signed{By: f.Principal, At: f.Recorded, Text: t.Reason, Fact: f.ID}
	s.Holds = slices.Clone(s.Holds)
	s.Holds[i] = &h
	return nil
}

func foldAttached(s *State, f Fact) error {
	var b AttachedBody
	var t AttachedText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Attachments = append(s.Attachments, Attachment{
		ID: b.Attachment, Name: t.Name, Digest: b.Digest, Bytes: b.Bytes, Note: t.Note, By: f.Principal, At: f.Recorded, Fact: f.ID,
	})
	return nil
}
