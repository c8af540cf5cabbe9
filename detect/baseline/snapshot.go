package baseline

import "github.com/tocsin-ir/tocsin/detect/saved"

// version changes with any change of what a snapshot means.
const version = 2

// Snapshot saves everything learned, open windows and alarms too, with the position in the log of
// the newest event observed.
func (d *Detector) Snapshot(position int64) ([]byte, error) {
	return saved.Write("baseline", version, position, d.s)
}

// Restore replaces what the detector knows and gives the position to go on behind. Shown the events
// behind it, the detector reports what it would have reported: a restart leaves no gap and, because
// an alarm that runs is in the snapshot, fires nothing twice. On an error the detector is left as it
// was, and the past has to be learned again from the events.
func (d *Detector) Restore(b []byte) (position int64, err error) {
	position, s, err := saved.Read[state]("baseline", version, b, "the events")
	if err != nil {
		return 0, err
	}
	s.mend()
	for k, l := range s.Live {
		e := s.Index[k]
		if l == nil || e == nil {
			delete(s.Live, k)
			continue
		}
		l.E = e // gob wrote it twice; there is one
	}
	for _, k := range s.Known {
		if k.Networks == nil {
			k.Networks = map[uint64]span{}
		}
		if k.Programs == nil {
			k.Programs = map[uint64]span{}
		}
	}
	d.s = s
	return position, nil
}
