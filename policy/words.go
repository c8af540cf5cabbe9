package policy

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/parser"
)

// say writes a condition in words: as the page prints it and as a refusal names it. What has no
// words of its own is shown as it was written.
func (x *expressions) say(tree *ast.AST) string {
	s := sayer{names: x.used, info: tree.SourceInfo()}
	return s.words(tree.Expr())
}

type sayer struct {
	names names
	info  *ast.SourceInfo
}

func (s sayer) words(e ast.Expr) string {
	if macro, ok := s.info.GetMacroCall(e.ID()); ok {
		if w := s.macro(macro, e); w != "" {
			return w
		}
		return s.source(e)
	}
	switch e.Kind() {
	case ast.IdentKind:
		if n := s.names[e.AsIdent()]; n != nil {
			return n.words
		}
	case ast.LiteralKind:
		switch e.AsLiteral() {
		case types.True:
			return "always"
		case types.False:
			return "never"
		}
	case ast.CallKind:
		if w := s.call(e.AsCall()); w != "" {
			return w
		}
	}
	return s.source(e)
}

func (s sayer) call(c ast.CallExpr) string {
	args := c.Args()
	switch op := c.FunctionName(); op {
	case operators.LogicalAnd, operators.LogicalOr:
		join := " and "
		if op == operators.LogicalOr {
			join = " or "
		}
		sides := make([]string, 2)
		for i, a := range args[:2] {
			sides[i] = s.words(a)
			if op == operators.LogicalAnd && a.Kind() == ast.CallKind && a.AsCall().FunctionName() == operators.LogicalOr {
				sides[i] = "either " + sides[i]
			}
		}
		if rest, ok := strings.CutPrefix(sides[1], "the recipient is in "); ok && op == operators.LogicalOr && strings.HasPrefix(sides[0], "the recipient is in ") {
			return sides[0] + join + "in " + rest // said once
		}
		return sides[0] + join + sides[1]
	case operators.LogicalNot:
		return s.not(args[0])
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return s.compare(op, args[0], args[1])
	case operators.In:
		return s.in(args[0], args[1], false)
	}
	return ""
}

// not denies a condition the way a sentence does: neither side of an or, one side of an and.
func (s sayer) not(e ast.Expr) string {
	if _, macro := s.info.GetMacroCall(e.ID()); !macro {
		switch e.Kind() {
		case ast.IdentKind:
			if strings.HasPrefix(e.AsIdent(), "fact.") {
				return "we have ruled out that " + s.words(e)
			}
		case ast.CallKind:
			args := e.AsCall().Args()
			turned := map[string]string{operators.Equals: operators.NotEquals, operators.NotEquals: operators.Equals, operators.Less: operators.GreaterEquals, operators.LessEquals: operators.Greater, operators.Greater: operators.LessEquals, operators.GreaterEquals: operators.Less}
			switch op := e.AsCall().FunctionName(); op {
			case operators.LogicalNot:
				return s.words(args[0])
			case operators.LogicalOr:
				a, b := s.not(args[0]), s.not(args[1])
				if rest, ok := strings.CutPrefix(b, "the recipient is not in "); ok && strings.HasPrefix(a, "the recipient is not in ") {
					return a + ", and not in " + rest // said once
				}
				return a + " and " + b
			case operators.LogicalAnd:
				return "either " + s.not(args[0]) + " or " + s.not(args[1])
			case operators.In:
				if w := s.in(args[0], args[1], true); w != "" {
					return w
				}
			default:
				if turned[op] != "" {
					if w := s.compare(turned[op], args[0], args[1]); w != "" {
						return w
					}
				}
			}
		}
	}
	return "it is not so that " + s.words(e)
}

// place writes where a recipient is, in place of its code: "the recipient is in Germany".
func (s sayer) place(id string, codes []string, no bool) string {
	is, last := "is", "or"
	if no {
		is = "is not"
	}
	switch id {
	case "recipient.country", "recipient.region":
		return "the recipient " + is + " in " + list(placeNames(codes), last)
	case "recipient.language":
		names := make([]string, len(codes))
		for i, code := range codes {
			names[i] = languageName(code)
		}
		return "the recipient's language " + is + " " + list(names, last)
	}
	return ""
}

// compare writes "the number of affected merchants is more than 10".
func (s sayer) compare(op string, a, b ast.Expr) string {
	if a.Kind() == ast.LiteralKind && b.Kind() != ast.LiteralKind {
		turned := map[string]string{operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals, operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals}
		if t, ok := turned[op]; ok {
			op = t
		}
		a, b = b, a
	}
	if b.Kind() != ast.LiteralKind {
		return ""
	}
	val := literal(b.AsLiteral())
	if size := s.sizeOf(a); size != nil {
		n := s.names[size.AsIdent()]
		switch {
		case n == nil:
			return ""
		case n.id == "review.missing" && op == operators.Equals && val == "0":
			return "no part of the review is missing"
		}
		return "the number of " + strings.TrimPrefix(n.words, "the ") + " " + than(op, val)
	}
	if a.Kind() != ast.IdentKind || s.names[a.AsIdent()] == nil {
		return ""
	}
	if v, ok := b.AsLiteral().(types.Bool); ok {
		yes := bool(v) == (op == operators.Equals)
		switch {
		case op != operators.Equals && op != operators.NotEquals:
			return ""
		case yes:
			return s.words(a)
		case strings.HasPrefix(a.AsIdent(), "fact."):
			return "we have ruled out that " + s.words(a)
		}
		return "it is not so that " + s.words(a)
	}
	if op == operators.Equals || op == operators.NotEquals {
		if w := s.place(a.AsIdent(), []string{val}, op == operators.NotEquals); w != "" {
			return w
		}
	}
	n := s.names[a.AsIdent()]
	if n.what != "" {
		val = spaced(val)
	}
	if n.any != "" && (op == operators.Greater && val == "0" || op == operators.GreaterEquals && val == "1") {
		return n.any
	}
	return n.words + " " + than(op, val)
}

func than(op, val string) string {
	return map[string]string{
		operators.Equals: "is ", operators.NotEquals: "is not ", operators.Less: "is less than ",
		operators.LessEquals: "is at most ", operators.Greater: "is more than ", operators.GreaterEquals: "is at least ",
	}[op] + val
}

// sizeOf is the name in size(name) or name.size().
func (s sayer) sizeOf(e ast.Expr) ast.Expr {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "size" {
		return nil
	}
	c := e.AsCall()
	var of ast.Expr
	switch {
	case c.IsMemberFunction():
		of = c.Target()
	case len(c.Args()) == 1:
		of = c.Args()[0]
	}
	if of == nil || of.Kind() != ast.IdentKind {
		return nil
	}
	return of
}

// in writes "the severity is critical or high" and "customer.email is among the affected data"; no
// denies it.
func (s sayer) in(a, b ast.Expr, no bool) string {
	is := " is "
	if no {
		is = " is not "
	}
	if a.Kind() == ast.LiteralKind && b.Kind() == ast.IdentKind && s.names[b.AsIdent()] != nil {
		if b.AsIdent() == "recipient.places" || b.AsIdent() == "scope.regions" {
			who := map[string]string{"recipient.places": "the recipient", "scope.regions": "somebody affected"}[b.AsIdent()]
			if no && who == "somebody affected" {
				return "nobody affected is in " + placeName(literal(a.AsLiteral()))
			}
			return who + is + "in " + placeName(literal(a.AsLiteral()))
		}
		return literal(a.AsLiteral()) + is + "among " + s.names[b.AsIdent()].words
	}
	if a.Kind() != ast.IdentKind || s.names[a.AsIdent()] == nil || b.Kind() != ast.ListKind {
		return ""
	}
	vals := s.literals(b)
	if vals == nil {
		return ""
	}
	var plain []string
	for _, item := range b.AsList().Elements() {
		plain = append(plain, literal(item.AsLiteral()))
	}
	if w := s.place(a.AsIdent(), plain, no); w != "" {
		return w
	}
	return s.names[a.AsIdent()].words + is + list(vals, "or")
}

func (s sayer) literals(e ast.Expr) []string {
	var out []string
	for _, item := range e.AsList().Elements() {
		if item.Kind() != ast.LiteralKind {
			return nil
		}
		out = append(out, spaced(literal(item.AsLiteral())))
	}
	return out
}

// macro writes conditions over lists: "every check has passed". e is the expansion, whose parts
// have been checked; macro is what was written.
func (s sayer) macro(macro, e ast.Expr) string {
	c := macro.AsCall()
	if !c.IsMemberFunction() || len(c.Args()) != 2 || c.Args()[0].Kind() != ast.IdentKind || e.Kind() != ast.ComprehensionKind {
		return ""
	}
	over, element := e.AsComprehension().IterRange(), c.Args()[0].AsIdent()
	if over.Kind() != ast.IdentKind {
		return ""
	}
	what := map[string]string{"checks": "check", "actions": "action"}[over.AsIdent()]
	if what == "" {
		return ""
	}
	says := ofElement(c.Args()[1], element, s)
	if says == "" {
		return ""
	}
	switch c.FunctionName() {
	case "all":
		return "every " + what + " " + says
	case "exists":
		return "some " + what + " " + says
	case "exists_one":
		return "exactly one " + what + " " + says
	}
	return ""
}

// ofElement writes what is said of one element.
func ofElement(e ast.Expr, element string, s sayer) string {
	field := func(e ast.Expr) string {
		if path, _ := chain(e); len(path) == 2 && path[0] == element {
			return path[1]
		}
		return ""
	}
	if field(e) == "passed" {
		return "has passed"
	}
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return ""
	}
	op, a, b := e.AsCall().FunctionName(), e.AsCall().Args()[0], e.AsCall().Args()[1]
	f := field(a)
	switch {
	case f == "state" && op == operators.Equals && b.Kind() == ast.LiteralKind:
		return "is " + literal(b.AsLiteral())
	case f == "state" && op == operators.In && b.Kind() == ast.ListKind:
		if vals := s.literals(b); vals != nil {
			return "is " + list(vals, "or")
		}
	}
	return ""
}

// source is an expression as CEL would write it.
func (s sayer) source(e ast.Expr) string {
	text, err := parser.Unparse(e, s.info)
	if err != nil {
		return "the condition holds"
	}
	return oneLine(text)
}

func literal(v ref.Val) string {
	if v == nil {
		return ""
	}
	return oneLine(fmt.Sprint(v.Value()))
}

// open names the elements of a list that a gate most often waits for: checks that have not
// passed, actions that are not proven, parts that are missing. At most five are named.
func open(id string, val any) string {
	l, ok := val.(traits.Lister)
	if !ok {
		return ""
	}
	var names []string
	for it := l.Iterator(); it.HasNext() == types.True; {
		switch v := it.Next().Value().(type) {
		case CheckView:
			if !v.Passed {
				names = append(names, v.ID+" has not passed")
			}
		case ActionView:
			if v.State != "proven" {
				names = append(names, v.ID+" is "+v.State)
			}
		case string:
			if id == "review.missing" {
				names = append(names, v+" is missing")
			}
		}
	}
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

// part is a piece of a text and how many bytes into it it stands.
type part struct {
	s      string
	offset int
}

// conjuncts splits an expression at its top-level && where there is neither || nor ?: beside them,
// so that each can be reported alone.
func conjuncts(src string) []part {
	var cuts []int
	depth := 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\'' || c == '"':
			i = endOfText(src, i)
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case depth == 0 && (c == '?' || strings.HasPrefix(src[i:], "||")):
			return []part{trimmed(src, 0, len(src))}
		case depth == 0 && strings.HasPrefix(src[i:], "&&"):
			cuts = append(cuts, i)
			i++
		}
	}
	var out []part
	start := 0
	for _, cut := range cuts {
		out = append(out, trimmed(src, start, cut))
		start = cut + 2
	}
	return append(out, trimmed(src, start, len(src)))
}

// endOfText is the index of the quote that ends the text beginning at i, or the end of src. Raw
// texts end at the next quote; the others may escape it.
func endOfText(src string, i int) int {
	quote := src[i]
	raw := i > 0 && (src[i-1] == 'r' || src[i-1] == 'R')
	for j := i + 1; j < len(src); j++ {
		switch {
		case src[j] == '\\' && !raw:
			j++
		case src[j] == quote:
			return j
		}
	}
	return len(src)
}

func trimmed(src string, from, to int) part {
	for from < to && strings.ContainsRune(" \t\r\n", rune(src[from])) {
		from++
	}
	for to > from && strings.ContainsRune(" \t\r\n", rune(src[to-1])) {
		to--
	}
	return part{src[from:to], from}
}
