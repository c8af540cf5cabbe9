package table

import (
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// The forms in which a file has the id of an event: as text in the column event, or, of ids of 128 bits
// in their canonical spelling, as six bytes of time and ten of chance. Most events have such an id, and
// its text was a third of what an event weighed.
const (
	asText int32 = iota
	asULID
	asUUID
)

// pack brings the id of a row to the form in which it is written.
func (r *Row) pack() {
	var raw [16]byte
	switch form := formOf(r.ID, &raw); form {
	case asText:
		return
	default:
		r.ID, r.IDForm = "", form
	}
	copy(r.IDRest[:], raw[6:])
	// Its milliseconds are mostly those of the event.
	r.IDAfter = int64(binary.BigEndian.Uint64(append([]byte{0, 0}, raw[:6]...))) - floorDiv(r.Time, 1000)
}

func formOf(id string, raw *[16]byte) int32 {
	switch len(id) {
	case ulid.EncodedSize:
		if u, err := ulid.ParseStrict(id); err == nil && u.String() == id {
			*raw = u
			return asULID
		}
	case 36:
		if u, err := uuid.Parse(id); err == nil && u.String() == id {
			*raw = u
			return asUUID
		}
	}
	return asText
}

// unpack brings the id of a row back to text.
func (r *Row) unpack() {
	if r.IDForm == asText {
		return
	}
	var raw [16]byte
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(r.IDAfter+floorDiv(r.Time, 1000)))
	copy(raw[:6], at[2:])
	copy(raw[6:], r.IDRest[:])
	if r.IDForm == asULID {
		r.ID = ulid.ULID(raw).String()
	} else {
		r.ID = uuid.UUID(raw).String()
	}
	r.IDForm, r.IDAfter, r.IDRest = 0, 0, [restLen]byte{}
}

// restLen is how many bytes of an id of 128 bits are chance.
const restLen = 10
