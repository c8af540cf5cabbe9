package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// raisedBySupplier: a person opened it, with the supplier's own message as what raised it.
func (b *bench) raisedBySupplier() error {
	opened, signals := b.export.of("incident.opened"), b.export.of("signal.linked")
	if len(opened) == 0 || !strings.HasPrefix(opened[0].Principal, "person:") {
		return errors.New("no person opened it")
	}
	for _, f := range signals {
		var s struct{ Signal struct{ Subject string } }
		if f.own(&s); strings.HasPrefix(s.Signal.Subject, "supplier:") {
			return nil
		}
	}
	return errors.New("the evidence does not say that a supplier raised it")
}

// onlyTheNamed: the merchants that the supplier named are those that were told, and no others.
func (b *bench) onlyTheNamed() error {
	_, named := b.truthBy()
	for m := range b.told() {
		if named[m] == nil {
			return fmt.Errorf("%s was told, and the supplier does not name it", m)
		}
	}
	return nil
}

// contentWithoutNumbers: each merchant's mail has the items as they were written and nothing of any
// other merchant. There are no numbers: our own log shows nothing of what the supplier lost.
func (b *bench) contentWithoutNumbers(p *row) error {
	duty, items, ok := b.dutyFor("NOT-2")
	if !ok || len(items) == 0 {
		return errors.New("the policy promises no content")
	}
	notice, content := b.written(duty)
	told, others := b.told(), b.strangers()
	if len(told) == 0 {
		return errors.New("there is no mail to a merchant")
	}
	for id, l := range told {
		for _, item := range items {
			if content[item] == "" || !strings.Contains(flat(l.text), flat(content[item])) {
				return fmt.Errorf("%s does not say %s", l.File, item)
			}
		}
		for _, n := range customersLine.FindAllStringSubmatch(l.text, -1) {
			return fmt.Errorf("%s counts %s customers, and nobody has counted them", l.File, n[1])
		}
		if who := others.in(l.text+"\n"+l.subject+"\n"+l.header.Get("To"), b.merchants[id]); who != "" {
			return fmt.Errorf("%s holds something of %s", l.File, who)
		}
	}
	approved := slices.IndexFunc(b.export.facts, func(f fact) bool {
		var body struct{ Notice string }
		f.body(&body)
		return f.Kind == "notice.approved" && body.Notice == notice
	})
	if approved < 0 {
		return errors.New("the evidence holds no approval of the notice")
	}
	p.prove(b.export.facts[approved])
	p.Trigger = "person"
	return nil
}
