package org

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// MaxErased is how many pseudonyms one erasure names: they stand in one sealed part.
const MaxErased = 1_000

// The reasons of erasures.
const (
	ErasureTaken incident.Reason = "erasure_ordered"
	UnderHold    incident.Reason = "under_hold"
	StalePlan    incident.Reason = "stale_plan"
)

// Erasure is what was taken out of the table of access events, for good.
type Erasure struct {
	ID        string             `json:"id"` // ERS-1, …
	Fact      string             `json:"fact"`
	Merchant  string             `json:"merchant"`
	All       bool               `json:"all"`                 // every row of the merchant
	Customers []string           `json:"customers,omitempty"` // pseudonyms, in hexadecimal digits
	Number    int                `json:"number"`              // of pseudonyms, also when they were withheld
	Key       string             `json:"key,omitempty"`       // name of the merchant's pseudonym key that is destroyed with it
	UpTo      int64              `json:"up_to"`               // newest position of the log that it is about
	At        time.Time          `json:"at"`                  // what happened before is left out also when it comes in later
	By        incident.Principal `json:"by"`
	Basis     string             `json:"basis,omitempty"`
	Reason    string             `json:"reason,omitempty"`
}

type (
	erasureBody struct {
		Erasure   string `json:"erasure"`
		All       bool   `json:"all,omitempty"`
		Customers int    `json:"customers,omitempty"` // how many
		Key       string `json:"key,omitempty"`
		UpTo      int64  `json:"up_to"`
	}
	// erasurePart is sealed under the merchant's key. Who may not read it learns how many were erased.
	erasurePart struct {
		Basis     string   `json:"basis"`
		Reason    string   `json:"reason"`
		Customers []string `json:"customers,omitempty"`
	}
)

// orderErasure takes an owner, because nothing brings the rows back, and refuses what a hold covers.
func (d decider) orderErasure(c OrderErasure) (incident.Decision, error) {
	if err := firstError(d.owner("erasing access events"), checkMerchant("merchant", c.Merchant), checkText("basis", c.Basis, 500), checkText("reason", c.Reason, 2000)); err != nil {
		return incident.Decision{}, err
	}
	switch {
	case c.All && len(c.Customers) > 0:
		return incident.Decision{}, invalid("customers", "are named although all of the merchant is to go: leave one of the two out")
	case !c.All && len(c.Customers) == 0:
		return incident.Decision{}, invalid("customers", "are none, and not all of the merchant is asked for")
	case len(c.Customers) > MaxErased:
		return incident.Decision{}, invalid("customers", fmt.Sprintf("are more than %d: erase in parts", MaxErased))
	case c.Key != "" && !c.All:
		return incident.Decision{}, invalid("key", "is named although not all of the merchant is to go: the others would not be known any more")
	case c.Key != "" && !isPseudonym(c.Key):
		return incident.Decision{}, invalid("key", "is no name of a key")
	case c.UpTo < 0:
		return incident.Decision{}, invalid("up_to", "is negative")
	}
	for _, p := range c.Customers {
		if !isPseudonym(p) {
			return incident.Decision{}, invalid("customers", "hold what is no pseudonym: 32 hexadecimal digits are one")
		}
	}
	if len(c.Held) > 0 {
		missing := make([]incident.Missing, 0, len(c.Held))
		for _, h := range c.Held {
			until := "until it is released"
			if !h.Until.IsZero() {
				until = "until " + h.Until.UTC().Format(time.RFC3339)
			}
			if h.Incident == "" {
				missing = append(missing, incident.Missing{What: "a hold of an incident that is known to some people only keeps what is about this merchant", Do: "wait: whoever set it releases it, or it ends"})
				continue
			}
			missing = append(missing, incident.Missing{What: fmt.Sprintf("%s of %s keeps what is about this merchant, %s", h.Hold, h.Incident, until),
				Do: fmt.Sprintf("wait for its end, or release it: tocsin incident release-hold %s %s", h.Incident, h.Hold)})
		}
		return incident.Decision{}, refuse(UnderHold, "a hold keeps these access events", missing...)
	}
	if c.Plan != nil {
		if missing := c.Plan.stale(d.s, c, d.ctx.Now); len(missing) > 0 {
			return incident.Decision{}, refuse(StalePlan, "the plan does not say any more what would be erased", missing...)
		}
	}
	id := fmt.Sprintf("ERS-%d", len(d.s.Erasures)+1)
	f := incident.Fact{
		Kind: ErasureOrdered, Chain: Chain, Env: d.ctx.Env, Principal: d.ctx.Actor.Principal,
		Occurred: d.ctx.Now, Recorded: d.ctx.Now, Versions: d.ctx.Versions, Causes: d.ctx.Causes,
		Body:  encode(erasureBody{Erasure: id, All: c.All, Customers: len(c.Customers), Key: c.Key, UpTo: c.UpTo}),
		Parts: []incident.Part{{Merchant: c.Merchant, Body: encode(erasurePart{Basis: c.Basis, Reason: c.Reason, Customers: sorted(c.Customers)})}},
	}
	return one(ErasureTaken, f)
}

// isPseudonym says whether a text is 32 hexadecimal digits in lower case, as names of keys are too.
func isPseudonym(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == 16 && strings.ToLower(s) == s
}

func foldErasure(s *State, f incident.Fact) error {
	var b erasureBody
	if err := json.Unmarshal(f.Body, &b); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if len(f.Parts) == 0 || f.Parts[0].Merchant == "" {
		return fmt.Errorf("an erasure without the merchant's part")
	}
	e := Erasure{ID: b.Erasure, Fact: f.ID, Merchant: f.Parts[0].Merchant, All: b.All, Number: b.Customers, Key: b.Key, UpTo: b.UpTo, At: f.Recorded, By: f.Principal}
	if raw := f.Parts[0].Body; len(raw) > 0 {
		var p erasurePart
		if err := json.Unmarshal(raw, &p); err != nil {
			return fmt.Errorf("part 0: %w", err)
		}
		e.Basis, e.Reason, e.Customers = p.Basis, p.Reason, p.Customers
	}
	if len(e.Customers) == 0 {
		// Whose rows they were stands in a part whose key was destroyed, with everything of the merchant:
		// rather all of it stays away than that somebody comes back.
		e.All = true
	}
	s.Erasures = append(slices.Clip(s.Erasures), e)
	return nil
}
