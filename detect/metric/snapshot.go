package metric

import (
	"errors"

	"github.com/tocsin-ir/tocsin/detect/saved"
)

// version changes with any change of what a snapshot means.
const version = 1

var errLarger = errors.New("metric: the snapshot was taken with larger options: learn again from the rows")

// fits reports whether a state was taken with options no larger than these.
func (o Options) fits(s *state) bool {
	return len(s.Spoken) <= o.Spell && len(s.Views[0].Sorted) <= o.Remember
}

// Snapshot saves everything learned, with the position in the log of the newest row observed. A
// detector restored from it and shown the rows behind that position scores them as this one would.
func (d *Detector) Snapshot(position int64) ([]byte, error) {
	return saved.Write("metric", version, position, d.s)
}

// Restore replaces what the detector knows and gives the position to go on behind. On an error the
// detector is left as it was, and the past has to be learned again from the rows.
func (d *Detector) Restore(b []byte) (position int64, err error) {
	position, s, err := saved.Read[state]("metric", version, b, "the rows")
	if err == nil && !d.o.fits(&s) {
		err = errLarger
	}
	if err != nil {
		return 0, err
	}
	d.s = s
	return position, nil
}
