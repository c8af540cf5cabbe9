package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/scenarios"
)

// atOnce is how many drills are played at the same time. A drill keeps most of one core busy; more of
// them than cores would measure each other.
var atOnce = min(2, runtime.NumCPU())

// one is a scenario under a policy, and what came of it.
type one struct {
	scenario, policy string
	card             Scorecard
	err              error
	done             chan struct{}
}

// All plays every scenario under every policy that its manifest speaks of and prints what came of each,
// in order, and a table of promises by scenarios. With a file it puts the table between the marks there.
// It reports whether every expectation held; a drill that could not be played counts as one that did not.
func All(ctx context.Context, o Options, file string) (bool, error) {
	var all []*one
	for _, name := range scenarios.Names() {
		m, err := scenarios.Load(name)
		if err != nil {
			return false, err
		}
		for _, policy := range slices.Sorted(maps.Keys(m.Policies)) {
			all = append(all, &one{scenario: name, policy: policy, done: make(chan struct{})})
		}
	}
	dir := o.Dir
	if dir == "" {
		dir = filepath.Join(".drill", "all")
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan *one)
	var players sync.WaitGroup
	defer players.Wait()
	for n := range atOnce {
		players.Go(func() {
			for x := range next {
				play, said := o, bytes.Buffer{}
				play.Scenario, play.Policy, play.Out, play.Err, play.Terminal = x.scenario, x.policy, io.Discard, &said, false
				play.Dir = fmt.Sprintf("%s-%d", dir, n+1)
				x.card, x.err = Run(ctx, play)
				close(x.done)
			}
		})
	}
	go func() {
		defer close(next)
		for _, x := range all {
			select {
			case next <- x:
			case <-ctx.Done():
				return
			}
		}
	}()
	got := map[[3]string]string{} // scenario, policy, promise
	fine := true
	for _, x := range all {
		select {
		case <-x.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		verdict := "as expected"
		switch {
		case x.err != nil:
			verdict, fine = "not played: "+x.err.Error(), false
		case !x.card.OK:
			verdict, fine = fmt.Sprintf("not as expected: %s %v", list(x.card.Broken), x.card.Findings), false
		}
		fmt.Fprintf(o.Out, "%-17s %-12s %5.1f s  %s\n", x.scenario, x.policy, x.card.Elapsed, printable(verdict))
		for _, p := range x.card.Promises {
			got[[3]string{x.scenario, x.policy, p.ID}] = p.Got
		}
	}
	fmt.Fprintf(o.Out, "\n%d drills in %.0f s, %d at a time\n", len(all), time.Since(began).Seconds(), atOnce)
	table, err := scenarios.Table(func(scenario, policy, promise string) string { return got[[3]string{scenario, policy, promise}] })
	if err != nil {
		return false, err
	}
	fmt.Fprintf(o.Out, "\n%s", table)
	if file == "" || !fine { // a table of what went wrong is not what a page should say
		return fine, nil
	}
	page, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	marked, err := scenarios.PutTable(page, table)
	if err != nil {
		return false, errors.Join(fmt.Errorf("%s", file), err)
	}
	return fine, os.WriteFile(file, marked, 0o644)
}
