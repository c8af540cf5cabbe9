package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/internal/bench"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/drill"
	"github.com/tocsin-ir/tocsin/internal/translog/driver"
	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/scenarios"
)

func drillCommand() *cobra.Command {
	var o drill.Options
	var all, leash bool
	var table, against string
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Play a breach on real processes and judge which promises were kept",
		Long: "Plays a breach on real processes, from the first event to the published review,\n" +
			"and lets a judge that shares no code with the responder say which promises were\n" +
			"kept. Exit 0 only if every expectation of the scenario held.\n\n" +
			"Scenarios:\n" + scenarios.List(),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkStore(o.Store); err != nil {
				return err
			}
			for name, url := range map[string]string{"--facts-log": o.Logs.Facts, "--events-log": o.Logs.Events} {
				if _, err := driver.Parse(driver.Config{URL: url}, ""); url != "" && err != nil {
					return &cli.ExitError{Code: cli.ExitUsage, Err: fmt.Errorf("%s: %w", name, err), Hint: []string{"docs/operator.md, Where the logs are kept"}}
				}
			}
			if against != "" {
				return drillAgainst(cmd, against, o.Scenario)
			}
			if leash {
				ctx, cancel := context.WithCancel(cmd.Context())
				defer cancel()
				go func() {
					_, _ = io.Copy(io.Discard, cmd.InOrStdin()) // it says nothing: its end is what counts
					cancel()
				}()
				cmd.SetContext(ctx)
			}
			o.JSON, _ = cmd.Flags().GetBool("json")
			o.In, o.Out, o.Err, o.Policies = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), policies.FS
			if s, err := os.Stderr.Stat(); err == nil {
				o.Terminal = s.Mode()&os.ModeCharDevice != 0
			}
			if all {
				fine, err := drill.All(cmd.Context(), o, table)
				if err == nil && !fine {
					err = &cli.ExitError{Code: cli.ExitRefused}
				}
				return err
			}
			card, err := drill.Run(cmd.Context(), o)
			if err != nil {
				return refused(err)
			}
			if !card.OK {
				return &cli.ExitError{Code: cli.ExitRefused}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Policy, "policy", "pickandpack", "policy `ID` or file")
	f.StringVar(&o.Scenario, "scenario", scenarios.Default, "`NAME` of the scenario")
	f.Uint64Var(&o.Seed, "seed", 7, "seed (`N`) of everything that is random")
	f.StringVar(&o.Sabotage, "sabotage", "", "`NAME` of an organ to break: the drill has to fail and name its promises")
	f.IntVar(&o.Kills, "kills", 0, "kill -9 the server `N` times at random instants")
	f.DurationVar(&o.KillEvery, "kill-every", 0, "with --kills: at this distance, such as 150ms")
	f.StringVar(&o.Store, "store", "", "postgres://USER@HOST/DATABASE (`URL`); default SQLite")
	f.StringVar(&o.Logs.Facts, "facts-log", "", "where the facts log is kept (`URL`), such as mysql://USER@HOST/DATABASE, empty; default: the drill's folder")
	f.StringVar(&o.Logs.Events, "events-log", "", "where the event log is kept (`URL`)")
	f.StringVar(&o.Background, "background", "", "folder (`DIR`) of CloudTrail files to stand in the timeline")
	f.StringVar(&o.Events, "events", "", "replay this log (NDJSON `FILE`) instead of the generated one")
	f.StringVar(&o.Merchants, "merchants", "", "merchants of that log (CSV `FILE`)")
	f.StringVar(&o.Truth, "truth", "", "what of it was the attack (NDJSON `FILE`)")
	f.BoolVar(&o.Interactive, "interactive", false, "you respond, in the console and at the command line; scored afterwards")
	f.BoolVar(&o.Hints, "hints", false, "with --interactive: say what comes next")
	f.BoolVar(&all, "all", false, "every scenario under every shipped policy, and a table of what they show")
	f.StringVar(&table, "table", "", "with --all: put the table between its marks in this page (`FILE`)")
	f.StringVar(&against, "against", "", "have the installation at `URL` play it with its own policy; needs an owner's token")
	f.BoolVar(&leash, "leash", false, "end when standard input ends")
	_ = f.MarkHidden("leash") // a server holds it
	f.StringVar(&o.Dir, "keep", "", "`DIR` to leave the drill in (default .drill/last)")
	return cmd
}

// drillProcessCommand runs one of the drill's own processes. It is hidden because only the
// conductor starts it.
func drillProcessCommand() *cobra.Command {
	return &cobra.Command{
		Use: "drill-process NAME", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := drill.Process(cmd.Context(), args[0], os.Stdin, os.Stdout)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return refused(err)
		},
	}
}

func benchCommand() *cobra.Command {
	var o bench.Options
	cmd := &cobra.Command{
		Use:   "bench NAME",
		Short: "Measure, beside what you would use instead",
		Long: "Measures one thing, or all, with a baseline from the same run. Ends within four\n" +
			"minutes on two cores; --full runs the large rows, and --rows takes its own time.",
		Args: cli.Exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := bench.Find(args[0])
			if err != nil {
				return &cli.ExitError{Code: cli.ExitUsage, Err: err}
			}
			asJSON, _ := cmd.Flags().GetBool("json")
			var all []bench.Result
			for _, b := range list {
				if !asJSON {
					fmt.Fprintf(cmd.ErrOrStderr(), "measuring %s: %s\n", b.Name, b.Says)
				}
				results, err := bench.Measure(cmd.Context(), b, o)
				if err != nil {
					return refused(fmt.Errorf("%s: %w", b.Name, err))
				}
				all = append(all, results...)
			}
			if asJSON {
				return bench.WriteJSON(cmd.OutOrStdout(), all)
			}
			return bench.WriteTable(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().BoolVar(&o.Full, "full", false, "run the large rows too")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "folder on the disk to measure; the run's files are removed (default: the system's folder for temporary files)")
	cmd.Flags().StringVar(&o.NAB, "nab", "", "detect: folder with data/ and labels/ in the form of the Numenta benchmark, to be scored")
	cmd.Flags().StringVar(&o.Rules, "rules", "", "detect: folder of Sigma rules (default: TOCSIN_TEST_SIGMA, else made-up ones)")
	cmd.Flags().StringVar(&o.Records, "records", "", "detect: folder of CloudTrail files (default: TOCSIN_TEST_CLOUDTRAIL, else made-up records)")
	cmd.Flags().StringVar(&o.ThresholdFrom, "threshold-from", "", "detect: such a folder that fixes the threshold (default: the one that is scored)")
	cmd.Flags().StringVar(&o.Events, "events", "", "detect: your own access events, a JSON object a line, to be scored with --truth")
	cmd.Flags().IntVar(&o.Count, "rows", 0, "scope: how many events the columns have (default 2,000,000; with --full 20,000,000 and 100,000,000)")
	cmd.Flags().StringVar(&o.Table, "table", "", "scope: folder in which the tables of events are kept, and taken from when they are there (default: made anew and removed)")
	cmd.Flags().StringVar(&o.Truth, "truth", "", "detect: which of them belong to attacks, lines of {\"event\":\"ID\",\"attack\":\"NAME\"}")
	return cmd
}
