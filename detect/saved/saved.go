// Package saved is the form in which detectors keep what they have learned: a version, the position
// in the log that it is true for, and the detector's own state. It is pure.
package saved

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// form is the shape of a snapshot.
type form[T any] struct {
	Version  int
	Position int64
	State    T
}

// Write saves a state. who stands in front of errors; version changes with any change of meaning.
func Write[T any](who string, version int, position int64, state T) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(form[T]{version, position, state}); err != nil {
		return nil, fmt.Errorf("%s: snapshot: %w", who, err)
	}
	return b.Bytes(), nil
}

// Read gives the state back, and the position to go on behind. An error says what to read again.
func Read[T any](who string, version int, b []byte, again string) (position int64, state T, err error) {
	var f form[T]
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&f); err != nil {
		return 0, state, fmt.Errorf("%s: the snapshot cannot be read: learn again from %s: %w", who, again, err)
	}
	if f.Version != version {
		return 0, state, fmt.Errorf("%s: the snapshot has version %d and this program reads %d: learn again from %s", who, f.Version, version, again)
	}
	return f.Position, f.State, nil
}
