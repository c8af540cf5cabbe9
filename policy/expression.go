package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

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

// expressions compiles the conditions of one policy. All of them share one environment, in which
// only the names that they read are declared.
type expressions struct {
	r       *reader
	p       *Program
	names   names
	env     *cel.Env
	used    map[string]*name
	done    map[string]*Condition // by text and context: what a table says forty times is compiled once
	passing func(t text) (Clock, bool)
}

// base is the environment of every policy: the functions and types, without a name.
var base = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewCustomEnv(
		cel.StdLib(), cel.ClearMacros(), cel.Macros(cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.FilterMacro),
		cel.CustomTypeProvider(objectProvider{registry}), cel.CustomTypeAdapter(registry),
		cel.EnableMacroCallTracking(), cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxNesting),
	)
})

// context says which names make sense where a condition stands.
type context struct {
	what      string // "the condition of a duty"
	recipient bool   // recipient.* may be read
	no        string // a name that would be circular here
}

// wanted is a condition that has been read and is not yet compiled: its names are known only when
// the whole policy is read.
type wanted struct {
	text   text
	offset int
	src    string
	in     context
	set    func(*Condition)

	parsed *parsed
	tree   *cel.Ast // once its names are known to be declared
	at     func(id int64) Pos
	typed  *typed
}

func (w *wanted) key() string {
	return w.src + "\x00" + w.in.what + "\x00" + w.in.no + "\x00" + strconv.FormatBool(w.in.recipient)
}

// compileWanted compiles conditions in two steps. The first finds the names they use; the second
// types them in an environment of just those names.
func (x *expressions) compileWanted(all []*wanted) error {
	first := map[string]bool{}
	var good []*wanted
	for _, w := range all {
		if first[w.key()] || x.read(w) {
			first[w.key()] = true
			good = append(good, w)
		}
	}
	env, err := base()
	if err != nil {
		return err
	}
	var vars []cel.EnvOption
	for _, id := range sortedKeys(x.used) {
		vars = append(vars, cel.Variable(id, x.used[id].typ))
	}
	if x.env, err = env.Extend(vars...); err != nil {
		return err
	}
	x.check(good)
	for _, w := range good {
		c := x.done[w.key()]
		if c == nil {
			if w.tree == nil {
				continue // the same text was refused elsewhere, and said so
			}
			if c = x.finish(w); c == nil {
				continue
			}
			x.done[w.key()] = c
		} else {
			again := *c
			c = &again
		}
		c.Pos = x.r.inside(w.text, w.offset, w.src, 1, 0)
		c.Pos.File = x.r.file
		w.set(c)
	}
	return nil
}

// parsing parses conditions beside the reading of the policy, each text once in each context: it is
// most of the work of a long one. What the texts say is looked at afterwards, one by one, so that findings keep their
// order.
type parsing struct {
	done    map[string]*parsed
	pending []*parsed
	running sync.WaitGroup
}

// parsed is what CEL made of a text, once parsing.finish has returned.
type parsed struct {
	src    string
	tree   *cel.Ast
	issues *cel.Issues
}

// batch is how many conditions are worth a goroutine.
const batch = 16

// of has a condition parsed, and returns it. One that is too long is left alone.
func (p *parsing) of(w *wanted) *wanted {
	key := w.key()
	if w.parsed = p.done[key]; w.parsed != nil {
		return w
	}
	if p.done == nil {
		p.done = map[string]*parsed{}
	}
	w.parsed = &parsed{src: w.src}
	p.done[key] = w.parsed
	if len(w.src) <= maxExpression {
		if p.pending = append(p.pending, w.parsed); len(p.pending) == batch {
			p.start()
		}
	}
	return w
}

func (p *parsing) start() {
	some := p.pending
	p.pending = nil
	p.running.Go(func() {
		env, err := base()
		if err != nil {
			return
		}
		for _, one := range some {
			one.tree, one.issues = env.Parse(one.src)
		}
	})
}

// finish waits until every text is parsed.
func (p *parsing) finish() {
	p.start()
	p.running.Wait()
}

// typed is a condition whose types have been looked at.
type typed struct {
	tree   *cel.Ast
	issues *cel.Issues
}

// check types conditions, each text once in each context, on all cores.
func (x *expressions) check(all []*wanted) {
	var some []*wanted
	seen := map[string]bool{}
	var running sync.WaitGroup
	start := func() {
		these := some
		some = nil
		running.Go(func() {
			for _, w := range these {
				w.typed = &typed{}
				w.typed.tree, w.typed.issues = x.env.Check(w.tree)
			}
		})
	}
	for _, w := range all {
		if w.tree == nil || seen[w.key()] {
			continue
		}
		seen[w.key()] = true
		if some = append(some, w); len(some) == batch {
			start()
		}
	}
	start()
	running.Wait()
}

// read parses a condition and checks that every name it reads is declared; false after an error
// that it has reported.
func (x *expressions) read(w *wanted) bool {
	r, t, in := x.r, w.text, w.in
	if strings.TrimSpace(w.src) == "" {
		r.errorf(t.pos, "bad-condition", "", "%s is empty", in.what)
		return false
	}
	if len(w.src) > maxExpression {
		r.errorf(t.pos, "bad-condition", "", "%s has more than %d characters", in.what, maxExpression)
		return false
	}
	parsed, issues := w.parsed.tree, w.parsed.issues
	if parsed == nil && issues == nil {
		r.errorf(t.pos, "internal", "", "the condition language could not be set up")
		return false
	}
	if issues.Err() != nil {
		e := issues.Errors()[0]
		message := strings.TrimPrefix(e.Message, "Syntax error: ")
		r.errorf(r.inside(t, w.offset, w.src, e.Location.Line(), e.Location.Column()), "bad-condition", x.syntaxHint(w.src, message), "%s cannot be read: %s", in.what, message)
		return false
	}
	w.tree = parsed
	tree := parsed.NativeRep()
	w.at = func(id int64) Pos {
		loc := tree.SourceInfo().GetStartLocation(id)
		return r.inside(t, w.offset, w.src, loc.Line(), loc.Column())
	}
	n := namer{expressions: x, fresh: ast.MaxID(tree), info: tree.SourceInfo(), at: w.at, in: in, make: ast.NewExprFactory()}
	return n.declared(tree.Expr(), nil)
}

// finish types and plans a condition that has been read; nil after an error that it has reported.
func (x *expressions) finish(w *wanted) *Condition {
	r, in := x.r, w.in
	checked, issues := w.typed.tree, w.typed.issues
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			message, hint := checkMessage(e.Message)
			r.errorf(r.inside(w.text, w.offset, w.src, e.Location.Line(), e.Location.Column()), "bad-condition", hint, "%s does not fit: %s", in.what, message)
		}
		return nil
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		r.errorf(r.inside(w.text, w.offset, w.src, 1, 0), "bad-condition", "compare it with something, such as == or > 0", "%s is true or false; this is %s", in.what, typeWords(out))
		return nil
	}
	tree := checked.NativeRep()
	at := func(id int64) Pos {
		loc := tree.SourceInfo().GetStartLocation(id)
		return r.inside(w.text, w.offset, w.src, loc.Line(), loc.Column())
	}
	if !x.sensible(tree, at) {
		return nil
	}
	e := &evaluator{env: x.env, checked: checked, say: x.say(tree)}
	reads := x.reads(tree)
	c := &Condition{Source: w.src, Say: e.say, eval: e.eval, reads: reads, evaluator: e}
	for _, id := range reads {
		n := x.used[id]
		e.reads = append(e.reads, n)
		if n.clock != nil {
			c.passes = append(c.passes, *n.clock)
		}
	}
	return c
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

// sensible reports comparisons that can never be what was meant, such as with a class that does not
// exist.
func (x *expressions) sensible(tree *ast.AST, at func(int64) Pos) bool {
	ok := true
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
			return
		}
		op, a, b := e.AsCall().FunctionName(), e.AsCall().Args()[0], e.AsCall().Args()[1]
		switch op {
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

// isPlace reports a place that no directory writes so: a comparison with it is never so.
func (x *expressions) isPlace(id, code string, pos Pos) bool {
	country, part, parted := strings.Cut(code, "-")
	if isCountry(country) && country != "UK" && (id == "recipient.region") == parted && (!parted || partForm.MatchString(part)) {
		return true
	}
	hint := "write a code of ISO 3166, such as DE, or US-CA of a region"
	switch meant := countryMeant(code); {
	case code == "EU":
		hint = "write recipient.country in ['" + strings.Join(Union[:2], "', '") + "', …]; laws that hold there know it: due: as law"
	case meant != "":
		hint = "write '" + meant + "'"
	case isCountry(country) && parted:
		hint = "a part of a country is recipient.region: recipient.region == '" + code + "'"
	case isCountry(country):
		hint = "a country is recipient.country: recipient.country == '" + code + "'"
	}
	x.r.errorf(pos, "unknown-reference", hint, "no recipient has the %s %s", strings.TrimPrefix(id, "recipient."), short(code))
	return false
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
	case e.Kind() == ast.IdentKind && (e.AsIdent() == "recipient.country" || e.AsIdent() == "recipient.region"):
		return x.isPlace(e.AsIdent(), s, at(constant.ID()))
	case e.Kind() == ast.IdentKind && x.used[e.AsIdent()] != nil && x.used[e.AsIdent()].what != "":
		n := x.used[e.AsIdent()]
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
		if e.Kind() == ast.IdentKind && x.used[e.AsIdent()] != nil {
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

func (x *expressions) syntaxHint(src, message string) string {
	for _, f := range x.p.Facts { // its words, in place of its name
		if strings.EqualFold(strings.TrimSpace(src), f.Say) {
			return "write fact." + f.ID
		}
	}
	switch {
	case strings.Contains(message, "token recognition error") && strings.Contains(src, "="):
		return "compare with ==, combine with && and ||"
	case strings.Contains(" "+src+" ", " and ") || strings.Contains(" "+src+" ", " or ") || strings.Contains(" "+src, " not "):
		return "write && for and, || for or, ! for not"
	case strings.Contains(src, "="):
		return "compare with =="
	case strings.Contains(strings.TrimSpace(src), " "):
		return "a condition names facts and levels: fact.personal_data && severity == 'high'"
	}
	return ""
}

// checkMessage puts CEL's type errors into plain words where it can.
func checkMessage(m string) (message, hint string) {
	switch {
	case strings.HasPrefix(m, "undefined field"):
		return strings.Replace(m, "undefined field", "there is no field", 1), "a check has id and passed; an action has id, uses and state"
	case strings.Contains(m, "does not support field selection"):
		return m, "what stands before the last dot is a value already; leave the rest out"
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
		switch args = strings.Trim(args, "'()"); {
		case strings.Contains(args, "bool") && strings.Contains(args, "string"):
			return fmt.Sprintf("%s cannot take %s", op, args), "a yes or no stands alone: fact.personal_data, or !fact.personal_data"
		case strings.Contains(args, "int") && strings.Contains(args, "string"):
			return fmt.Sprintf("%s cannot take %s", op, args), "both sides of a comparison have one type; a number stands without quotes"
		case strings.Contains(args, "int") && strings.Contains(args, "double"):
			return fmt.Sprintf("%s cannot take %s", op, args), "write a whole number"
		}
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

// evaluator runs one condition. It is planned when it is first asked: most policies that are read
// are only checked.
type evaluator struct {
	env     *cel.Env
	checked *cel.Ast
	reads   []*name
	say     string

	once    sync.Once
	program cel.Program
	broken  error
}

func (e *evaluator) plan() {
	e.program, e.broken = e.env.Program(e.checked, cel.EvalOptions(cel.OptOptimize, cel.OptPartialEval), cel.CostLimit(maxCost))
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
	e.once.Do(e.plan)
	if e.broken != nil {
		return Verdict{Value: Unknown, Why: "it could not be decided whether " + e.say + ": " + oneLine(e.broken.Error())}
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
