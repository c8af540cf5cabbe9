package metric

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// saved is the shape of a snapshot. Version changes with any change of meaning.
type saved struct {
	Version  int
	Position int64
	State    state
}

const version = 1

// Snapshot saves everything learned, with the position in the log of the newest row observed. A
// detector restored from it and shown the rows behind that position scores them as this one would.
func (d *Detector) Snapshot(position int64) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(saved{version, position, d.s}); err != nil {
		return nil, fmt.Errorf("metric: snapshot: %w", err)
	}
	return b.Bytes(), nil
}

// Restore replaces what the detector knows and gives the position to go on behind. On an error the
// detector is left as it was, and the past has to be learned again from the rows.
func (d *Detector) Restore(b []byte) (position int64, err error) {
	var s saved
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&s); err != nil {
		return 0, fmt.Errorf("metric: the snapshot cannot be read: learn again from the rows: %w", err)
	}
	if s.Version != version {
		return 0, fmt.Errorf("metric: the snapshot has version %d and this program reads %d: learn again from the rows", s.Version, version)
	}
	if len(s.State.Spoken) > d.o.Spell || len(s.State.Views[0].Sorted) > d.o.Remember {
		return 0, fmt.Errorf("metric: the snapshot was taken with larger options: learn again from the rows")
	}
	d.s = s.State
	return s.Position, nil
}
