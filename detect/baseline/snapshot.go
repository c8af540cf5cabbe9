package baseline

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

// Snapshot saves everything learned, open windows and alarms too, with the position in the log of
// the newest event observed.
func (d *Detector) Snapshot(position int64) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(saved{version, position, d.s}); err != nil {
		return nil, fmt.Errorf("baseline: snapshot: %w", err)
	}
	return b.Bytes(), nil
}

// Restore replaces what the detector knows and gives the position to go on behind. Shown the events
// behind it, the detector reports what it would have reported: a restart leaves no gap and, because
// an alarm that runs is in the snapshot, fires nothing twice. On an error the detector is left as it
// was, and the past has to be learned again from the events.
func (d *Detector) Restore(b []byte) (position int64, err error) {
	var s saved
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&s); err != nil {
		return 0, fmt.Errorf("baseline: the snapshot cannot be read: learn again from the events: %w", err)
	}
	if s.Version != version {
		return 0, fmt.Errorf("baseline: the snapshot has version %d and this program reads %d: learn again from the events", s.Version, version)
	}
	s.State.mend()
	for k, l := range s.State.Live {
		e := s.State.Index[k]
		if l == nil || e == nil {
			delete(s.State.Live, k)
			continue
		}
		l.E = e // gob wrote it twice; there is one
	}
	for _, k := range s.State.Known {
		if k.Networks == nil {
			k.Networks = map[uint64]span{}
		}
		if k.Programs == nil {
			k.Programs = map[uint64]span{}
		}
	}
	d.s = s.State
	return s.Position, nil
}
