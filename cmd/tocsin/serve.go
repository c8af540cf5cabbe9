package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
)

// refused ends a command with exit code 1.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return &cli.ExitError{Code: cli.ExitRefused, Err: err}
}

func initCommand() *cobra.Command {
	var organisation, name, appID, from string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a data folder with a configuration and a policy to start from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("data")
			if err := initFolder(dir, organisation, name, appID, from); err != nil {
				return refused(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made %s\n  next: read %s, then tocsin serve --data %s\n", dir, filepath.Join(dir, "tocsin.yaml"), dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&organisation, "organisation", "example", "short id of your company: a-z, 0-9, - and .")
	cmd.Flags().StringVar(&name, "name", "Example", "name of your company, as merchants know it")
	cmd.Flags().StringVar(&appID, "app", "example_app", "id of your first app")
	cmd.Flags().StringVar(&from, "from", "", "address that notices come from; mail stays off without it")
	return cmd
}

const starter = `# Configuration of Tocsin. Every field is explained in docs/operator.md.
organisation: { id: %s, name: %q }
# public_url: https://security.example.com
listen: 127.0.0.1:8080
apps:
  - { id: %s, name: %q }
policy: policies/policy.yaml
%s
# connectors: how a token is revoked and a secret rotated; see docs/operator.md
connectors:
  shop_switch: { type: switch }
checks: {}
`

func initFolder(dir, organisation, name, appID, from string) error {
	file := filepath.Join(dir, "tocsin.yaml")
	if _, err := os.Stat(file); err == nil {
		return fmt.Errorf("%s is there already: nothing was changed", file)
	}
	if _, err := app.CreateFolder(dir, "production", time.Now()); err != nil {
		return err
	}
	mail := "# mail: { relay: smtp.example.com:587, from: \"Example Security <security@example.com>\", username: \"\", password_file: secrets/smtp }"
	if from != "" {
		mail = fmt.Sprintf("mail: { relay: 127.0.0.1:25, from: %q, tls: none }", from)
	}
	source, err := policies.FS.ReadFile("pickandpack.yaml")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "policies"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "policies", "policy.yaml"), source, 0o600); err != nil {
		return err
	}
	return os.WriteFile(file, fmt.Appendf(nil, starter, organisation, name, appID, name, mail), 0o600)
}

func serveCommand() *cobra.Command {
	var o app.Options
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: console, API, clocks, workers",
		Long: "Run the server on a data folder. It listens on loopback unless TLS or a trusted proxy is configured, and prints\n" +
			"where it listens and, on the first start, the one-time link that makes you the owner.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Dir, _ = cmd.Flags().GetString("data")
			if err := checkStore(o.Store); err != nil {
				return err
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelInfo}))
			return refused(serve(cmd, o))
		},
	}
	cmd.Flags().StringVar(&o.Listen, "listen", "", "address to listen on (default from the configuration, else 127.0.0.1:8080)")
	cmd.Flags().StringVar(&o.Store, "store", "", "postgres://USER@HOST/DATABASE; default SQLite in the data folder")
	cmd.Flags().StringVar(&o.Config, "config", "", "configuration file (default DATA/tocsin.yaml)")
	return cmd
}

// checkStore refuses a password in an argument: arguments are seen by every account of the machine.
func checkStore(store string) error {
	if store == "" {
		return nil
	}
	u, err := url.Parse(store)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return &cli.ExitError{Code: cli.ExitUsage, Err: errors.New("--store: has to be a URL such as postgres://tocsin@127.0.0.1/tocsin")}
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return &cli.ExitError{Code: cli.ExitUsage, Err: errors.New("--store: takes no password, because arguments can be seen by others: use PGPASSFILE or PGPASSWORD")}
	}
	return nil
}

func serve(cmd *cobra.Command, o app.Options) error {
	ctx := cmd.Context()
	a, err := app.New(ctx, o)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	announce(cmd.OutOrStdout(), a)
	err = a.Wait(ctx)
	return errors.Join(err, a.Stop())
}

func announce(w io.Writer, a *app.App) {
	fmt.Fprintf(w, "tocsin listens on http://%s\n", a.Addr())
	if a.ReadOnly() {
		fmt.Fprintln(w, "this is the folder of a finished drill: it is shown read-only")
	}
	if a.Link() != "" {
		what := "sign in as owner, once:"
		if a.ReadOnly() {
			what = "read it, once:"
		}
		fmt.Fprintf(w, "%s %s\n", what, a.Link())
	}
}

func rebuildCommand() *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make every projection again from the facts (the server must be stopped)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("data")
			if err := checkStore(store); err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), app.Options{Dir: dir, Store: store})
			if err != nil {
				return refused(err)
			}
			err = errors.Join(a.Desk().Rebuild(cmd.Context()), a.Stop())
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "rebuilt every projection from the facts")
			}
			return refused(err)
		},
	}
	cmd.Flags().StringVar(&store, "store", "", "postgres://USER@HOST/DATABASE; default SQLite in the data folder")
	return cmd
}

// policyTool gives the command line the policy language.
type policyTool struct{}

func (policyTool) Check(file string, src []byte) (string, bool) {
	_, diags := policy.Compile(file, src)
	return strings.TrimRight(policy.Format(diags, src), "\n"), !policy.HasErrors(diags)
}

func (policyTool) Page(file string, src []byte, format string) ([]byte, error) {
	p, diags := policy.Compile(file, src)
	if policy.HasErrors(diags) {
		return nil, errors.New(policy.Format(diags, src))
	}
	if format == "md" {
		return p.Markdown(), nil
	}
	return p.HTML(), nil
}
