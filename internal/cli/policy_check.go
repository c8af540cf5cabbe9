package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// watching is how often --watch looks at the file. A person who saves sees the answer at once.
const watching = 300 * time.Millisecond

func (a *app) policyCheck() *cobra.Command {
	var watch, shopify bool
	c := &cobra.Command{
		Use: "check FILE", Short: "Check a policy; problems are named FILE:LINE:COL", Args: exactly("FILE"),
		Long: "check compiles a policy and says everything that is wrong with it at once, and what a\n" +
			"reader would look for and not find. Warnings compile. --shopify lays the policy beside\n" +
			"Shopify's requirements of protected customer data.",
	}
	c.Flags().BoolVar(&watch, "watch", false, "check again whenever the file changes, until interrupted")
	c.Flags().BoolVar(&shopify, "shopify", false, "map the requirements of protected customer data to rules of the policy")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if watch {
			return a.watchPolicy(args[0], shopify)
		}
		ok, err := a.checkPolicy(args[0], shopify)
		if err == nil && !ok {
			return &ExitError{Code: ExitRefused}
		}
		return err
	}
	return c
}

// checkPolicy checks a file once and prints what was found.
func (a *app) checkPolicy(file string, shopify bool) (ok bool, err error) {
	src, err := a.policySource(file)
	if err != nil {
		return false, err
	}
	p, diags := policy.Compile(file, src, policy.WithLaws(regimes.Catalogue()), policy.Expecting())
	ok = !policy.HasErrors(diags)
	var rows []policy.Requirement
	if shopify && p != nil {
		rows = p.ShopifyRequirements()
	}
	report := strings.TrimRight(policy.Format(diags, src), "\n")
	if diags == nil {
		diags = []policy.Diagnostic{}
	}
	answer := map[string]any{"file": file, "ok": ok, "report": report, "diagnostics": diags}
	if rows != nil {
		answer["shopify"] = rows
	}
	return ok, a.show(answer, func(w io.Writer) {
		if report != "" {
			fmt.Fprintln(w, a.coloured(lines(report)))
		}
		if ok {
			fmt.Fprintf(w, "%s: ok\n", file)
		}
		if rows != nil {
			fmt.Fprintln(w)
			cells := make([][]string, len(rows))
			for i, r := range rows {
				cells[i] = []string{r.ID, r.Kind, r.What, r.Where}
			}
			a.table(w, 3, []string{"ID", "SHOWN BY", "REQUIREMENT", "WHERE"}, cells)
		}
	})
}

// coloured marks errors, warnings and carets where a person reads on a terminal that has not asked
// for plain text.
func (a *app) coloured(report string) string {
	f, isFile := a.deps.Out.(*os.File)
	if !isFile || a.deps.Getenv("NO_COLOR") != "" || a.deps.Getenv("TERM") == "dumb" {
		return report
	}
	if at, err := f.Stat(); err != nil || at.Mode()&os.ModeCharDevice == 0 {
		return report
	}
	return paint(report)
}

// paint colours the lines of a report by what they are.
func paint(report string) string {
	const red, yellow, bold, plain = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
	all := strings.Split(report, "\n")
	colour := red
	for i, line := range all {
		switch {
		case strings.Contains(line, ": error: "):
			colour = red
			all[i] = strings.Replace(line, ": error: ", ": "+red+bold+"error"+plain+": ", 1)
		case strings.Contains(line, ": warning: "):
			colour = yellow
			all[i] = strings.Replace(line, ": warning: ", ": "+yellow+bold+"warning"+plain+": ", 1)
		case strings.HasPrefix(line, "      | ") && strings.TrimSpace(line[8:]) == "^":
			all[i] = strings.Replace(line, "^", colour+"^"+plain, 1)
		}
	}
	return strings.Join(all, "\n")
}

// watchPolicy checks a file now and whenever its text changes, until it is interrupted. A file that
// is away for a moment, as editors replace it, is waited for.
func (a *app) watchPolicy(file string, shopify bool) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	defer signal.Stop(stop)
	if _, err := a.policySource(file); err != nil {
		return err
	}
	var last []byte
	first := true
	tick := time.NewTicker(watching)
	defer tick.Stop()
	for {
		if src, err := a.policySource(file); err == nil && (first || !bytes.Equal(src, last)) {
			if !first {
				fmt.Fprintln(a.deps.Out)
			}
			first, last = false, src
			if _, err := a.checkPolicy(file, shopify); err != nil {
				return err
			}
		}
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
	}
}

func (a *app) policySchema() *cobra.Command {
	return &cobra.Command{Use: "schema", Short: "The JSON Schema of policies, for editors", Args: exactly(), RunE: func(_ *cobra.Command, _ []string) error {
		_, err := a.deps.Out.Write(policy.Schema())
		return err
	}}
}

func (a *app) policyFmt() *cobra.Command {
	var write, check bool
	c := &cobra.Command{Use: "fmt FILE", Short: "Lay a policy out in the usual way; its meaning stays", Args: exactly("FILE")}
	c.Flags().BoolVarP(&write, "write", "w", false, "write the result to the file")
	c.Flags().BoolVar(&check, "check", false, "only say whether the file is laid out; it ends with 1 if not")
	c.RunE = func(_ *cobra.Command, args []string) error {
		src, err := a.policySource(args[0])
		if err != nil {
			return err
		}
		out, diags := policy.Reformat(args[0], src)
		if policy.HasErrors(diags) {
			return &failure{text: diags[0].String(), hint: "all of it: tocsin policy check " + args[0]}
		}
		same := bytes.Equal(out, src)
		switch {
		case check && same:
			return nil
		case check:
			return &ExitError{Code: ExitRefused, Err: errors.New(args[0] + " is not laid out in the usual way"), Hint: []string{"tocsin policy fmt -w " + args[0]}}
		case !write:
			_, err = a.deps.Out.Write(out)
			return err
		case same:
			return nil
		}
		info, err := os.Stat(args[0])
		if err != nil {
			return err
		}
		// A crash while it is written leaves the old text or the new one, never a part.
		if _, err = writeFile(args[0], func(w io.Writer) error { _, err := w.Write(out); return err }); err == nil {
			err = os.Chmod(args[0], info.Mode().Perm())
		}
		return err
	}
	return c
}
