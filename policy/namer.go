package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// namer checks the names of one condition and writes out what the language abbreviates: X.met for
// duty.X.met, severity >= 'high' for the levels that are at least as bad, passed('4h after
// confirmed') for the one thing that reads the time.
type namer struct {
	*expressions
	info  *ast.SourceInfo
	at    func(int64) Pos
	in    context
	make  ast.ExprFactory
	fresh int64
}

// declared reports names that the policy does not declare. It runs before CEL's own check, whose
// messages name neither the place nor what was meant.
func (n *namer) declared(e ast.Expr, local []string) bool {
	switch e.Kind() {
	case ast.IdentKind, ast.SelectKind:
		path, root := chain(e)
		if root == nil {
			return n.declared(e.AsSelect().Operand(), local)
		}
		if slices.Contains(local, path[0]) || strings.HasPrefix(path[0], "@") {
			return true
		}
		return n.known(path, e, root)
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == "passed" && !call.IsMemberFunction() {
			return n.passed(e)
		}
		ok := true
		if call.IsMemberFunction() {
			ok = n.declared(call.Target(), local)
		}
		for _, a := range call.Args() {
			ok = n.declared(a, local) && ok
		}
		return ok && n.ordered(e)
	case ast.ListKind:
		ok := true
		for _, item := range e.AsList().Elements() {
			ok = n.declared(item, local) && ok
		}
		return ok
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		ok := n.declared(c.IterRange(), local)
		local = append(slices.Clip(local), c.IterVar(), c.IterVar2(), c.AccuVar())
		return n.declared(c.LoopStep(), local) && ok
	}
	return true
}

// resolve finds the declared name at the start of a dotted path, and how much of the path it is.
func (x *expressions) resolve(path []string) (*name, int) {
	for i := len(path); i > 0; i-- {
		if n := x.name(strings.Join(path[:i], ".")); n != nil {
			return n, i
		}
	}
	// What clocks say without a prefix, conditions may say without one as well.
	if len(path) == 2 {
		if n := x.name("duty." + path[0] + "." + path[1]); n != nil {
			return n, 2
		}
	}
	for _, prefix := range []string{"scale.", "milestone."} {
		if n := x.name(prefix + path[0]); n != nil {
			return n, 1
		}
	}
	return nil, 0
}

// known reports whether the start of a dotted path is a declared name that may be read here.
func (n *namer) known(path []string, e, root ast.Expr) bool {
	pos, in := n.at(root.ID()), n.in
	if found, length := n.resolve(path); found != nil {
		switch {
		case found.id == in.no:
			n.r.errorf(pos, "bad-condition", "", "%s cannot read %s: it decides it", in.what, found.id)
			return false
		case strings.HasPrefix(found.id, "recipient.") && !in.recipient:
			n.r.errorf(pos, "bad-condition", "only the condition of a duty that tells a party reads its recipients", "%s cannot read %s: there is no recipient", in.what, found.id)
			return false
		}
		n.used[found.id] = found
		if length == len(path) && strings.Join(path, ".") != found.id {
			e.SetKindCase(n.make.NewIdent(e.ID(), found.id))
		}
		return true
	}
	return n.unknownName(path, pos)
}

func (n *namer) unknownName(path []string, pos Pos) bool {
	id := strings.Join(path, ".")
	if path[0] == "now" {
		n.r.errorf(pos, "bad-condition", "give the duty a clock, or write passed('4h after confirmed')", "a condition cannot read now")
		return false
	}
	all := n.everyName()
	var candidates []string
	for _, c := range all {
		bare := strings.TrimPrefix(c, "duty.")
		if root, _, dotted := strings.Cut(c, "."); !dotted || root == path[0] || len(path) == 1 {
			candidates = append(candidates, c)
		} else if bare != c {
			candidates = append(candidates, bare)
		}
	}
	hint := truthMeant(id)
	for _, known := range n.names { // severity == critical
		if slices.Contains(known.values, id) {
			hint = "write it in quotes: '" + id + "'"
		}
	}
	if hint == "" {
		hint = didYouMean(id, candidates, didYouMean(id, all, ""))
	}
	for _, c := range all { // personal_data for fact.personal_data
		if _, last, dotted := strings.Cut(c, "."); dotted && hint == "" && last == id {
			hint = "did you mean " + c + "?"
		}
	}
	if hint == "" {
		if meant := countryMeant(id); meant != "" {
			hint = "write its code in quotes: '" + meant + "'"
		}
	}
	if hint == "" {
		roots := map[string]bool{}
		for _, c := range all {
			root, _, _ := strings.Cut(c, ".")
			roots[root] = true
		}
		hint = "names begin with " + list(sortedKeys(roots), "or")
	}
	n.r.errorf(pos, "unknown-name", hint, "nothing is called %s", id)
	return false
}

// ordered writes out a comparison with a level by the order of its scale: >= is at least as bad.
func (n *namer) ordered(e ast.Expr) bool {
	call := e.AsCall()
	op, args := call.FunctionName(), call.Args()
	turned := map[string]string{
		operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
		operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	}
	if turned[op] == "" || len(args) != 2 {
		return true
	}
	scale, level := n.scaleOf(args[0]), args[1]
	if scale == nil {
		if scale, level = n.scaleOf(args[1]), args[0]; scale == nil {
			return true
		}
		op = turned[op]
	}
	if level.Kind() != ast.LiteralKind {
		n.r.errorf(n.at(level.ID()), "bad-condition", declaredHint(scale.values), "%s is compared with one of its levels, in quotes", scale.id)
		return false
	}
	s, text := level.AsLiteral().Value().(string)
	if !text {
		s = literal(level.AsLiteral())
	}
	i := slices.Index(scale.values, s)
	if i < 0 {
		n.r.errorf(n.at(level.ID()), "unknown-reference", didYouMean(s, scale.values, declaredHint(scale.values)), "there is no %s %s", scale.what, short(s))
		return false
	}
	var in []string // worst first
	switch op {
	case operators.GreaterEquals:
		in = scale.values[:i+1]
	case operators.Greater:
		in = scale.values[:i]
	case operators.LessEquals:
		in = scale.values[i:]
	default:
		in = scale.values[i+1:]
	}
	if len(in) == 0 || len(in) == len(scale.values) {
		never := map[bool]string{true: "never", false: "always"}[len(in) == 0]
		n.r.errorf(n.at(e.ID()), "bad-condition", "levels are, worst first, "+list(scale.values, "and")+"; >= is at least as bad", "this is %s so: no %s is on the other side of %s", never, scale.what, s)
		return false
	}
	items := make([]ast.Expr, len(in))
	for k, v := range in {
		items[k] = n.make.NewLiteral(n.id(level.ID()), types.String(v))
	}
	e.SetKindCase(n.make.NewCall(e.ID(), operators.In, n.make.NewIdent(n.id(e.ID()), scale.id), n.make.NewList(n.id(level.ID()), items, nil)))
	return true
}

// id is a new id for an expression that stands where the one of id old stood.
func (n *namer) id(old int64) int64 {
	n.fresh++
	if at, ok := n.info.GetOffsetRange(old); ok {
		n.info.SetOffsetRange(n.fresh, at)
	}
	return n.fresh
}

// scaleOf is the scale that an expression names, nil for none.
func (n *namer) scaleOf(e ast.Expr) *name {
	path, root := chain(e)
	if root == nil {
		return nil
	}
	found, length := n.resolve(path)
	if found == nil || length != len(path) || found.id != "severity" && !strings.HasPrefix(found.id, "scale.") {
		return nil
	}
	return found
}

// passed writes out passed('4h after confirmed'): a name of its own, which is true from the
// instant on at which that clock runs out.
func (n *namer) passed(e ast.Expr) bool {
	args := e.AsCall().Args()
	written := ""
	if len(args) == 1 && args[0].Kind() == ast.LiteralKind {
		written, _ = args[0].AsLiteral().Value().(string)
	}
	pos := n.at(e.ID())
	if written == "" {
		n.r.errorf(pos, "bad-condition", "write passed('4h after confirmed')", "passed takes one clock, in quotes")
		return false
	}
	k, ok := n.passing(text{s: written, pos: n.at(args[0].ID())})
	if !ok {
		return false
	}
	if k.Kind == "law" || k.Kind == "contract" || k.Kind == "open" || k.Kind == "after" && k.Span.Limit == nil || len(k.Anchor.Names) == 0 {
		n.r.errorf(n.at(args[0].ID()), "bad-condition", "write a length and a start: passed('4h after confirmed')", "%q has no limit that could pass", short(written))
		return false
	}
	id := fmt.Sprintf("passed('%s')", k.Text)
	n.used[id] = &name{id: id, typ: cel.BoolType, words: n.p.hasPassed(k), pattern: cel.AttributePattern(id), clock: &k, get: func(v *View) (any, bool) {
		if v.Passed == nil {
			return nil, false
		}
		return v.Passed(k)
	}}
	e.SetKindCase(n.make.NewIdent(e.ID(), id))
	return true
}

// hasPassed says that the limit of a clock is over: "4 hours have passed since confirming it".
func (p *Program) hasPassed(k Clock) string {
	switch {
	case k.Kind == "after" && k.Span.Limit.N == 1:
		return k.Span.Limit.Words() + " has passed since " + p.moment(k.Anchor, nil).at()
	case k.Kind == "after":
		return k.Span.Limit.Words() + " have passed since " + p.moment(k.Anchor, nil).at()
	case k.Kind == "before" && k.Span.Limit != nil:
		return "it is less than " + k.Span.Limit.Words() + " to " + p.moment(k.Anchor, nil).at()
	}
	return p.moment(k.Anchor, nil).at() + " is past"
}
