package accesslog

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/format"
	"github.com/tocsin-ir/tocsin/leaf"
)

// invalid is a refusal of one event: the field and the reason, never the value.
type invalid = format.Invalid

const maxCount = format.MaxCount

// errNewMerchant says that an event has to wait until its merchant has a key.
var errNewMerchant = errors.New("accesslog: the merchant has no key yet")

// admission turns the events of one batch into their stored form, one after another. It is reused
// from batch to batch, because what it holds is most of what a batch would allocate.
type admission struct {
	s        *Store
	decoder  format.Decoder
	src      Source
	received time.Time
	stamp    string
	newest   time.Time // of the source, as this batch goes on
	idBase   []byte
	source   [4]byte // hash of its name, for the index of ids
	event    leaf.Event
	fresh    map[string]bool // merchants without a key
	wait     bool            // an event of a merchant without a key is put off
	drop     func(field string)
	plain    []byte // of the event at hand
}

var admissions = sync.Pool{New: func() any { return new(admission) }}

// admit appends the canonical form of an event to b and says its id and time. The error is an
// *invalid, errNewMerchant, or what the keyring said.
func (a *admission) admit(b []byte, w *format.Event, offset int) ([]byte, string, time.Time, error) {
	s, src, e := a.s, a.src, &a.event
	if w.Kind == "" {
		w.Kind = PIIAccess
	}
	if w.App == "" {
		w.App = src.App
	}
	if w.Env == "" {
		w.Env = src.Env
	}
	if w.Env == "" {
		w.Env = s.o.Env
	}
	if src.App != "" && w.App != src.App {
		return b, "", w.Time, &invalid{Field: "app", Reason: "is not the app this key belongs to"}
	}
	w.Forgive(a.drop)
	if err := w.Check(); err != nil {
		return b, "", w.Time, err
	}
	*e = leaf.Event{
		Time: w.Time, Kind: w.Kind, Actor: leaf.Actor{Type: w.ActorType}, Action: s.scrub.text(w.Action), Endpoint: s.scrub.text(w.Endpoint),
		Purpose: s.scrub.text(w.Purpose), Bytes: w.Bytes, Outcome: w.Outcome, Ingest: src.Name, Supplied: src.Supplied,
		Received: a.received, Source: leaf.Origin{UserAgent: s.scrub.text(w.Agent)},
		Subjects: e.Subjects[:0], DataTypes: e.DataTypes[:0],
	}
	if err := a.names(w); err != nil {
		return b, "", w.Time, err
	}
	if a.wait && len(w.Subjects) > 0 && !s.pseudonyms.known(e.Merchant) {
		a.fresh[strings.Clone(e.Merchant)] = true
		return b, "", w.Time, errNewMerchant
	}
	if ip, err := netip.ParseAddr(w.IP); err == nil {
		if e.Source.IP = w.IP; ip.Is4In6() || ip.Zone() != "" || ip.Is6() {
			e.Source.IP = ip.Unmap().WithZone("").String()
		}
	}
	for _, name := range w.DataTypes {
		if s.scrub.found(name) {
			return b, "", w.Time, &invalid{Field: "data_types", Reason: "hold an identifier of a person: name kinds of data, such as customer.email"}
		}
	}
	e.DataTypes = append(e.DataTypes, w.DataTypes...)
	slices.Sort(e.DataTypes)
	e.DataTypes = slices.Compact(e.DataTypes)
	if err := a.subjects(w); err != nil {
		return b, "", w.Time, err
	}
	if e.Records = w.Records; e.Records < 0 {
		if e.Records = int64(counted(w.Subjects)); e.Records == 0 && w.Kind == PIIAccess && w.Outcome != "denied" && w.Outcome != "error" {
			e.Records = 1
		}
	}
	a.times(e)
	if e.ID == "" {
		e.ID = madeID(a.idBase, offset)
	}
	return a.write(b, w)
}

// write appends the event when it is small enough.
func (a *admission) write(b []byte, w *format.Event) ([]byte, string, time.Time, error) {
	e := &a.event
	e.Attributes = nil
	if v := w.Attributes; v != nil {
		plain, err := a.s.scrub.value(a.plain[:0], v)
		if err != nil {
			return b, "", e.Time, &invalid{Field: "attributes", Reason: "hold a number that has no exact form"}
		}
		if a.plain = plain; string(plain) != "null" && string(plain) != "{}" {
			e.Attributes = plain
		}
	}
	n := len(b)
	b = appendCanonical(b, e, a.stamp)
	if len(b)-n > MaxEvent {
		return b[:n], "", e.Time, &invalid{Field: "event", Reason: fmt.Sprintf("is larger than %d KiB after normalisation: name fewer subjects and give the number in records", MaxEvent>>10)}
	}
	return b, e.ID, e.Time, nil
}

// times sets what the door says about the event's clock.
func (a *admission) times(e *leaf.Event) {
	if e.Time.Sub(a.received) > skewBeyond {
		e.Claimed, e.Time, e.Skewed = stamp(e.Time), a.received, true
	}
	if a.newest.IsZero() || e.Time.After(a.newest) {
		a.newest = e.Time
	}
	e.Late = a.newest.Sub(e.Time) > lateAfter
}

// subjects makes the pseudonyms. A subject without an identifier, as a guest's order without an
// e-mail address has it, names nobody and is left out; records still counts it, so a scope says
// "at least". A region that holds an identifier is none.
func (a *admission) subjects(w *format.Event) error {
	for _, sub := range w.Subjects {
		normal := normalise(sub.Kind, sub.ID)
		if normal == "" {
			a.drop("subjects.id")
			continue
		}
		if a.s.scrub.found(sub.Region) {
			a.drop("subjects.region")
			sub.Region = ""
		}
		token, err := a.s.pseudonyms.token(a.event.Merchant, sub.Kind, normal)
		if err != nil {
			return err
		}
		a.event.Subjects = append(a.event.Subjects, leaf.Subject{Kind: sub.Kind, Region: sub.Region, Token: token})
	}
	return nil
}

// names takes over the fields that name things. One that holds an identifier of a person, such as
// a session that is called after an e-mail address, becomes a pseudonym as a whole, so that equal
// ones stay equal. Who works for the vendor or a cloud (staff, services) keeps the name they log in
// with: an investigation is about what they did.
func (a *admission) names(w *format.Event) error {
	e := &a.event
	for _, f := range [...]struct {
		to   *string
		from string
		kept bool
	}{
		{&e.ID, w.ID, false}, {&e.App, w.App, false}, {&e.Env, w.Env, false}, {&e.Credential, w.Credential, w.ActorType == "service"},
		{&e.Session, w.Session, false}, {&e.Merchant, w.Merchant, false}, {&e.Store, w.Store, false},
		{&e.Actor.ID, w.ActorID, w.ActorType == "staff" || w.ActorType == "service"},
	} {
		*f.to = f.from
		if f.kept || f.to == &e.ID && random(f.from) {
			continue
		}
		if a.s.scrub.found(f.from) {
			token, err := a.s.pseudonyms.token("", "name", f.from)
			if err != nil {
				return err
			}
			*f.to = "masked_" + token
		}
	}
	return nil
}

// random says whether an id is a UUID, with or without hyphens, or a ULID. One in some hundred has
// digits that look like those of a card, and an app has to find an access by the id it gave out.
func random(id string) bool {
	switch len(id) {
	case 26:
		return strings.Trim(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == "" && strings.ContainsAny(id, "ABCDEFGHJKMNPQRSTVWXYZ")
	case 32, 36:
		for i := 0; i < len(id); i++ {
			c := id[i]
			if hyphen := len(id) == 36 && (i == 8 || i == 13 || i == 18 || i == 23); hyphen != (c == '-') {
				return false
			} else if !hyphen && (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
		return strings.ContainsAny(id, "abcdefABCDEF")
	}
	return false
}

// counted is the number of customers an event names; see tally.Customers.
func counted(list []format.Subject) int {
	for _, kind := range subjectKinds {
		n := 0
		for _, s := range list {
			if s.Kind == kind {
				n++
			}
		}
		if n > 0 {
			return n
		}
	}
	return 0
}

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
