package detect

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// saved is the shape of a snapshot. Version changes with any change of meaning.
type saved struct {
	Version int
	Stats   Stats
	Known   map[string]*past
}

const version = 1

// Snapshot saves everything learned. A detector restored from it goes on as this one would.
func (d *Detector) Snapshot() ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(saved{version, d.stats, d.known}); err != nil {
		return nil, fmt.Errorf("detect: snapshot: %w", err)
	}
	return b.Bytes(), nil
}

// Restore replaces what the detector knows. On an error it is left as it was, and the past has to
// be learned again from the events.
func (d *Detector) Restore(b []byte) error {
	var s saved
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&s); err != nil {
		return fmt.Errorf("detect: the snapshot cannot be read: learn again from the events: %w", err)
	}
	if s.Version != version {
		return fmt.Errorf("detect: the snapshot has version %d and this program reads %d: learn again from the events", s.Version, version)
	}
	for _, p := range s.Known {
		p.mend()
	}
	d.stats, d.known = s.Stats, s.Known
	if d.known == nil {
		d.known = map[string]*past{}
	}
	return nil
}

// mend makes the maps that gob leaves out when they are empty.
func (p *past) mend() {
	for _, s := range []*distinct{&p.IDs, &p.Customers, &p.Merchants} {
		if s.Last == nil {
			s.Last = map[uint64]int64{}
		}
		if s.Per == nil {
			s.Per = map[int64]int32{}
		}
	}
	for _, s := range []*sum{&p.Records, &p.Bytes, &p.Requests, &p.Refusals} {
		if s.Per == nil {
			s.Per = map[int64]int64{}
		}
	}
	for _, m := range []*map[string]span{&p.Addresses, &p.Agents} {
		if *m == nil {
			*m = map[string]span{}
		}
	}
	if p.Alarms == nil {
		p.Alarms = map[string]alarm{}
	}
}
