package incident

import "slices"

func foldSnapshot(s *State, f Fact) error {
	var b SnapshotBody
	if err := header(f, &b); err != nil {
		return err
	}
	s.Snapshots = append(s.Snapshots, SnapshotOf{Log: b.Log, Size: b.Size, Checkpoint: b.Checkpoint, At: f.Recorded})
	return nil
}

func foldExported(s *State, f Fact) error {
	var b ExportedBody
	var t ExportedText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Exports = append(s.Exports, ExportOf{Digest: b.Digest, Bytes: b.Bytes, Recipient: t.Recipient, By: f.Principal, At: f.Recorded})
	return nil
}

func signedText(f Fact) (*Signed, error) {
	var t PlainText
	if err := text(f, &t); err != nil {
		return nil, err
	}
	return &Signed{By: f.Principal, At: f.Recorded, Text: t.Text, Fact: f.ID}, nil
}

// foldFix also voids the proof of an earlier fix and makes every passed check stale: they spoke of
// the system before the fix.
func foldFix(s *State, f Fact) (err error) {
	s.FixProof = nil
	if s.Fix, err = signedText(f); err != nil {
		return err
	}
	return s.staleChecks(f)
}

func foldFixProof(s *State, f Fact) (err error) {
	s.FixProof, err = signedText(f)
	return err
}

// foldRestored changes nothing: the milestone that is recorded with it says when service returned.
func foldRestored(*State, Fact) error { return nil }

func foldAssessed(s *State, f Fact) error {
	var t AssessedText
	if err := text(f, &t); err != nil {
		return err
	}
	s.Assessment = &Assessment{Vector: t.Vector, RootCause: t.RootCause, Risk: t.Risk, By: f.Principal, At: f.Recorded, Fact: f.ID}
	return nil
}

// staleChecks makes passed checks stale: something changed after them.
func (s *State) staleChecks(f Fact) error {
	for id, c := range s.Checks {
		if c.State != CheckPassed {
			continue
		}
		if err := checkMachine.check(f, id, c.State, CheckStale); err != nil {
			return err
		}
		n := *c
		n.State = CheckStale
		writable(s, inChecks, &s.Checks)[id] = &n
	}
	return nil
}

func foldCheck(s *State, f Fact) error {
	var b CheckBody
	var t ResultText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	c := Check{ID: b.Check}
	if old := s.Checks[b.Check]; old != nil {
		c = *old
	}
	if err := checkMachine.check(f, b.Check, c.State, b.State); err != nil {
		return err
	}
	c.State, c.At, c.Fact, c.Code = b.State, f.Recorded, f.ID, b.Code
	switch f.Kind {
	case KindCheckAsked:
		c.Run, c.Unsure, c.NextTry, c.Observe = b.Run, 0, b.Retry, ""
	case KindCheckAttempted:
		c.Attempts++
		c.Attempted, c.NextTry = b.Effect, b.Retry
	case KindCheckUncertain:
		c.Unsure++
		c.Attempted, c.NextTry = "", b.Retry
	default:
		c.Attempted, c.NextTry, c.Observe = "", b.Retry, t.Proof
	}
	writable(s, inChecks, &s.Checks)[b.Check] = &c
	return nil
}

func foldPage(s *State, f Fact) error {
	var b PageBody
	if err := header(f, &b); err != nil {
		return err
	}
	p := Page{ID: b.Page, Duty: b.Duty, Role: b.Role, Due: b.Due, N: b.N, At: f.Recorded, For: b.For}
	if old := s.Pages[b.Page]; old != nil {
		p = *old
	}
	if err := pageMachine.check(f, b.Page, p.State, b.State); err != nil {
		return err
	}
	p.State, p.Code = b.State, b.Code
	switch f.Kind {
	case KindPageOwed:
		s.escalated(f, b)
		if n, ok := p.Reaches(); ok && s.Reach != nil {
			s.Reach = &Reach{By: s.Reach.By, Last: max(n, s.Reach.Last)}
		}
	case KindPageAttempted:
		p.Attempts++
		p.Attempted, p.NextTry, p.To = b.Effect, b.Retry, b.To
	case KindPageUncertain:
		p.Unsure++
		p.Attempted, p.NextTry = "", b.Retry
	default:
		p.Attempted, p.NextTry = "", b.Retry
	}
	writable(s, inPages, &s.Pages)[b.Page] = &p
	return nil
}

// escalated notes on every instance the page is about that it was called for.
func (s *State) escalated(f Fact, b PageBody) {
	duties := s.writableDuties()
	var from, to *Standing
	recipients(f, b.Party, func(recipient string, _ Part) {
		key := dutyKey(b.Duty, recipient, b.Round)
		old := duties[key]
		if old == nil {
			return
		}
		if to == nil || from != old.Standing {
			next := *old.Standing
			next.Escalated = append(slices.Clip(next.Escalated), b.Page)
			from, to = old.Standing, &next
		}
		d := *old
		d.Standing = to
		duties[key] = &d
	})
}
