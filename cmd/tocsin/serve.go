package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/cli"
)

// refused ends a command with the exit code that fits: 3 when something it needs is not there to
// be reached, else 1. The first line of the error is the error; what follows are its hints.
func refused(err error) error {
	if err == nil {
		return nil
	}
	code := cli.ExitRefused
	var away *pgconn.ConnectError
	hints := []string(nil)
	text, rest, more := strings.Cut(err.Error(), "\n")
	if more {
		hints = strings.Split(rest, "\n")
	}
	if errors.As(err, &away) {
		code = cli.ExitUnavailable
		hints = []string{"is the database running, and does it let this account in? A password goes into PGPASSFILE or PGPASSWORD"}
	}
	return &cli.ExitError{Code: code, Err: errors.New(inner.ReplaceAllString(text, "")), Hint: hints}
}

// inner matches the name of the package an error begins with, which says nothing to a user.
var inner = regexp.MustCompile(`^(accesslog|desk|drill|keyring|ledger|postgres|sqlite|translog): `)

func initCommand() *cobra.Command {
	var n app.NewFolder
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a data folder with a configuration and a policy to start from",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n.Dir, _ = cmd.Flags().GetString("data")
			if err := n.Make(time.Now()); err != nil {
				return refused(err)
			}
			file := filepath.Join(n.Dir, "tocsin.yaml")
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"data": n.Dir, "config": file})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made %s\n  next: read %s, then tocsin serve --data %s\n", n.Dir, file, n.Dir)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Organisation, "organisation", "example", "short `ID` of your company: a-z, 0-9, - and .")
	f.StringVar(&n.Name, "name", "Example", "`NAME` of your company, as merchants know it")
	f.StringVar(&n.OwnerName, "owner-name", "", "`NAME` of the first owner (default Owner)")
	f.StringVar(&n.App, "app", "example_app", "`ID` of your first app")
	f.StringVar(&n.Policy, "policy", "shopify-app", "`NAME` of the shipped policy to start from: "+strings.Join(app.ShippedPolicies(), ", "))
	f.StringVar(&n.From, "from", "", "`ADDRESS` that notices come from; mail stays off without it")
	return cmd
}

func serveCommand() *cobra.Command {
	var o app.Options
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: console, API, clocks, workers",
		Long: "Run the server on a data folder. It listens on loopback unless TLS or a trusted\n" +
			"proxy is configured, and prints where it listens and, until an owner has\n" +
			"joined, the one-time link that makes you the owner. On an empty folder it prints\n" +
			"the link that sets it up.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Dir, _ = cmd.Flags().GetString("data")
			if err := checkStore(o.Store); err != nil {
				return err
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelInfo}))
			return refused(serve(cmd, o))
		},
	}
	cmd.Flags().StringVar(&o.Listen, "listen", "", "`ADDRESS` to listen on (default from the configuration, else 127.0.0.1:8080)")
	storeFlag(cmd, &o.Store)
	cmd.Flags().StringVar(&o.Config, "config", "", "configuration `FILE` (default DATA/tocsin.yaml)")
	return cmd
}

func storeFlag(cmd *cobra.Command, store *string) {
	cmd.Flags().StringVar(store, "store", "", "postgres://USER@HOST/DATABASE (`URL`), remembered in the data folder; default SQLite in it")
}

// noArguments refuses arguments of a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &cli.ExitError{Code: cli.ExitUsage, Err: fmt.Errorf("it takes no arguments, and was given %q", args[0]), Hint: []string{"see " + cmd.CommandPath() + " --help"}}
}

// checkStore refuses a password in an argument: arguments are seen by every account of the machine.
func checkStore(store string) error {
	if store == "" {
		return nil
	}
	usage := func(text, hint string) error {
		return &cli.ExitError{Code: cli.ExitUsage, Err: errors.New(text), Hint: []string{hint}}
	}
	u, err := url.Parse(store)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return usage("--store: is no address of a PostgreSQL database", "write it as postgres://tocsin@127.0.0.1/tocsin")
	}
	_, secret := u.User.Password()
	for name := range u.Query() {
		secret = secret || strings.Contains(strings.ToLower(name), "password")
	}
	if secret {
		return usage("--store: takes no password, because every account of this machine can see arguments",
			"put it into a file named by PGPASSFILE, or into the variable PGPASSWORD")
	}
	return nil
}

// serve runs the server until it is asked to end. On an empty folder the first visitor makes the
// installation; what the first hour changes in the configuration is taken up by a new start in the
// same process, on the same address.
func serve(cmd *cobra.Command, o app.Options) error {
	ctx := cmd.Context()
	asJSON, _ := cmd.Flags().GetBool("json")
	var visitor *app.Founding
	var door *app.Door
	if empty, err := app.Empty(o); err != nil {
		return err
	} else if empty {
		if visitor, err = app.Found(o); err != nil {
			return err
		}
		if err := invite(cmd.OutOrStdout(), visitor, asJSON); err != nil {
			o.Log.Warn("the setup link could not be printed", "error", err)
		}
		if err := visitor.Wait(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		door = visitor.Door()
	}
	for first := true; ; first = false {
		a, err := app.New(ctx, o)
		if err == nil {
			a.Behind(door)
			err = a.Start(ctx)
		}
		if visitor != nil {
			link := ""
			if err == nil {
				link = a.Link()
			}
			visitor.Answer(link, err)
			visitor = nil
		}
		if err != nil {
			return err
		}
		if first || a.Link() != "" {
			// The drill's server is asked over its pipe; nobody may be left to read its output.
			if err := announce(cmd.OutOrStdout(), a, asJSON); err != nil {
				o.Log.Warn("where it listens could not be printed", "error", err)
			}
		}
		err = a.Wait(ctx)
		if again := errors.Is(err, app.ErrAgain); !again || ctx.Err() != nil {
			if again {
				err = nil
			}
			return errors.Join(err, a.Stop())
		}
		door = a.Door()
		if err := a.Stop(); err != nil {
			return err
		}
	}
}

// invite prints the link of the first visitor: nobody else can know it, so whoever opens it has seen
// this terminal.
func invite(w io.Writer, f *app.Founding, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(map[string]string{"address": f.URL(), "setup": f.Link()})
		if err != nil {
			return err
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
	_, err := fmt.Fprintf(w, "tocsin listens on %s\nnothing is set up in this folder yet: set it up in a browser on this machine, within %v, once:\n  %s\nor in the terminal: end this with Ctrl-C, then tocsin setup\n", f.URL(), app.FoundingLife, f.Link())
	return err
}

// announce is one write, so that whoever reads the output reads all of it or nothing.
func announce(w io.Writer, a *app.App, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(struct {
			Address  string `json:"address"`
			ReadOnly bool   `json:"read_only"`
			Link     string `json:"link,omitempty"`
		}{a.URL(), a.ReadOnly(), a.Link()})
		if err != nil {
			return err
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tocsin listens on %s\n", a.URL())
	if a.ReadOnly() {
		b.WriteString("this is the folder of a finished drill: it is shown read-only\n")
	}
	if a.Link() != "" {
		what := "sign in as owner, once:"
		if a.ReadOnly() {
			what = "read it, once:"
		}
		fmt.Fprintf(&b, "%s %s\n", what, a.Link())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func rebuildCommand() *cobra.Command {
	var o app.Options
	var table bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make every projection again from the facts, or the table of events from the log (the server must be stopped)",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Dir, _ = cmd.Flags().GetString("data")
			if err := checkStore(o.Store); err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), o)
			if err != nil {
				return refused(err)
			}
			if a.ReadOnly() {
				return refused(errors.Join(errors.New("this is the folder of a finished drill: nothing in it is changed"), a.Stop()))
			}
			asJSON, _ := cmd.Flags().GetBool("json")
			if table {
				rows, err := a.Access().RebuildTable(cmd.Context())
				if err := errors.Join(err, a.Stop()); err != nil {
					return refused(err)
				}
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"rebuilt": true, "events": rows})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "rebuilt the table of %d events from the log\n", rows)
				return nil
			}
			if err := errors.Join(a.Desk().Rebuild(cmd.Context()), a.Stop()); err != nil {
				return refused(err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]bool{"rebuilt": true})
			}
			fmt.Fprintln(cmd.OutOrStdout(), "rebuilt every projection from the facts")
			return nil
		},
	}
	storeFlag(cmd, &o.Store)
	cmd.Flags().StringVar(&o.Config, "config", "", "configuration `FILE` (default DATA/tocsin.yaml)")
	cmd.Flags().BoolVar(&table, "table", false, "the table of access events instead, from the sealed log")
	return cmd
}
