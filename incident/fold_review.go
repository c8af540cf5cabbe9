package incident

import (
	"cmp"
	"fmt"
	"slices"
)

func foldReviewEdited(s *State, f Fact) error {
	var b ReviewBody
	if err := header(f, &b); err != nil {
		return err
	}
	part, err := signedText(f)
	if err != nil {
		return err
	}
	s.Review.Written++
	writable(s, inReview, &s.Review.Parts)[PartKey(b.Version, b.Part)] = part
	return nil
}

// foldEntry keeps the entries in the order of their times. The list is made anew, because readers may
// hold the old one.
func foldEntry(s *State, f Fact) error {
	var b EntryBody
	if err := header(f, &b); err != nil {
		return err
	}
	s.Review.Written++
	list := slices.DeleteFunc(slices.Clone(s.Review.Entries), func(e Picked) bool { return e.ID == b.Entry })
	if f.Kind == KindEntryPicked {
		var t PlainText
		if err := text(f, &t); err != nil {
			return err
		}
		if len(list) == len(s.Review.Entries) {
			s.Review.Picked++
		}
		list = append(list, Picked{ID: b.Entry, At: b.At, Text: t.Text, Of: b.Of, Show: cmp.Or(b.Show, VersionInternal), By: f.Principal, Fact: f.ID})
		slices.SortStableFunc(list, func(a, b Picked) int { return a.At.Compare(b.At) })
	}
	s.Review.Entries = list
	return nil
}

func foldCorrective(s *State, f Fact) error {
	var b CorrectiveBody
	var t PlainText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Review.Written++
	id := cmp.Or(b.Corrective, fmt.Sprintf("CA-%d", len(s.Review.Corrective)+1))
	s.Review.Corrective = append(s.Review.Corrective, Corrective{ID: id, Text: t.Text, Owner: b.Owner, Due: b.Due, State: CorrectiveOpen, At: f.Recorded, Fact: f.ID})
	return nil
}

func foldCorrectiveMoved(s *State, f Fact) error {
	var b CorrectiveBody
	var t PlainText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	i := slices.IndexFunc(s.Review.Corrective, func(c Corrective) bool { return c.ID == b.Corrective })
	if i < 0 {
		return fmt.Errorf("incident: fact %s moves the corrective action %s, which is not there", f.ID, b.Corrective)
	}
	list := slices.Clone(s.Review.Corrective)
	c := &list[i]
	if err := correctiveMachine.check(f, c.ID, c.State, b.State); err != nil {
		return err
	}
	if c.State != b.State {
		c.At = f.Recorded
		if c.State == CorrectiveDone {
			c.Reopened++
		}
	}
	c.State, c.Note = b.State, t.Text
	c.Owner = cmp.Or(b.Owner, c.Owner)
	if !b.Due.IsZero() {
		c.Due = b.Due
	}
	s.Review.Written++
	s.Review.Corrective = list
	return nil
}

func foldPublished(s *State, f Fact) error {
	var b PublishedBody
	if err := header(f, &b); err != nil {
		return err
	}
	p := Publication{Version: cmp.Or(b.Version, VersionInternal), N: max(b.N, 1), Digest: b.Digest, Kept: b.Kept,
		By: f.Principal, At: f.Recorded, Fact: f.ID, Written: s.Review.Written}
	if p.Version == VersionInternal && s.Review.PublishedAt.IsZero() {
		s.Review.PublishedBy, s.Review.PublishedAt = f.Principal, f.Recorded
	}
	s.Review.Published = append(s.Review.Published, p)
	return nil
}
