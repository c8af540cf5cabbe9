package policy

import (
	"encoding/json"
	"strings"

	"github.com/tocsin-ir/tocsin/calendar"
)

// Schema is the JSON Schema of the language for editors: completion, descriptions on hover, and the
// mistakes that the form alone shows. It is made of the tables that the compiler reads by, so the
// two cannot differ in a key. What only a whole policy shows, such as a role that is not declared,
// Compile says.
func Schema() []byte {
	s := schemaWriter{defs: map[string]any{}}
	root := s.object("the policy")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://tocsin-ir.github.io/schema/policy.json"
	root["title"] = "Security incident response policy"
	root["$defs"] = s.defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // maps of texts, numbers and lists of them
	}
	return append(out, '\n')
}

type schemaWriter struct{ defs map[string]any }

// object is the schema of one shape.
func (s *schemaWriter) object(what string) map[string]any {
	sh := shapes[what]
	props, need := map[string]any{}, []string{}
	for _, k := range sh.keys {
		p := s.form(k)
		p["description"] = k.doc
		props[k.name] = p
		if k.also != "" {
			other := s.form(k)
			other["description"] = "The same as " + k.name + ". " + k.doc
			props[k.also] = other
		}
		if k.need {
			need = append(need, k.name)
		}
	}
	out := map[string]any{"type": "object", "description": sh.doc, "properties": props, "additionalProperties": false}
	if len(need) > 0 {
		out["required"] = need
	}
	return out
}

// ref names a shape, which is described once.
func (s *schemaWriter) ref(what string) map[string]any {
	name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(what, "a "), "an "), "the "), " ", "_")
	if s.defs[name] == nil {
		s.defs[name] = true // so that a shape within itself ends
		s.defs[name] = s.object(what)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

// scalar is what YAML may write for a text: 2026-11-22 and 8 are texts to the compiler as well.
func scalar() map[string]any { return map[string]any{"type": []string{"string", "number", "boolean"}} }

func oneOrMore(item map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{item, map[string]any{"type": "array", "items": item}}}
}

func (s *schemaWriter) form(k key) map[string]any {
	id := map[string]any{"type": "string", "pattern": idForm.String()}
	switch k.form {
	case anID:
		return map[string]any{"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"}
	case aName:
		out := map[string]any{"type": "string"}
		if len(k.values) > 0 {
			out["examples"] = k.values
		}
		return out
	case aDate:
		return map[string]any{"type": "string", "pattern": `^\d{4}-\d{2}-\d{2}$`}
	case aLength:
		return map[string]any{"type": "string", "pattern": `^\s*\d+`, "examples": []string{"4h"}}
	case aCadence:
		examples := []string{"4h", "2h..4h", "1 business d"}
		for _, p := range calendar.Periods() {
			examples = append(examples, string(p))
		}
		return map[string]any{"type": "string", "examples": examples}
	case anAnchor:
		return map[string]any{"type": "string", "examples": Universal}
	case aCondition:
		return map[string]any{"type": []string{"string", "boolean"}, "examples": []string{"fact.personal_data", "severity >= 'high'"}}
	case aTruth:
		return map[string]any{"type": "boolean"}
	case aChoice:
		return map[string]any{"enum": k.values}
	case aMapping:
		return s.ref(k.of)
	case someOf:
		return map[string]any{"type": "object", "propertyNames": id, "additionalProperties": s.member(k.of)}
	case listOf:
		return map[string]any{"type": "array", "items": s.ref(k.of)}
	case phaseList:
		one := map[string]any{"type": "object", "propertyNames": id, "additionalProperties": s.ref(k.of)}
		return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
	case freeText:
		return map[string]any{"anyOf": []any{scalar(), map[string]any{"type": "object", "additionalProperties": scalar()}}}
	case escalation:
		return map[string]any{"type": "object", "propertyNames": map[string]any{"pattern": `^-?\s*\d`}, "additionalProperties": oneOrMore(map[string]any{"type": "string"})}
	case tableList:
		cell := map[string]any{"anyOf": []any{oneOrMore(scalar()), s.ref("a cell of a table")}}
		row := map[string]any{"type": "object", "additionalProperties": cell}
		return map[string]any{"type": "array", "items": map[string]any{
			"type": "object", "required": []string{"by"}, "additionalProperties": row,
			"properties": map[string]any{"by": map[string]any{"type": "string", "description": "What the table goes by: severity, class, a scale, or fact.NAME.", "examples": []string{"severity", "class"}}},
		}}
	}
	return s.list(k)
}

// list is the schema of what may be written once or as a list.
func (s *schemaWriter) list(k key) map[string]any {
	switch k.form {
	case ids:
		return oneOrMore(map[string]any{"type": "string", "pattern": idForm.String()})
	case nameList:
		return oneOrMore(map[string]any{"type": "string"})
	case clocks:
		return oneOrMore(map[string]any{"type": "string", "examples": []string{"72h after confirmed", "promptly after detected", "as law", "as contract", "by end of business day of detected", "by end of month of resolved", "open"}})
	case conditions:
		return oneOrMore(map[string]any{"type": []string{"string", "boolean"}, "examples": []string{"fix.verified", "checks.all(c, c.passed)"}})
	case choices:
		return oneOrMore(map[string]any{"enum": k.values})
	case signers:
		return oneOrMore(map[string]any{"type": "string", "pattern": `^\s*(\d+ of )?\S+\s*$`, "examples": []string{"lead", "2 of engineers"}})
	case proseLines:
		line := map[string]any{"anyOf": []any{scalar(), s.ref("a line of the page")}}
		return map[string]any{"anyOf": []any{line, map[string]any{"type": "array", "items": line}}}
	case texts:
		return oneOrMore(scalar())
	}
	return scalar()
}

// member is what an id of a section stands for.
func (s *schemaWriter) member(what string) map[string]any {
	if what == "a scale" {
		return map[string]any{"type": "object", "description": shapes[what].doc, "propertyNames": map[string]any{"pattern": idForm.String()}, "additionalProperties": s.ref("a severity level")}
	}
	return s.ref(what)
}
