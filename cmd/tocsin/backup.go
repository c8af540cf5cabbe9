package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

// usageOf is an error of the person at the keyboard.
func usageOf(text, hint string) error {
	return &cli.ExitError{Code: cli.ExitUsage, Err: errors.New(text), Hint: []string{hint}}
}

func backupCommand() *cobra.Command {
	var to string
	var recipients []string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Back a data folder up while its server runs",
		Long: "Copy facts, events, logs and configuration as they are at one moment, beside a\n" +
			"running server or without one, and verify what was written. Keys and secrets\n" +
			"are left out unless --recipient encrypts them. A file that ends with .tar.age is\n" +
			"encrypted as a whole: the addresses of merchants are in a backup too.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("data")
			if to == "" {
				return usageOf("--to: is missing", "name a folder that is empty or not there, or a file that ends with .tar or .tar.age")
			}
			list, err := backup.Recipients(recipients)
			if err != nil {
				return usageOf("--recipient: "+err.Error(), "it looks like age1…")
			}
			if backup.Sealed(to) && len(list) == 0 {
				return usageOf("--recipient: is missing", "a .tar.age is encrypted: say to whom, such as age1…")
			}
			in, err := app.ReadFolder(dir)
			if err != nil {
				return refused(err)
			}
			cfg, err := app.LoadConfig(dir, "")
			if err != nil {
				return refused(err)
			}
			logs, done, err := cfg.Sources(cmd.Context())
			if err != nil {
				return refused(err)
			}
			defer func() { _ = done() }() // they were only read
			m, err := backup.Create(cmd.Context(), backup.CreateOptions{Dir: dir, Facts: logs["facts"], Events: logs["events"], To: to, Installation: in.ID, Organisation: cfg.Organisation.ID,
				Engine: desk.EngineVersion, Recipients: list, Now: time.Now()})
			if err != nil {
				return refused(err)
			}
			var bytes int64
			for _, f := range m.Files {
				bytes += f.Size
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"to": to, "created": m.Created, "files": len(m.Files), "bytes": bytes,
					"facts_log": m.FactsLog, "events_log": m.EventsLog, "store": m.Store, "keys": m.Keys})
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "backed up to %s and verified: %d files, %d bytes\n", to, len(m.Files), bytes)
			fmt.Fprintf(out, "  facts log %d leaves, event log %d leaves, at %s\n", m.FactsLog, m.EventsLog, m.Created.Format("2006-01-02 15:04:05Z"))
			fmt.Fprintf(out, "  keys: %s\n", m.Keys)
			if m.Store == "postgres" {
				fmt.Fprintln(out, "  the facts are in PostgreSQL and not in this backup: take pg_dump of the database too")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`PATH` of an empty folder, or of a new .tar or .tar.age")
	cmd.Flags().StringSliceVar(&recipients, "recipient", nil, "`AGE` recipient that keys and secrets are encrypted to; may be repeated")
	return cmd
}

func restoreCommand() *cobra.Command {
	var o backup.RestoreOptions
	var identity string
	var lost bool
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Restore an installation into a new data folder",
		Long: "Restore from a backup, from the off-box copy, or from both: then what is newer\n" +
			"than the backup comes from the copy. Everything is checked first, and every\n" +
			"alteration is named. The old server must not run any more.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Dir, _ = cmd.Flags().GetString("data")
			if o.From == "" && o.Copy == "" {
				return usageOf("--from: is missing", "name a backup with --from, an off-box copy with --copy, or both")
			}
			if identity != "" {
				list, err := backup.Identities(identity)
				if err != nil {
					return refused(fmt.Errorf("--identity: %w", err))
				}
				o.Identities = append([]age.Identity(nil), list...)
			}
			if o.From == "" {
				cfg, err := app.LoadConfig(filepath.Join(o.Copy, "folder"), "")
				if err != nil {
					return refused(fmt.Errorf("--copy: %w", err))
				}
				o.Organisation = cfg.Organisation.ID
			}
			o.Now = time.Now()
			elsewhere := false
			o.Logs = func(ctx context.Context, dir string) (map[string]translog.Source, func() error, error) {
				cfg, err := app.LoadConfig(dir, "")
				if err != nil {
					return nil, nil, err
				}
				if elsewhere = cfg.LogsElsewhere(); lost {
					return nil, func() error { return nil }, nil
				}
				logs, done, err := cfg.Sources(ctx)
				if err != nil {
					err = fmt.Errorf("%w; if they are lost, restore what the backup and the copy hold of them with --logs-lost", err)
				}
				return logs, done, err
			}
			r, err := backup.Restore(cmd.Context(), o)
			if err != nil {
				return refused(err)
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "restored %d facts into %s; every digest, chain and log was checked\n", r.Facts, o.Dir)
			if r.Whole {
				fmt.Fprintf(out, "  from the copy: %d facts and %d events that the backup did not have\n", r.Newer, r.Events)
			} else {
				fmt.Fprintln(out, "  without a copy, what was done after the backup is not known: mail it says is owed is left to a person")
			}
			if elsewhere {
				fmt.Fprintf(out, "  next: make sure that the old server is off, put the logs where tocsin.yaml says\n  with tocsin move-logs --data %s, then tocsin serve --data %s\n", o.Dir, o.Dir)
				return nil
			}
			fmt.Fprintf(out, "  next: make sure that the old server is off, then tocsin serve --data %s\n", o.Dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.From, "from", "", "`PATH` of a backup: a folder, a .tar or a .tar.age")
	cmd.Flags().StringVar(&o.Copy, "copy", "", "`DIR` of the off-box copy (copy.to)")
	cmd.Flags().StringVar(&identity, "identity", "", "`FILE` of the age identity that the keys were encrypted to")
	cmd.Flags().BoolVar(&lost, "logs-lost", false, "do not ask the logs that tocsin.yaml places elsewhere")
	cmd.Flags().StringVar(&o.KeysDir, "keys", "", "`DIR` that holds the folders keys and secrets, kept apart")
	return cmd
}

func moveLogsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "move-logs",
		Short: "Move both logs from the data folder to where tocsin.yaml says",
		Long: "Copy the facts log and the event log from the data folder to the places that\n" +
			"logs.facts and logs.events of tocsin.yaml name, check every leaf there, and keep\n" +
			"the folders under another name. The server must not run.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("data")
			moved, err := app.MoveLogs(cmd.Context(), dir)
			if err != nil {
				return refused(err)
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"moved": moved})
			}
			out := cmd.OutOrStdout()
			if len(moved) == 0 {
				fmt.Fprintln(out, "both logs are where tocsin.yaml says: nothing was changed")
			}
			for _, m := range moved {
				fmt.Fprintf(out, "moved the %s log to %s: %d leaves, all of them checked\n  the folder is kept as %s: remove it when the server has run\n", m.Log, m.To, m.Leaves, m.Kept)
			}
			return nil
		},
	}
}
