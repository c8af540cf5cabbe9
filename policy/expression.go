package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// Limits on one condition. The cost limit is CEL's own measure, about one for each step; a list
// has at most a few hundred elements.
const (
	maxExpression = 4_000
	maxNesting    = 40
	maxCost       = 100_000
)

// expressions compiles the conditions of one policy. All of them share one environment.
type expressions struct {
	r     *reader
	names names
	env   *cel.Env
}

func newExpressions(r *reader, ns names) (*expressions, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	opts := []cel.EnvOption{
		cel.StdLib(), cel.ClearMacros(), cel.Macros(cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.FilterMacro),
		cel.CustomTypeProvider(objectProvider{registry}), cel.CustomTypeAdapter(registry),
		cel.EnableMacroCallTracking(), cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxNesting),
	}
	for _, id := range sortedKeys(ns) {
		opts = append(opts, cel.Variable(id, ns[id].typ))
	}
	env, err := cel.NewCustomEnv(opts...)
	if err != nil {
		return nil, err
	}
	return &expressions{r: r, names: ns, env: env}, nil
}

// context says which names make sense where a condition stands.
type context struct {
	what      string // "the condition of a duty"
	recipient bool   // recipient.* may be read
	no        string // a name that would be circular here
}

// compile makes a Condition from a text; nil after an error that it has reported.
func (x *expressions) compile(t text, in context) *Condition {
	return x.compileAt(t, 0, t.s, in)
}

// compileAll makes one Condition for each top-level conjunct of a text.
func (x *expressions) compileAll(t text, in context) []*Condition {
	var out []*Condition
	for _, part := range conjuncts(t.s) {
		if c := x.compileAt(t, part.offset, part.s, in); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// compileAt compiles src, which stands offset bytes into t.
func (x *expressions) compileAt(t text, offset int, src string, in context) *Condition {
	r := x.r
	if strings.TrimSpace(src) == "" {
		r.errorf(t.pos, "bad-condition", "", "%s is empty", in.what)
		return nil
	}
	if len(src) > maxExpression {
		r.errorf(t.pos, "bad-condition", "", "%s has more than %d characters", in.what, maxExpression)
		return nil
	}
	parsed, issues := x.env.Parse(src)
	if issues.Err() != nil {
		e := issues.Errors()[0]
		message := strings.TrimPrefix(e.Message, "Syntax error: ")
		r.errorf(r.inside(t, offset, src, e.Location.Line(), e.Location.Column()), "bad-condition", syntaxHint(src, message), "%s cannot be read: %s", in.what, message)
		return nil
	}
	tree := parsed.NativeRep()
	at := func(id int64) Pos {
		loc := tree.SourceInfo().GetStartLocation(id)
		return r.inside(t, offset, src, loc.Line(), loc.Column())
	}
	if !x.declared(tree.Expr(), nil, at, in) {
		return nil
	}
	checked, issues := x.env.Check(parsed)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			message, hint := checkMessage(e.Message)
			r.errorf(r.inside(t, offset, src, e.Location.Line(), e.Location.Column()), "bad-condition", hint, "%s does not fit: %s", in.what, message)
		}
		return nil
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) {
		r.errorf(r.inside(t, offset, src, 1, 0), "bad-condition", "compare it with something, such as == or > 0", "%s is true or false; this is %s", in.what, typeWords(out))
		return nil
	}
	tree = checked.NativeRep()
	at = func(id int64) Pos {
		loc := tree.SourceInfo().GetStartLocation(id)
		return r.inside(t, offset, src, loc.Line(), loc.Column())
	}
	if !x.sensible(tree, at) {
		return nil
	}
	program, err := x.env.Program(checked, cel.EvalOptions(cel.OptOptimize, cel.OptPartialEval), cel.CostLimit(maxCost))
	if err != nil {
		r.errorf(t.pos, "bad-condition", "", "%s cannot be planned: %v", in.what, err)
		return nil
	}
	e := &evaluator{program: program, say: x.say(tree)}
	for _, id := range x.reads(tree) {
		e.reads = append(e.reads, x.names[id])
	}
	pos := r.inside(t, offset, src, 1, 0)
	pos.File = r.file
	return &Condition{Source: src, Say: e.say, Pos: pos, eval: e.eval, reads: x.reads(tree)}
}

// declared reports names that the policy does not declare. It runs before CEL's own check, whose
// messages name neither the place nor what was meant.
func (x *expressions) declared(e ast.Expr, local []string, at func(int64) Pos, in context) bool {
	switch e.Kind() {
	case ast.IdentKind, ast.SelectKind:
		path, root := chain(e)
		if root == nil {
			return x.declared(e.AsSelect().Operand(), local, at, in)
		}
		if slices.Contains(local, path[0]) || strings.HasPrefix(path[0], "@") {
			return true
		}
		return x.known(path, at(root.ID()), in)
	case ast.CallKind:
		ok := true
		call := e.AsCall()
		if call.IsMemberFunction() {
			ok = x.declared(call.Target(), local, at, in)
		}
		for _, a := range call.Args() {
			ok = x.declared(a, local, at, in) && ok
		}
		return ok
	case ast.ListKind:
		ok := true
		for _, item := range e.AsList().Elements() {
			ok = x.declared(item, local, at, in) && ok
		}
		return ok
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		ok := x.declared(c.IterRange(), local, at, in)
		local = append(slices.Clip(local), c.IterVar(), c.IterVar2(), c.AccuVar())
		return x.declared(c.LoopStep(), local, at, in) && ok
	}
	return true
}

// known reports whether the start of a dotted path is a declared name that may be read here.
func (x *expressions) known(path []string, pos Pos, in context) bool {
	for i := len(path); i > 0; i-- {
		id := strings.Join(path[:i], ".")
		if _, ok := x.names[id]; !ok {
			continue
		}
		switch {
		case id == in.no:
			x.r.errorf(pos, "bad-condition", "", "%s cannot read %s: it decides it", in.what, id)
			return false
		case path[0] == "recipient" && !in.recipient:
			x.r.errorf(pos, "bad-condition", "only the condition of a duty that tells a party reads its recipients", "%s cannot read %s: there is no recipient", in.what, id)
			return false
		}
		return true
	}
	id := strings.Join(path, ".")
	if path[0] == "now" || path[0] == "passed" {
		x.r.errorf(pos, "bad-condition", "give the duty a clock instead", "a condition cannot read %s", path[0])
		return false
	}
	var candidates []string
	for n := range x.names {
		if root, _, dotted := strings.Cut(n, "."); !dotted || root == path[0] || len(path) == 1 {
			candidates = append(candidates, n)
		}
	}
	hint := didYouMean(id, candidates, "")
	if hint == "" {
		hint = didYouMean(id, sortedKeys(x.names), "")
	}
	for n := range x.names { // personal_data for fact.personal_data
		if _, last, dotted := strings.Cut(n, "."); dotted && hint == "" && last == id {
			hint = "did you mean " + n + "?"
		}
	}
	if hint == "" {
		roots := map[string]bool{}
		for n := range x.names {
			root, _, _ := strings.Cut(n, ".")
			roots[root] = true
		}
		hint = "names begin with " + list(sortedKeys(roots), "or")
	}
	x.r.errorf(pos, "unknown-name", hint, "nothing is called %s", id)
	return false
}

// chain is a dotted name, outermost last; root is nil where something else than a name is selected from.
func chain(e ast.Expr) (path []string, root ast.Expr) {
	for e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		path = append(path, s.FieldName())
		e = s.Operand()
	}
	if e.Kind() != ast.IdentKind {
		return nil, nil
	}
	path = append(path, e.AsIdent())
	slices.Reverse(path)
	return path, e
}

// sensible reports comparisons that can never be what was meant: a class that does not exist, a
// severity by the order of the alphabet.
func (x *expressions) sensible(tree *ast.AST, at func(int64) Pos) bool {
	ok := true
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
			return
		}
		op, a, b := e.AsCall().FunctionName(), e.AsCall().Args()[0], e.AsCall().Args()[1]
		switch op {
		case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
			for _, side := range []ast.Expr{a, b} {
				if side.Kind() == ast.IdentKind && side.AsIdent() == "severity" {
					x.r.errorf(at(side.ID()), "not-yet", "write severity in ['…', '…']", "severity has no order in a condition yet")
					ok = false
				}
			}
		case operators.Equals, operators.NotEquals:
			ok = x.oneOf(a, b, at) && x.oneOf(b, a, at) && ok
		case operators.In:
			if b.Kind() == ast.ListKind {
				for _, item := range b.AsList().Elements() {
					ok = x.oneOf(a, item, at) && ok
				}
			}
		}
	}))
	return ok
}

// oneOf reports a constant that the name beside it can never be.
func (x *expressions) oneOf(e, constant ast.Expr, at func(int64) Pos) bool {
	if constant.Kind() != ast.LiteralKind {
		return true
	}
	s, isText := constant.AsLiteral().Value().(string)
	if !isText {
		return true
	}
	values, what := []string(nil), ""
	switch {
	case e.Kind() == ast.IdentKind && x.names[e.AsIdent()] != nil && x.names[e.AsIdent()].what != "":
		n := x.names[e.AsIdent()]
		values, what = n.values, n.what
	case e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == "state":
		values, what = actionStates, "state of an action"
	default:
		return true
	}
	if slices.Contains(values, s) {
		return true
	}
	x.r.errorf(at(constant.ID()), "unknown-reference", didYouMean(s, values, declaredHint(values)), "there is no %s %s", what, short(s))
	return false
}

// reads lists the declared names an expression reads, in the order of the alphabet.
func (x *expressions) reads(tree *ast.AST) []string {
	seen := map[string]bool{}
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && x.names[e.AsIdent()] != nil {
			seen[e.AsIdent()] = true
		}
	}))
	return sortedKeys(seen)
}

func declaredHint(values []string) string {
	if len(values) == 0 {
		return "the policy declares none"
	}
	return "there are " + list(values, "and")
}

func syntaxHint(src, message string) string {
	switch {
	case strings.Contains(message, "token recognition error") && strings.Contains(src, "="):
		return "compare with ==, combine with && and ||"
	case strings.Contains(" "+src+" ", " and ") || strings.Contains(" "+src+" ", " or ") || strings.Contains(" "+src, " not "):
		return "write && for and, || for or, ! for not"
	case strings.Contains(src, "="):
		return "compare with =="
	}
	return ""
}

// checkMessage puts CEL's type errors into plain words where it can.
func checkMessage(m string) (message, hint string) {
	switch {
	case strings.HasPrefix(m, "undefined field"):
		return strings.Replace(m, "undefined field", "there is no field", 1), "a check has id and passed; an action has id, uses and state"
	case strings.HasPrefix(m, "undeclared reference to"):
		name, _, _ := strings.Cut(strings.TrimPrefix(m, "undeclared reference to "), " (in")
		if name == "'has'" {
			return "has is not needed", "what is not recorded is unknown by itself"
		}
		return "there is no function " + name, "functions are all, exists, exists_one, filter, size, startsWith, endsWith, contains and matches"
	case strings.HasPrefix(m, "found no matching overload for"):
		rest := strings.TrimPrefix(m, "found no matching overload for ")
		op, args, _ := strings.Cut(rest, " applied to ")
		op = strings.Trim(op, "'_")
		return fmt.Sprintf("%s cannot take %s", op, strings.Trim(args, "'()")), "both sides of a comparison have one type; texts are quoted"
	}
	return m, ""
}

func typeWords(t *cel.Type) string {
	switch t.Kind() {
	case types.IntKind:
		return "a number"
	case types.StringKind:
		return "a text"
	case types.ListKind:
		return "a list"
	}
	return t.String()
}

// evaluator runs one planned condition.
type evaluator struct {
	program cel.Program
	reads   []*name
	say     string
}

// activation is what one evaluation reads. Names that are unknown are patterns, which is how CEL
// carries them through && and || and reports those that mattered.
type activation struct {
	reads    []*name
	vals     []any
	unknowns []*cel.AttributePatternType
}

func (a *activation) ResolveName(id string) (any, bool) {
	for i, n := range a.reads {
		if n.id == id {
			return a.vals[i], a.vals[i] != nil
		}
	}
	return nil, false
}

func (a *activation) Parent() interpreter.Activation { return nil }

func (a *activation) UnknownAttributePatterns() []*cel.AttributePatternType { return a.unknowns }

func (a *activation) AsPartialActivation() (interpreter.PartialActivation, bool) { return a, true }

// eval evaluates the condition. It keeps nothing: it may be called from many goroutines.
func (e *evaluator) eval(v View) Verdict {
	a := &activation{reads: e.reads, vals: make([]any, len(e.reads))}
	for i, n := range e.reads {
		if val, ok := n.get(&v); ok {
			a.vals[i] = val
		} else {
			a.unknowns = append(a.unknowns, n.pattern)
		}
	}
	out, _, err := e.program.Eval(a)
	if err != nil {
		return Verdict{Value: Unknown, Why: "it could not be decided whether " + e.say + ": " + oneLine(err.Error())}
	}
	switch out := out.(type) {
	case types.Bool:
		if out {
			return Verdict{Value: True, Why: e.say + e.values(a)}
		}
		return Verdict{Value: False, Why: "not so: " + e.say + e.values(a)}
	case *types.Unknown:
		missing := map[string]bool{}
		for _, id := range out.IDs() {
			trails, _ := out.GetAttributeTrails(id)
			for _, t := range trails {
				missing[t.Variable()] = true
			}
		}
		names := sortedKeys(missing)
		return Verdict{Value: Unknown, Missing: names, Why: "not known whether " + e.say + ": " + list(names, "and") + " not recorded"}
	}
	return Verdict{Value: Unknown, Why: "it could not be decided whether " + e.say + ": the condition gave " + out.Type().TypeName()}
}

// values writes what was read, where that says more than the words: numbers, short texts, and the
// checks or actions that stand in the way.
func (e *evaluator) values(a *activation) string {
	var b strings.Builder
	for i, n := range e.reads {
		says := ""
		switch v := a.vals[i].(type) {
		case nil:
			says = n.id + " not recorded"
		case bool:
			if !strings.HasPrefix(n.id, "fact.") {
				continue
			}
			says = n.id + " no"
			if v {
				says = n.id + " yes"
			}
		case int64:
			says = fmt.Sprintf("%s %d", n.id, v)
		case string:
			if n.private {
				continue
			}
			says = n.id + " " + short(v)
		default:
			if says = open(n.id, a.vals[i]); says == "" {
				continue
			}
		}
		if b.Len() == 0 {
			b.WriteString(" (")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(says)
	}
	if b.Len() > 0 {
		b.WriteString(")")
	}
	return b.String()
}
