package policy

// Condition is a compiled CEL expression with three-valued evaluation. Every name it may read is
// declared and typed; evaluation is bounded by a cost limit.
type Condition struct {
	Source string // as written
	Say    string // in words, as the page and refusals print it
	Pos    Pos
	eval   func(View) Verdict
	reads  []string
	passes []Clock

	evaluator *evaluator // behind eval; nil for a condition that was made from a function
}

// Passes lists the clocks that the condition asks passed('…') of, in the order of the alphabet: the
// condition may change at their limits and at nothing else that time alone brings. It must not be
// changed.
func (c *Condition) Passes() []Clock {
	if c == nil {
		return nil
	}
	return c.passes
}

// Reads lists the names the condition may read, such as fact.personal_data, in the order of the
// alphabet. It must not be changed.
func (c *Condition) Reads() []string {
	if c == nil {
		return nil
	}
	return c.reads
}

// Eval evaluates the condition. A nil Condition is true. An evaluation that fails is Unknown with
// the failure as its reason, never False.
func (c *Condition) Eval(v View) Verdict {
	if c == nil || c.eval == nil {
		return Verdict{Value: True, Why: "no condition"}
	}
	return c.eval(v)
}

// NewCondition makes a condition from a function; tests of the engine use it.
func NewCondition(source, say string, eval func(View) Verdict) *Condition {
	return &Condition{Source: source, Say: say, eval: eval}
}
