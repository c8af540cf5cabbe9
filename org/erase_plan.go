package org

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// PlanLasts is how long a plan of an erasure can be confirmed.
const PlanLasts = time.Hour

// ErasurePlan is what was true when somebody was shown what an erasure would do. Rows of before leave
// the access log by an erasure or with their day alone, and both are facts: so the same numbers of them
// and the same people mean that the plan's count is still the count of that position. It keeps a slip
// from being carried out, and nobody from erasing: whoever may erase may make a plan.
type ErasurePlan struct {
	UpTo    int64     `json:"up_to"`   // position of the log that was counted up to
	At      time.Time `json:"at"`      // whole seconds
	Erased  int       `json:"erased"`  // erasures before it
	Removed int       `json:"removed"` // days removed before it
	Who     string    `json:"who"`     // digest of merchant, pseudonyms and key
}

// PlanErasure is the plan of a command. The command's position is that of the count.
func PlanErasure(s *State, c OrderErasure, now time.Time) ErasurePlan {
	p := ErasurePlan{UpTo: c.UpTo, At: now.UTC().Truncate(time.Second), Who: whoErased(c)}
	p.Erased, p.Removed = takenBefore(s)
	return p
}

func takenBefore(s *State) (erased, removed int) {
	if s == nil {
		return 0, 0
	}
	for _, e := range s.Epochs {
		if e.Pruned != nil {
			removed++
		}
	}
	return len(s.Erasures), removed
}

// whoErased is a digest of whose rows go. Pseudonyms are none of a customer's own identifiers, and no
// digest of few of them leads back to one without the merchant's key.
func whoErased(c OrderErasure) string {
	h := sha256.New()
	fmt.Fprintf(h, "tocsin-erasure/v1\n%q\n%t\n%s\n", c.Merchant, c.All, c.Key)
	for _, p := range sorted(c.Customers) {
		fmt.Fprintln(h, p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// String is the plan's id, which ParseErasurePlan reads.
func (p ErasurePlan) String() string {
	return fmt.Sprintf("plan-%d-%d-%d-%d-%s", p.UpTo, p.At.Unix(), p.Erased, p.Removed, p.Who)
}

// ParseErasurePlan reads the id of a plan.
func ParseErasurePlan(id string) (ErasurePlan, error) {
	var p ErasurePlan
	var at int64
	if _, err := fmt.Sscanf(id, "plan-%d-%d-%d-%d-%s", &p.UpTo, &at, &p.Erased, &p.Removed, &p.Who); err == nil {
		p.At = time.Unix(at, 0).UTC()
	}
	if p.String() != id { // also what Sscanf takes and String never writes
		return ErasurePlan{}, invalid("plan", "is no id of a plan")
	}
	return p, nil
}

// stale says why a plan cannot be confirmed any more.
func (p ErasurePlan) stale(s *State, c OrderErasure, now time.Time) (missing []incident.Missing) {
	because := func(what string) {
		missing = append(missing, incident.Missing{What: what, Do: "look at a new plan: tocsin access erase --dry-run"})
	}
	if whoErased(c) != p.Who {
		because("it was made for others than are named now, or this merchant got another key since")
	}
	erased, removed := takenBefore(s)
	if erased != p.Erased {
		because("something was erased since it was made")
	}
	if removed != p.Removed {
		because("days of the access log were removed since it was made")
	}
	if now.Sub(p.At) > PlanLasts || now.Before(p.At) {
		because(fmt.Sprintf("it was made at %s, and is good for an hour", p.At.Format(time.RFC3339)))
	}
	return missing
}
