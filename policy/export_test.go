package policy

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
)

// DiffTable says which fields of a type have words in a diff.
type DiffTable struct {
	Type   reflect.Type
	Fields map[string]bool
}

func diffTable[T any](of reflect.Type, words []worded[T]) DiffTable {
	t := DiffTable{of, map[string]bool{}}
	for _, w := range words {
		t.Fields[w.field] = true
	}
	return t
}

// DiffTables are all of them.
func DiffTables() []DiffTable {
	return []DiffTable{
		diffTable(reflect.TypeFor[Program](), programWords), diffTable(reflect.TypeFor[Level](), levelWords), diffTable(reflect.TypeFor[Scale](), scaleWords),
		diffTable(reflect.TypeFor[Class](), classWords), diffTable(reflect.TypeFor[EventDecl](), eventWords), diffTable(reflect.TypeFor[FactDecl](), factWords),
		diffTable(reflect.TypeFor[MilestoneDecl](), milestoneWords), diffTable(reflect.TypeFor[Party](), partyWords), diffTable(reflect.TypeFor[Role](), roleWords),
		diffTable(reflect.TypeFor[Duty](), dutyWords), diffTable(reflect.TypeFor[Gate](), gateWords), diffTable(reflect.TypeFor[Override](), overrideWords),
		diffTable(reflect.TypeFor[ActionDecl](), actionWords), diffTable(reflect.TypeFor[CheckDecl](), checkWords), diffTable(reflect.TypeFor[Phase](), phaseWords),
		diffTable(reflect.TypeFor[Contact](), contactWords),
	}
}

// FullProgram has something in every field.
func FullProgram() *Program {
	yes := true
	hours, _ := calendar.ParseHours("Mon-Fri 09:00-17:30", time.UTC)
	hours.Holidays = map[string]bool{"2026-12-25": true}
	one, two := calendar.Length{N: 1, Unit: calendar.Hour}, calendar.Length{N: 2, Unit: calendar.Hour}
	when := func(s string) *Condition { return &Condition{Source: s, Say: "it is so: " + s} }
	clock := Clock{Kind: "after", Span: calendar.Span{Target: &one, Limit: &two}, Anchor: Anchor{Names: []string{"confirmed"}}, Text: "1h..2h after confirmed", When: when("severity == 'high'"), Cell: Cell{By: "severity", Level: "high"}}
	return &Program{
		ID: "full", Title: "Policy", Owner: "Acme", Updated: "2026-11-22", Zone: time.UTC, Hours: hours, Promptly: one, Starts: "detected", Places: []string{"EU"},
		Severities: []Level{{ID: "high", Means: "much", When: when("x")}},
		Scales:     []Scale{{ID: "maturity", Means: "how sure we are", Levels: []Level{{ID: "sure", Means: "we know", When: when("y")}}}},
		Classes:    []Class{{ID: "leak", Means: "data leaked", Signals: []string{"export"}, Promise: []string{"CLS-1"}}},
		Events:     []EventDecl{{ID: "vendor", Means: "a vendor is added", Promise: []string{"NOT-9"}}},
		Facts:      []FactDecl{{ID: "bad", Type: "choice", Values: []string{"a"}, Ask: "Is it?", By: "lead", Due: []Clock{clock}, Say: "it is bad", Presume: &yes}},
		Milestones: []MilestoneDecl{{ID: "told", Means: "all are told", Implies: []string{"detected"}}},
		Parties: []Party{{ID: "merchants", Affected: true, All: true, Broadcast: true, Kind: "controller", Address: []string{"a@example.com"}, Via: []string{"email"},
			Fallback: []string{"phone"}, Contract: "terms/", Name: "merchants"}},
		Roles: []Role{{ID: "lead", Does: "decides", Holder: "?", Holders: []string{"lena"}, Backup: []string{"cto"}}},
		Duties: []Duty{{ID: "tell", Who: "lead", Do: Notify, For: "each", Each: "vendor", Of: []string{"confirmed"}, Task: "run a drill", To: "merchants.affected", Via: []string{"email"},
			When: when("a"), Unless: when("b"), Due: []Clock{clock}, Floor: []Clock{{Kind: "after", Span: calendar.Span{Limit: &two}, Anchor: Anchor{Names: []string{"closed"}}}},
			Every:   &Cadence{Span: calendar.Span{Target: &one, Limit: &two}, Period: "month", Cells: []CadenceCell{{When: when("c"), Span: calendar.Span{Limit: &one}, Cell: Cell{By: "severity", Level: "high"}}}, Text: "1h..2h"},
			Until:   &Anchor{Names: []string{"resolved", "closed"}},
			Content: []string{"what_happened"}, Approve: []string{"lead"}, Late: []Escalation{{After: one, Role: "lead"}}, Promise: []string{"NOT-1"}, Say: "we tell"}},
		Gates: []Gate{{ID: "restore", Guards: "restore", When: when("d"), Need: []*Condition{when("e")}, Sign: []Signature{{N: 1, Role: "lead"}}, Attest: "So it is",
			Override: &Override{Sign: []Signature{{N: 2, Role: "lead"}}, Record: "reason"}, Otherwise: "Not yet.", Promise: []string{"REC-1"}}},
		Actions: []ActionDecl{{ID: "stop", Uses: "switch", Means: "stop the app", When: when("f"), After: []string{"snapshot"}, Approve: []string{"lead"}, Confirm: "dead", Promise: []string{"CON-3"}}},
		Checks:  []CheckDecl{{ID: "shop", Probe: "http", Means: "the shop answers", With: map[string]string{"url": "x"}}},
		Proofs:  []CheckDecl{{ID: "dead", Probe: "connector", Means: "it is refused", With: map[string]string{"url": "x"}}},
		Phases:  []Phase{{ID: "first", Title: "First", Until: "confirmed", Says: []string{"We look."}, Tasks: []string{"nature"}, Promise: []string{"X-1"}}},
		Review:  []string{"timeline"}, Contact: Contact{Email: "a@example.com", URL: "https://example.com"},
		Page: []PageLine{{Text: "We keep backups.", Promise: []string{"PRO-8"}, Tags: []Tag{{Promise: []string{"PRO-8"}}}}},
		Open: []Placeholder{{Text: "[name]"}},
	}
}

// quiet are fields whose alteration alone is no difference, with the reason.
var quiet = map[string]string{
	"Pos": "a place is not a meaning", "Hash": "", "Source": "", "Laws": "", "Tables": "stand in the clocks of the duties", "Text in Clock": "the other fields say it", "Text in Cadence": "as of clocks",
	"Asked": "changes nothing", "Rule in PageLine": "is one of the tags", "Promise in PageLine": "are those of the tags", "Same in PageLine": "where a line breaks", "Block in PageLine": "is rendered from what is compared",
	"Table in PageLine": "as the block", "Rule in Tag": "the rule itself is compared", "Zone in Hours": "is the zone of the policy", "Regions in Hours": "",
}

// EachLeaf calls f with a copy of p for each of its leaves, in which that leaf alone is another.
func EachLeaf(p *Program, f func(path string, altered *Program)) {
	var walk func(path string, at func(*Program) reflect.Value, name string)
	walk = func(path string, at func(*Program) reflect.Value, name string) {
		v := at(p)
		alter := func(change func(reflect.Value)) {
			copied := FullProgram()
			change(at(copied))
			f(path, copied)
		}
		switch v.Kind() {
		case reflect.Pointer:
			if v.Type() == reflect.TypeFor[*time.Location]() {
				alter(func(v reflect.Value) { v.Set(reflect.ValueOf(time.FixedZone("Other", 3600))) })
				return
			}
			if !v.IsNil() {
				if !strings.HasSuffix(path, "]") { // of a list, one is never absent
					alter(func(v reflect.Value) { v.SetZero() })
				}
				walk(path, func(p *Program) reflect.Value { return at(p).Elem() }, name)
			}
		case reflect.Struct:
			t := v.Type()
			for i := range t.NumField() {
				field := t.Field(i)
				_, bare := quiet[field.Name]
				// A level is said by its cell, not by its condition.
				_, in := quiet[field.Name+" in "+t.Name()]
				clocked := name == "When" && field.Name == "Say" && (strings.Contains(path, ".Due[") || strings.Contains(path, ".Cells["))
				if !field.IsExported() || bare || in || clocked || t.Name() == "Condition" && field.Name != "Source" && field.Name != "Say" {
					continue
				}
				walk(path+"."+field.Name, func(p *Program) reflect.Value { return at(p).Field(i) }, field.Name)
			}
		case reflect.Slice:
			if v.Len() > 0 {
				alter(func(v reflect.Value) { v.SetZero() })
			}
			for i := range v.Len() {
				walk(path+"["+strconv.Itoa(i)+"]", func(p *Program) reflect.Value { return at(p).Index(i) }, name)
			}
		case reflect.Array:
			walk(path+"[1]", func(p *Program) reflect.Value { return at(p).Index(1) }, name)
		case reflect.Map:
			alter(func(v reflect.Value) { v.SetZero() })
		case reflect.String:
			alter(func(v reflect.Value) { v.SetString("other") })
		case reflect.Bool:
			alter(func(v reflect.Value) { v.SetBool(!v.Bool()) })
		case reflect.Int:
			alter(func(v reflect.Value) { v.SetInt(v.Int() + 1) })
		}
	}
	walk("Program", func(p *Program) reflect.Value { return reflect.ValueOf(p).Elem() }, "Program")
}
