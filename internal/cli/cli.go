// Package cli is the command line over the API: every command of the console and the API, for a
// terminal and for scripts. It talks to a running server and never opens the data folder's
// database.
//
// Exit codes: 0 done, 1 refused or invalid, 2 wrong usage, 3 the server is not there.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// Deps is what the commands need of the world.
type Deps struct {
	In       io.Reader
	Out, Err io.Writer
	Now      func() time.Time    // for "in 41 h 12 min"; default time.Now
	Getenv   func(string) string // default os.Getenv
	Version  string              // of the program

	// Examine looks at a data folder that nobody serves. nil: tocsin doctor needs a server.
	Examine func(ctx context.Context, dir string, full bool, progress func(doctor.Progress)) (doctor.Report, error)
}

// The exit codes.
const (
	ExitDone        = 0
	ExitRefused     = 1
	ExitUsage       = 2
	ExitUnavailable = 3
)

// usageError is an error of the person at the keyboard.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

// failure is a refusal of this program itself, with what to do about it.
type failure struct{ text, hint string }

func (e *failure) Error() string { return e.text }

// ExitError ends the program with a code of its own, for commands that other packages add. A nil
// Err prints nothing; each line of Hint is printed below the error.
type ExitError struct {
	Code int
	Err  error
	Hint []string
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}
func (e *ExitError) Unwrap() error { return e.Err }

// app is what the commands of one invocation share.
type app struct {
	deps      Deps
	data      string
	server    string
	tokenFile string
	asJSON    bool
	key       string
}

// New makes the root command with everything that talks to a server. The caller adds its own
// commands (serve, drill, bench) and runs it with Run.
func New(deps Deps) *cobra.Command {
	if deps.In == nil {
		deps.In = strings.NewReader("")
	}
	if deps.Out == nil {
		deps.Out = io.Discard
	}
	if deps.Err == nil {
		deps.Err = io.Discard
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Getenv == nil {
		deps.Getenv = os.Getenv
	}
	a := &app{deps: deps}
	root := &cobra.Command{
		Use:   "tocsin",
		Short: "Run the security incident response policy you publish",
		Long: "Tocsin runs the security incident response policy you publish: it watches the\n" +
			"access log, opens the incident, holds the clocks, contains, works out who is\n" +
			"affected, tells them in time, and proves it.",
		SilenceErrors: true, SilenceUsage: true,
		Version: deps.Version,
		RunE:    needsCommand,
		Args:    cobra.ArbitraryArgs,
	}
	root.SetIn(deps.In)
	root.SetOut(deps.Out)
	root.SetErr(deps.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{text: err.Error(), hint: "see " + c.CommandPath() + " --help"}
	})
	flags := root.PersistentFlags()
	data := deps.Getenv("TOCSIN_DATA")
	if data == "" {
		data = "./tocsin-data"
	}
	flags.StringVar(&a.data, "data", data, "data folder; its socket is the server unless --server is given")
	flags.StringVar(&a.server, "server", deps.Getenv("TOCSIN_SERVER"), "address of the server, such as https://HOST or unix:///PATH")
	flags.StringVar(&a.tokenFile, "token-file", deps.Getenv("TOCSIN_TOKEN_FILE"), "file with your token (default DATA/token)")
	flags.BoolVar(&a.asJSON, "json", false, "print JSON")
	flags.StringVar(&a.key, "idempotency-key", "", "give a write this key: the same key is done once")
	_ = flags.MarkHidden("idempotency-key")

	root.AddCommand(
		a.incidentCommands(), a.suspectCommand(), a.scopeCommand(), a.switchCommands(), a.notifyCommands(), a.reviewCommands(), a.clocksCommand(), a.accessCommands(), a.programmeCommands(), a.probeCommands(), a.integrityCommands(),
		a.evidenceCommands(), a.merchantCommands(), a.peopleCommands(), a.keyCommands(), a.secretCommands(),
		a.ingestCommand(), a.rejectedCommand(), a.policyCommands(), a.lawCommands(), a.detectCommands(), a.whoamiCommand(), a.doctorCommand(), a.watchCommand(), a.manCommand(),
	)
	a.completeIncidents(root)
	return root
}

// Run runs the command line and gives the exit code. Errors are one line on Err, with a hint below.
func Run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		forShell(root)
	}
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	code, text, hint := explain(err)
	var away *client.UnavailableError
	if ctx.Err() != nil && errors.As(err, &away) {
		// It is not the server that went away.
		text, hint = "interrupted before the server answered", hints("a command that changes something may have been taken: look before giving it again")
	}
	var leave *ExitError
	if errors.As(err, &leave) && leave.Err == nil {
		return leave.Code
	}
	w := root.ErrOrStderr()
	fmt.Fprintf(w, "%s: %s\n", ran.CommandPath(), oneLine(text))
	for _, line := range hint {
		fmt.Fprintf(w, "  %s\n", oneLine(line))
	}
	return code
}

// explain sorts an error into an exit code, a line and the hints below it.
func explain(err error) (code int, text string, hint []string) {
	var usage *usageError
	var fail *failure
	var refused *client.Error
	var away *client.UnavailableError
	var leave *ExitError
	switch {
	case errors.As(err, &leave):
		return leave.Code, leave.Error(), leave.Hint
	case errors.As(err, &usage):
		return ExitUsage, usage.text, hints(usage.hint)
	case errors.As(err, &fail):
		return ExitRefused, fail.text, hints(fail.hint)
	case errors.As(err, &away):
		return ExitUnavailable, away.Error(), hints("is it running? tocsin serve")
	case errors.As(err, &refused):
		text = refused.Detail
		if text == "" {
			text = refused.Title
		}
		for _, m := range refused.Missing {
			line := "missing: " + m.What
			if m.Do != "" {
				line += " — " + m.Do
			}
			if m.Rule != "" {
				line += " (rule " + m.Rule + ")"
			}
			hint = append(hint, line)
		}
		code = ExitRefused
		switch {
		case refused.Reason == "not_found" && len(hint) == 0:
			hint = append(hint, "nothing of that id is there, or you may not see it: the list command of the same group shows what there is")
		case refused.Status == 401:
			hint = append(hint, "join with your invitation: tocsin people join, or name another --token-file")
		case refused.Status >= 500 || refused.Status == 429:
			code = ExitUnavailable
		}
		return code, text + reason(refused.Reason), hint
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ExitUnavailable, "stopped before the server answered", nil
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return ExitRefused, err.Error(), nil
	}
	return ExitRefused, err.Error(), nil
}

func reason(r string) string {
	if r == "" {
		return ""
	}
	return " [" + r + "]"
}

func hints(h string) []string {
	if h == "" {
		return nil
	}
	return []string{h}
}

// needsCommand is what a command that only groups others does.
func needsCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{text: fmt.Sprintf("there is no command %q", args[0]), hint: "see " + c.CommandPath() + " --help"}
	}
	return &usageError{text: "a command is missing", hint: "see " + c.CommandPath() + " --help"}
}

func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: needsCommand}
	c.AddCommand(commands...)
	return c
}

// exactly asks for exactly these arguments, naming those that are missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(args) < len(names) {
			verb := " is missing"
			if len(names)-len(args) > 1 {
				verb = " are missing"
			}
			return &usageError{text: strings.Join(names[len(args):], " and ") + verb, hint: "usage: " + c.UseLine()}
		}
		return &usageError{text: fmt.Sprintf("too many arguments, beginning with %q", args[len(names)]), hint: "usage: " + c.UseLine()}
	}
}

// Exactly takes as many arguments as it has names for; what the program adds to these commands says the
// same about one that is missing.
func Exactly(names ...string) cobra.PositionalArgs { return exactly(names...) }

// atMost allows up to n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return &usageError{text: fmt.Sprintf("too many arguments, beginning with %q", args[n]), hint: "usage: " + c.UseLine()}
		}
		return nil
	}
}

// connect makes the client. The token is read from its file; it is never taken from an argument or
// shown by ps.
func (a *app) connect(more ...client.Option) (*client.Client, error) {
	server := a.server
	if server == "" {
		socket, err := filepath.Abs(filepath.Join(a.data, "tocsin.sock"))
		if err != nil {
			return nil, &failure{text: "the data folder's path cannot be resolved", hint: "name it with --data DIR"}
		}
		server = "unix://" + socket
	}
	options := append([]client.Option{client.WithAgent("tocsin/" + a.deps.Version)}, more...)
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	if token != "" {
		options = append(options, client.WithToken(token))
	}
	c, err := client.New(server, options...)
	if err != nil {
		return nil, &usageError{text: strings.TrimPrefix(err.Error(), "client: "), hint: "see tocsin --help"}
	}
	return c, nil
}

// Connect is the client of a command that stands beside those of this package, by the same flags.
func Connect(cmd *cobra.Command) (*client.Client, error) {
	a := &app{}
	a.data, _ = cmd.Flags().GetString("data")
	a.server, _ = cmd.Flags().GetString("server")
	a.tokenFile, _ = cmd.Flags().GetString("token-file")
	return a.connect(client.WithTries(1, 0))
}

// tokenPath is where the token is kept.
func (a *app) tokenPath() string {
	if a.tokenFile != "" {
		return a.tokenFile
	}
	return filepath.Join(a.data, "token")
}

func (a *app) token() (client.Token, error) {
	path := a.tokenPath()
	raw, err := readLimited(path, 4<<10)
	if err != nil {
		if a.tokenFile == "" && errors.Is(err, os.ErrNotExist) {
			return "", nil // the server says that a token is needed, where one is
		}
		return "", &failure{text: "the token file cannot be read: " + path, hint: "give another with --token-file FILE"}
	}
	return client.Token(strings.TrimSpace(string(raw))), nil
}

// context gives the context of a call, with the idempotency key if one was given.
func (a *app) context(c *cobra.Command) context.Context {
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	if a.key != "" {
		ctx = client.WithKey(ctx, a.key)
	}
	return ctx
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return raw, err
}
