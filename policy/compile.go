package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/calendar"
)

// defaultPromptly is the target behind "promptly" where a policy sets none.
var defaultPromptly = calendar.Length{N: 4, Unit: calendar.Hour}

// Compile reads a policy. It reports everything it finds, in the order of the source; file only
// names the source in what it reports. The Program is nil when one of the diagnostics is an error.
// The same source always gives an equal Program with the same Hash.
func Compile(file string, src []byte, options ...Option) (*Program, []Diagnostic) {
	c := &compiler{reader: &reader{report: &report{file: file, last: 1 + bytes.Count(src, []byte("\n"))}, src: src}}
	for _, o := range options {
		o(&c.options)
	}
	root := c.parse()
	if root == nil {
		return nil, c.sorted()
	}
	c.p = &Program{Source: slices.Clone(src), Zone: time.UTC, Promptly: defaultPromptly, Starts: "detected", Laws: c.laws}
	sum := sha256.Sum256(src)
	c.p.Hash = "sha256:" + hex.EncodeToString(sum[:])
	c.policy(root)
	diags := c.sorted()
	if HasErrors(diags) {
		return nil, diags
	}
	return c.p, diags
}

// Option changes what Compile is told beside the source.
type Option func(*options)

type options struct {
	laws      Laws
	connected []string
	expecting bool
}

// WithLaws gives the catalogue that clocks written "as law" are answered from. The program keeps it,
// and a policy that is laxer than the law is warned about.
func WithLaws(l Laws) Option { return func(o *options) { o.laws = l } }

// WithChannels names the channels that something is connected to. Without it that is email; a
// channel nobody connects is warned about, because a person then has to send what goes by it.
func WithChannels(names ...string) Option { return func(o *options) { o.connected = names } }

// Expecting warns as well of what a reader of such a policy expects and does not find.
func Expecting() Option { return func(o *options) { o.expecting = true } }

// compiler turns nodes into a Program. It reads every section first, then compiles conditions,
// which may name anything declared, and then checks what only the whole can show.
type compiler struct {
	*reader
	options
	p *Program

	anchors      []reference       // instants that clocks and phases name
	roleRefs     []reference       // roles that rules name
	checkRefs    []reference       // checks that actions name
	guardRefs    []reference       // commands and actions that gates guard
	conditions   []*wanted         // to compile when every name is declared
	ids          map[string]rule   // duties, gates, actions: what the page must show
	wait         map[string][]text // action id to the actions it waits for
	says         map[string]text   // duty id to its own words
	tabled       map[string][]cell // by duty: the cells of tables that fill it
	undue        map[string]Pos    // duties that say no due themselves
	parsing      parsing
	start        string             // where a clock starts that names no start; "" is Program.Starts
	pageNode     *yaml.Node         // read last: it refers to everything
	phaseSays    map[string][]prose // by phase
	usesPromptly bool
}

// rule is something that may carry a promise which the page has to show.
type rule struct {
	kind    string
	promise []string
	pos     Pos
}

func (c *compiler) policy(root *yaml.Node) {
	f := c.fields(root, "the policy")
	if deref(root).Kind != yaml.MappingNode {
		return
	}
	c.ids, c.wait, c.says, c.phaseSays = map[string]rule{}, map[string][]text{}, map[string]text{}, map[string][]prose{}
	c.undue = map[string]Pos{}
	id := f.need("policy", "my_policy")
	id.s = strings.ReplaceAll(id.s, "-", "_") // no condition names it, so a hyphen does no harm
	if id.s != "" && c.id(id.pos, id.s, "a policy") {
		c.p.ID = id.s
	}
	c.p.Title = f.need("title", "Security Incident Response Policy").s
	c.p.Owner = f.need("owner", "Acme Ltd").s
	c.updated(f)
	c.time(f)
	c.scales(f)
	c.classes(f)
	c.facts(f)
	c.milestones(f)
	c.events(f)
	c.roles(f)
	c.parties(f)
	c.checks(f)
	c.actions(f)
	c.duties(f)
	c.asked()
	c.tables(f)
	c.due()
	c.gates(f)
	c.phases(f)
	c.review(f)
	c.contact(f)
	c.places(f)
	c.pageNode = f.vals["page"]

	c.placeholders(root)
	x := &expressions{r: c.reader, p: c.p, names: conditionNames(c.p), used: map[string]*name{}, done: map[string]*Condition{}, passing: c.clock}
	c.parsing.finish()
	if err := x.compileWanted(c.conditions); err != nil {
		c.errorf(Pos{}, "internal", "", "the condition language could not be set up: %v", err)
		return
	}
	c.references()
	c.consistency(f)
	c.page(f)
}

// want has a condition compiled later and handed to set.
func (c *compiler) want(t text, in context, set func(*Condition)) {
	if t.node != nil || t.s != "" {
		c.conditions = append(c.conditions, c.parsing.of(&wanted{text: t, src: t.s, in: in, set: set}))
	}
}

// wantAll has the conjuncts of a condition compiled later, each on its own.
func (c *compiler) wantAll(t text, in context, set func(*Condition)) {
	if len(t.s) > maxExpression {
		c.errorf(t.pos, "bad-condition", "", "%s has more than %d characters", in.what, maxExpression)
		return
	}
	for _, part := range conjuncts(t.s) {
		c.conditions = append(c.conditions, c.parsing.of(&wanted{text: t, offset: part.offset, src: part.s, in: in, set: set}))
	}
}

// when has the condition of a key compiled later and handed to set.
func (c *compiler) when(f fields, key string, in context, set func(*Condition)) {
	if t := f.text(key); t.node != nil {
		c.want(t, in, set)
	}
}

func (c *compiler) pos(p Pos) Pos { p.File = c.file; return p }

func (c *compiler) review(f fields) {
	for _, t := range f.texts("review") {
		if !c.id(t.pos, t.s, "a part of the review") {
			continue
		}
		if slices.Contains(c.p.Review, t.s) {
			c.errorf(t.pos, "duplicate-value", "", "review: %s is named twice", t.s)
			continue
		}
		c.p.Review = append(c.p.Review, t.s)
	}
}

// starting is where a clock starts that names no start.
func (c *compiler) starting() string {
	if c.start != "" {
		return c.start
	}
	return c.p.Starts
}
