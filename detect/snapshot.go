package detect

import "github.com/tocsin-ir/tocsin/detect/saved"

// version changes with any change of what a snapshot means.
const version = 1

// parts are the snapshots of all parts, true for one position.
type parts struct {
	Own                   state
	Usual, Rules, Numbers []byte
}

// Snapshot saves everything learned, open windows and alarms too, with the position that was reached.
func (d *Detector) Snapshot() ([]byte, error) {
	p := parts{Own: d.s}
	var err error
	if p.Usual, err = d.usual.Snapshot(d.s.Position); err != nil {
		return nil, err
	}
	if p.Rules, err = d.rules.Snapshot(); err != nil {
		return nil, err
	}
	if p.Numbers, err = d.numbers.Snapshot(d.s.Position); err != nil {
		return nil, err
	}
	return saved.Write("detect", version, d.s.Position, p)
}

// Restore gives a new detector what another one of the same options learned, and the position to go
// on behind. Shown the entries behind it, it reports what the other would have: a restart leaves no
// gap and fires nothing twice. A rule that was changed since begins anew. After an error the detector
// is to be thrown away, and the past has to be learned again from the log.
func (d *Detector) Restore(b []byte) (position int64, err error) {
	position, p, err := saved.Read[parts]("detect", version, b, "the access log")
	if err != nil {
		return 0, err
	}
	if _, err := d.usual.Restore(p.Usual); err != nil {
		return 0, err
	}
	if _, err := d.rules.Restore(p.Rules); err != nil {
		return 0, err
	}
	if _, err := d.numbers.Restore(p.Numbers); err != nil {
		return 0, err
	}
	d.s = p.Own
	d.s.mend()
	return position, nil
}
