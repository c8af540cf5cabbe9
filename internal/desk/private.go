package desk

import (
	"context"
	"slices"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

// readerKey is the context key of who reads.
type readerKey struct{}

// As marks a context with the person on whose behalf the desk is read. Whatever answers people marks
// every context, also one of a stranger, with a zero Caller: then a private incident is there for the
// people on its list alone. A context without a mark is the desk's own work, which sees everything.
func As(ctx context.Context, who Caller) context.Context {
	return context.WithValue(ctx, readerKey{}, who)
}

// asDesk takes the mark off: what the desk does for everybody does not depend on who asked for it.
func asDesk(ctx context.Context) context.Context {
	return context.WithValue(ctx, readerKey{}, nil)
}

// reader is who a context is marked with. The record of a finished drill is read by whoever has its
// folder, so nothing in it is kept from them.
func (d *Desk) reader(ctx context.Context) (Caller, bool) {
	who, marked := ctx.Value(readerKey{}).(Caller)
	return who, marked && !d.o.ReadOnly
}

func (d *Desk) sees(ctx context.Context, s *incident.State) bool {
	who, marked := d.reader(ctx)
	return !marked || incident.Sees(s, who.Principal, who.Access)
}

// seesRow is sees of a row of the board.
func (d *Desk) seesRow(ctx context.Context, b BoardRow) bool {
	who, marked := d.reader(ctx)
	return !marked || !b.Private || who.Access == incident.Service || slices.Contains(b.Readers, who.Principal)
}

// seen decodes rows of the board and leaves out those that the reader may not know of.
func (d *Desk) seen(ctx context.Context, found []ledger.Row) ([]BoardRow, error) {
	rows := make([]BoardRow, 0, len(found))
	for _, row := range found {
		b, err := d.decodeBoardRow(row)
		if err != nil {
			return nil, err
		}
		if d.seesRow(ctx, b) {
			rows = append(rows, b)
		}
	}
	return rows, nil
}

// watches reports whether a commit to some chains is anything that the reader may know of.
func (d *Desk) watches(ctx context.Context, chains []string) bool {
	if _, marked := d.reader(ctx); !marked {
		return true
	}
	for _, chain := range chains {
		if chain == OrgChain {
			return true
		}
		if _, err := d.Incident(context.WithoutCancel(ctx), chain); err == nil {
			return true
		}
	}
	return false
}

// holders is who is called for a page of an incident. Of a private one that is nobody but the people on
// its list: where no holder of the role is on it, the roles that the duty's escalation names are asked
// in turn, and in the end everybody on the list.
func (d *Desk) holders(s *incident.State, o *org.State, p *incident.Page) []*org.Person {
	if len(p.For) > 0 {
		return reading(s, o.Named(p.For))
	}
	list := reading(s, o.Holders(p.Role, s.Roles[p.Role]))
	if n, ok := p.Reaches(); ok && (n >= incident.ReachAll || !slices.ContainsFunc(list, func(p *org.Person) bool { return p.Email != "" })) {
		list = reading(s, o.Acting())
	}
	if s.Private == nil || len(list) > 0 {
		return list
	}
	for _, next := range dutyDecl(d.program(s), p.Duty).Late {
		if list = reading(s, o.Holders(next.Role, s.Roles[next.Role])); len(list) > 0 {
			return list
		}
	}
	var all []incident.Principal
	for _, r := range s.Private.Readers {
		all = append(all, r.Person)
	}
	return reading(s, o.Named(all))
}

// reading leaves out who may not know of the incident.
func reading(s *incident.State, list []*org.Person) []*org.Person {
	return slices.DeleteFunc(list, func(p *org.Person) bool { return !incident.Sees(s, p.Principal(), p.Access) })
}
