// Package sigma reads Sigma rules (version 2), correlations and filters, and asks all of them of
// each event at once.
//
// Load reads rule files, applies field-mapping pipelines and filters, and gives an Engine together
// with what it could not use, by file, line and column: a bad rule never keeps the others from
// running. Engine.Decode turns the JSON of an event into an Event, Engine.Observe gives the
// detections that the event completes.
//
// # What a value matches
//
// A field is named by its path, the names joined by dots; a name that holds dots itself is the
// same path. A list matches when one of its elements does. Strings are compared without regard to
// case unless the rule says cased; a number is the same in any notation, and the same as the
// string that spells it. An object is compared by its JSON text.
//
//	field: ''           there, and the empty string
//	field: null         not there, or null
//	field|exists: false not there; null and empty are there
//	field: '*'          there with any value but null
//	field|neq: x        there with a value, and none of its values is x
//
// A keyword, which is a value without a field, is looked for in every value of the event.
//
// # One matcher
//
// The rules of a log source share one matcher. The distinct tests of all rules are filed under the
// field they ask; an event visits the fields it has, each literal is found by a hash or by one
// multi-pattern search whatever the number of rules, and only rules of which a necessary test came
// out true are evaluated. What is dear (a regular expression, a comparison of fields) is computed
// when a condition asks for it, and once for each event.
//
// The package is pure: time is the time of the events. An Engine and its Events are not safe for
// concurrent use.
package sigma
