package scope

import (
	"errors"
	"testing"
)

// A slip of the pen must not be answered with nobody affected.
//
// promise: INV-1
func TestAKindOrAnActionThatNoEventHasIsRefused(t *testing.T) {
	for _, x := range []struct {
		q     Query
		field string
	}{
		{Query{Kind: "pii_access"}, ""},
		{Query{Kind: "pii_acces"}, "kind"},
		{Query{Kind: "pii_access", Any: []Clause{{Action: []string{"export", "READ"}}}}, "any[0].action"},
		{Query{Kind: "pii_access", Not: []Clause{{Actor: []string{"x"}}, {Action: []string{"copy"}}}}, "not[1].action"},
		{Query{Kind: "cloud_audit", Any: []Clause{{Action: []string{"copy"}}}}, ""},
	} {
		err := Known(x.q)
		var field *InvalidError
		if x.field == "" && err != nil || x.field != "" && (!errors.As(err, &field) || field.Field != x.field) {
			t.Errorf("%+v: %v, want field %q", x.q, err, x.field)
		}
	}
}
