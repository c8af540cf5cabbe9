package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/scope"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tocsin": func() {
		deps := cli.Deps{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: func() time.Time { return now }, Version: "test"}
		os.Exit(cli.Run(context.Background(), cli.New(deps), os.Args[1:]))
	}})
}

// TestScripts runs each script against a server of its own. The scripts get SERVER, the data folder
// with its socket, and token files of three people.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
		Setup: func(env *testscript.Env) error {
			d, owner := desktest.New(now)
			fill(d)
			mux := http.NewServeMux()
			mux.Handle("/", httpapi.New(d, httpapi.Options{PublicURL: "https://security.example.com"}))
			server := httptest.NewServer(mux)
			env.Defer(server.Close)
			data := filepath.Join(env.WorkDir, "tocsin-data")
			if err := os.MkdirAll(data, 0o700); err != nil {
				return err
			}
			socket, err := net.Listen("unix", filepath.Join(data, "tocsin.sock"))
			if err != nil {
				return err
			}
			local := &http.Server{Handler: mux}
			go local.Serve(socket)
			env.Defer(func() { local.Close() })
			d.ExportFile = filepath.Join(env.WorkDir, "export.bin")
			if err := os.WriteFile(d.ExportFile, []byte("tocsin-export/v1\n"), 0o600); err != nil {
				return err
			}
			files := map[string]string{
				"owner.token": owner, "omar.token": d.Join("omar", "Omar", incident.Responder),
				"ingest.token": d.MachineKey("ingest", "app", "pickandpack"), "tocsin-data/token": owner,
			}
			for name, token := range files {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(token+"\n"), 0o600); err != nil {
					return err
				}
			}
			env.Setenv("SERVER", server.URL)
			env.Setenv("COLUMNS", "100")
			return nil
		},
	})
}

// code runs a command and checks its exit code: code N COMMAND ARGS.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command args")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func fill(d *desktest.Desk) {
	s := incident.NewState("INC-1")
	s.Title, s.Class, s.Severity, s.Status = "Credential exposure", "unauthorised_access", "critical", incident.StatusOpen
	s.Milestones["confirmed"] = &incident.Milestone{At: now.Add(-20 * time.Minute), By: "person:lena"}
	s.Attachments = []incident.Attachment{{ID: "ATT-1", Name: "dump.html"}}
	s.Actions = []*incident.Action{{ID: "ACT-1", Decl: "revoke_token", State: incident.ActionPlanned, Target: map[string]string{"credential": "tok_9f"},
		Steps: []string{"Revoke 1 token of pickandpack"}, Blast: "stops sync for 214 merchants", UndoText: "issue a new token"}}
	d.States["INC-1"] = s
	d.States["INC-7"] = incident.NewState("INC-7")
	tell := desk.ClockRow{Incident: "INC-1", Duty: "tell_merchants", Count: 214, State: incident.DutyRunning, Say: "Tell 214 merchants", Due: now.Add(41*time.Hour + 12*time.Minute), Holder: "lead"}
	d.Rows = []desk.BoardRow{{ID: "INC-1", Title: "Credential exposure \x1b[31m\u202Eevil", Severity: "critical", Status: incident.StatusOpen, Next: &tell}}
	d.Running["INC-1"] = []desk.ClockRow{tell}
	d.Shut["INC-1"] = []desk.GateRow{{Command: "restore", Missing: []incident.Missing{{What: "no fix is verified", Do: "verify it: tocsin incident verify-fix INC-1"}}}}
	for i := range 3 {
		d.Lines["INC-1"] = append(d.Lines["INC-1"], desk.TimelineLine{ID: fmt.Sprint("l", i), At: now, Source: "fact", Principal: "person:lena", Text: fmt.Sprint("line ", i)})
	}
	d.Letter = desk.Letter{From: "security@example.com", To: "anna@example.com", Subject: "About your data", Text: "Dear \x07Anna\n214 orders"}
	d.Watched = []desk.ProbeRow{
		{Name: "shop_broken", Kind: "http", State: "failing", Failures: 1, Since: now, Ran: now, Saw: "HTTP 502 \x1b[31m"},
		{Name: "shop_checkout", Kind: "http-journey", State: "out", Failures: 9, Since: now, Ran: now, Saw: "step pay as phone: HTTP 502", Incident: "INC-1"},
		{Name: "\u5546\u5e97\u306e\u30c1\u30a7\u30c3\u30af\u30a2\u30a6\u30c8\u3092\u898b\u308b", Kind: "http", State: "passing", Since: now, Ran: now, Saw: strings.Repeat("\u5546\u5e97 e\u0301te\u0301 ", 30)},
		{Name: "shop_dns", Kind: "dns", State: "passing", Since: now, Ran: now, Saw: "it answered"},
	}
	d.Known = []ledger.Merchant{{ID: "m_1", Name: "Caf\u00e9 <b>", Emails: []string{"anna@example.com"}, Country: "DE", Zone: "Europe/Berlin"}}
	d.Comparison = scope.Comparison{Since: now.Add(-400 * time.Hour), Every: 86400, Windows: 16, Now: scope.Amounts{Events: 900, Merchants: 214, Customers: 4210},
		Usual: scope.Amounts{Events: 12, Merchants: 3, Customers: 12}, Most: scope.Amounts{Events: 41, Merchants: 4, Customers: 40},
		New: []scope.Novelty{{Sort: "address", N: 2, Values: []string{"203.0.113.9", "203.0.113.10"}}}}
	d.Result = scope.Result{Log: "javabeanai/events", Size: 12, Digest: "sha256:abc", Events: 900, Customers: 18211, AtLeast: true,
		DataTypes: []string{"customer.email"}, Rows: []incident.Exposure{{Merchant: "m_1", Customers: 4, Events: 9}},
		Excluded: []scope.Seen{{IP: "198.51.100.7", Agent: "PickAndPack/1.0", Events: 7}}}
	d.Answer = func(r desk.Request) (desk.Outcome, error) {
		if r.Command.Name() == "restore" {
			return desk.Outcome{}, &incident.Refusal{Reason: incident.RefusedGate, Message: "restore is refused",
				Missing: []incident.Missing{{What: "no fix is verified", Do: "verify it: tocsin incident verify-fix INC-1", Rule: "g_restore"}}}
		}
		return desk.Outcome{Incident: r.Incident, Version: 7, Reason: "recorded_" + incident.Reason(r.Command.Name()), Facts: []desk.FactRef{{ID: "01J0", Kind: "note.added"}}}, nil
	}
}

// No command takes a secret from its arguments or writes one anywhere but where it was asked to.
// promise: PRO-12
func TestNoFlagTakesASecret(t *testing.T) {
	root := cli.New(cli.Deps{})
	for _, words := range []string{"token", "password", "key", "code"} {
		if f := root.PersistentFlags().Lookup(words); f != nil {
			t.Errorf("--%s takes a secret from the command line", words)
		}
	}
	var out strings.Builder
	root = cli.New(cli.Deps{Out: &out, Err: io.Discard})
	if code := cli.Run(t.Context(), root, []string{"--help"}); code != cli.ExitDone || !strings.Contains(out.String(), "incident") {
		t.Errorf("help: exit %d\n%s", code, out.String())
	}
}

// Every command a person may give stands under its own name, which is the name refusals use.
func TestEveryCommandOfPeopleIsACommand(t *testing.T) {
	alone := map[string]bool{"record-scope": true, "record-export": true, "record-switch": true, "report-attempt": true, "report-result": true, "signal": true, "end-signal": true, "tick": true,
		"adjust-scope":     true,                                         // include and exclude
		"record-directory": true, "begin-programme": true, "event": true} // the desk; tocsin programme
	root := cli.New(cli.Deps{})
	for _, name := range incident.CommandNames() {
		found, rest, err := root.Find([]string{"incident", name})
		if ok := err == nil && len(rest) == 0 && found.Name() != "incident"; ok == alone[name] {
			t.Errorf("tocsin incident %s: there %v", name, ok)
		}
	}
}
