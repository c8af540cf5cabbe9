package evidence

import (
	"time"

	"github.com/tocsin-ir/tocsin/ledger"
)

// FactOf makes an export's fact from a record and its parts as ledger.Disclose opened them.
// Recorded is the fact's own time; it is shown while the fact is pending.
func FactOf(r ledger.Record, parts []ledger.Disclosed, recorded time.Time) Fact {
	f := Fact{ID: r.ID, Header: r.Header, Hash: r.Hash, Anchor: r.Anchor, Recorded: recorded}
	for _, p := range parts {
		part := Part{Merchant: p.Merchant, Index: p.Index, Commit: p.Commit}
		if !p.Withheld {
			part.Salt, part.Body = p.Salt, p.Body
		}
		f.Parts = append(f.Parts, part)
	}
	return f
}
