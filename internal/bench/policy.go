package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/policy"
)

// longPolicy writes a policy of about so many lines with everything a long one has: conditions,
// tables, gates, actions and a page.
func longPolicy(lines int) string {
	var b strings.Builder
	b.WriteString(`policy: bench
title: Security Incident Response Policy
owner: Bench Ltd
time: { zone: Europe/Berlin, business: "Mon-Fri 09:00-17:30", holidays: DE-BE, promptly: 4h, starts: detected }
scales:
  severity:
    critical: { means: "Customer data exposed", when: fact.fact_0 && fact.fact_1 }
    high: { means: "An outsider could reach it", when: fact.fact_0 }
    standard: { means: "Anything else" }
parties:
  merchants: { affected: scope.merchants, all: directory.merchants }
roles:
  lead: { does: "decides", holder: lena }
  comms: { does: "writes", holder: omar }
`)
	// Of ten lines six are duties, and the others what goes with them.
	n := max(lines/10, 1)
	section := func(name string, count int, line func(i int) string) {
		b.WriteString(name + ":\n")
		for i := range count {
			b.WriteString("  " + line(i) + "\n")
		}
	}
	section("classes", n/2, func(i int) string {
		return fmt.Sprintf("class_%d: { means: \"What happened in the way %d\", signals: [signal_%d] }", i, i, i)
	})
	section("facts", n, func(i int) string {
		return fmt.Sprintf("fact_%d: { ask: \"Is it so?\", by: lead, say: \"it is so in the way %d\" }", i, i)
	})
	b.WriteString("duties:\n  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 8h after detected }\n")
	for i := range 3 * n / 4 {
		fmt.Fprintf(&b, "  act_%d: { who: lead, do: perform, task: \"do the thing %d\", when: \"fact.fact_%d || severity >= 'high'\", due: %dh after detected, late: { 15min: lead } }\n", i, i, i%n, i+2)
		fmt.Fprintf(&b, `  tell_%d:
    who: comms
    do: notify
    to: merchants.affected
    when: "fact.fact_%d && recipient.customers > %d"
    due: [%dh after confirmed, as contract]
    content: [what_happened, item_%d]
    approve: lead
`, i, (i+1)%n, i, 24+i, i)
	}
	b.WriteString("tables:\n  - by: severity\n")
	for _, level := range []string{"critical", "standard"} {
		fmt.Fprintf(&b, "    %s:\n", level)
		for i := range n / 4 {
			fmt.Fprintf(&b, "      act_%d: %dh..%dh\n", i, i+1, i+2)
		}
	}
	section("actions", n/4, func(i int) string {
		return fmt.Sprintf("action_%d: { uses: connector_%d, means: \"stop the thing %d\", when: class == 'class_%d' }", i, i, i, i)
	})
	section("gates", n/4, func(i int) string {
		return fmt.Sprintf("- { id: gate_%d, guards: action_%d, need: \"evidence.snapshot && fact.fact_%d\", otherwise: \"Not before that.\" }", i, i, i)
	})
	section("page", n/2, func(i int) string {
		return fmt.Sprintf("- \"We tell everybody {duties.tell_%d.due}, saying {duties.tell_%d.content}.\"", i, i)
	})
	return b.String()
}

// hostileTexts are made to cost a compiler much.
func hostileTexts() map[string]string {
	laughs := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		prev := string(c - 1)
		laughs += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+", ", 9) + "*" + prev + "]\n"
	}
	head := "policy: bad\ntitle: Policy\nowner: Acme\nroles: { lead: { does: decides, holder: lena } }\n"
	return map[string]string{
		"a billion laughs":    laughs,
		"nested lists":        strings.Repeat("[", 1<<20),
		"nested mappings":     "policy: " + strings.Repeat("{a: ", 1<<18),
		"many keys":           strings.Repeat("k: 1\n", 200_000),
		"a long text":         "policy: " + strings.Repeat("a", 1<<20-20),
		"a nested condition":  head + "duties: { a: { who: lead, do: contain, due: 1h after detected, when: \"" + strings.Repeat("(", 3000) + "\" } }",
		"many conjuncts":      head + "gates: [ { guards: restore, need: \"" + strings.Repeat("fix.verified && ", 60_000) + "fix.verified\" } ]",
		"a page of brackets":  head + "page: [\"" + strings.Repeat("{", 300_000) + "\", \"" + strings.Repeat("{a}", 100_000) + "\"]",
		"a page of sentences": head + "page: [\"" + strings.Repeat("A b 5 days. C {owner}. ", 40_000) + "\"]",
		"many anchors":        head + "duties: { a: { who: lead, do: contain, due: 1h after " + strings.Repeat("detected or ", 80_000) + "detected } }",
	}
}

// policies measures the compiler: on a long policy, beside reading its YAML alone, and on texts
// that are made to cost much; and what the engine makes of policies with many recipients.
func policies(ctx context.Context, o Options) ([]Result, error) {
	src := []byte(longPolicy(o.of(2000)))
	lines := strings.Count(string(src), "\n")
	compile := func() (float64, error) {
		began := time.Now()
		p, diags := policy.Compile("bench.yaml", src)
		took := time.Since(began)
		if p == nil {
			return 0, errors.New(diags[0].String())
		}
		return float64(took) / float64(time.Millisecond), nil
	}
	decode := func() (float64, error) {
		began := time.Now()
		var out any
		err := yaml.Unmarshal(src, &out)
		return float64(time.Since(began)) / float64(time.Millisecond), err
	}
	all, err := alternate(ctx, o, 9, compile, decode)
	if err != nil {
		return nil, err
	}
	results := []Result{figure("compile", "ms", "lower", all[0], "the YAML alone, into maps", all[1], fmt.Sprintf("a policy of %d lines, page and all", lines))}
	worst, mostMemory := "", ""
	var most float64
	hostile := func() (float64, error) {
		slowest := time.Duration(0)
		for name, text := range hostileTexts() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			policy.Compile("bench.yaml", []byte(text))
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if took > slowest {
				slowest, worst = took, name
			}
			if mb := float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20); mb > most {
				most, mostMemory = mb, name
			}
		}
		return float64(slowest) / float64(time.Millisecond), nil
	}
	rounds, err := alternate(ctx, o, 5, hostile)
	if err != nil {
		return nil, err
	}
	for _, measure := range []func(context.Context, Options) (Result, error){explained, wakes} {
		r, err := measure(ctx, o)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return append(results, figure("hostile", "ms", "lower", rounds[0], "", nil,
		fmt.Sprintf("the slowest of %d texts of up to 1 MiB (%s); most memory %.0f MB in all, never at once (%s)", len(hostileTexts()), worst, most, mostMemory))), nil
}
