package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) peopleCommands() *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "Who has an account", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		people, err := server.People(a.context(c))
		if err != nil {
			return err
		}
		return a.show(people, func(w io.Writer) {
			rows := make([][]string, 0, len(people))
			for _, p := range people {
				state := "invited"
				switch {
				case !p.Revoked.IsZero():
					state = "revoked"
				case !p.Joined.IsZero():
					state = "joined"
				}
				called := "no address"
				if p.Called {
					called = "by mail"
				}
				rows = append(rows, []string{p.ID, p.Name, p.Access, strings.Join(p.Roles, ","), state, called})
			}
			a.table(w, 1, []string{"ID", "NAME", "ACCESS", "ROLES", "STATE", "CALLED"}, rows)
		})
	}}

	var name, access, address string
	var roles []string
	invite := &cobra.Command{Use: "invite ID", Short: "Invite a person, or make a new link for one; prints the link, which works once", Args: exactly("ID")}
	invite.Flags().StringVar(&name, "name", "", "the person's name (default: as it is, else the ID)")
	invite.Flags().StringVar(&access, "access", "", "viewer, responder or owner (default: as it is, else responder)")
	invite.Flags().StringArrayVar(&roles, "role", nil, "role of the policy (repeat for more)")
	invite.Flags().StringVar(&address, "email", "", "where the person is called when a clock presses or a signature is missing")
	invite.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		link, expires, err := server.Invite(a.context(c), args[0], name, access, roles, address)
		if err != nil {
			return err
		}
		return a.show(map[string]any{"link": link, "expires": expires}, func(w io.Writer) {
			fmt.Fprintf(w, "%s\nIt works once, until %s. Give it to the person over a channel you trust.\n", link, a.when(expires))
		})
	}

	join := &cobra.Command{Use: "join", Short: "Use an invitation: reads the link or code from standard input, writes the token file", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		path := a.tokenPath()
		if _, err := os.Stat(path); err == nil {
			return &failure{text: "there is a token already: " + path, hint: "name another file with --token-file FILE, or remove this one"}
		} else if !errors.Is(err, os.ErrNotExist) {
			return &failure{text: "the token file cannot be looked at: " + path, hint: "name another with --token-file FILE"}
		}
		text, err := a.stdin(4 << 10)
		if err != nil {
			return err
		}
		code := codeOf(text)
		if code == "" {
			return &usageError{text: "no link or code on standard input", hint: "paste it: tocsin people join, then the link, then Ctrl-D"}
		}
		tokenless := *a
		tokenless.tokenFile = os.DevNull
		server, err := tokenless.connect()
		if err != nil {
			return err
		}
		// The file is opened before the code is used: a code is used up only when its token can be kept.
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return &failure{text: "cannot make the folder of " + path}
		}
		person := ""
		_, err = writeFile(path, func(w io.Writer) error {
			who, token, err := server.Join(a.context(c), code)
			if err != nil {
				return err
			}
			person = who
			_, err = io.WriteString(w, string(token)+"\n")
			return err
		})
		if err != nil {
			return err
		}
		return a.show(map[string]any{"person": person, "token_file": path}, func(w io.Writer) {
			fmt.Fprintf(w, "You are %s. Your token is in %s.\n", oneLine(person), path)
		})
	}}

	email := &cobra.Command{Use: "email ID ADDRESS", Short: "Say where a person is called; none takes the address away", Args: exactly("ID", "ADDRESS"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		address, done := args[1], args[0]+" is called by mail."
		if address == "none" {
			address, done = "", args[0]+" has no address and is not called."
		}
		if err := server.SetEmail(a.context(c), args[0], address); err != nil {
			return err
		}
		return a.show(map[string]any{"id": args[0], "called": address != ""}, func(w io.Writer) { fmt.Fprintln(w, done) })
	}}

	var why string
	revoke := &cobra.Command{Use: "revoke ID", Short: "End an account; its tokens are refused from the next request on", Args: exactly("ID")}
	revoke.Flags().StringVar(&why, "reason", "", "why, in one sentence")
	revoke.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		if err := server.RevokePerson(a.context(c), args[0], why); err != nil {
			return err
		}
		return a.show(map[string]any{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s is revoked.\n", args[0]) })
	}
	return group("people", "Accounts: invite, join, address, revoke, and their tokens", append([]*cobra.Command{list, invite, join, email, revoke}, a.tokenCommands()...)...)
}

// codeOf finds the code in what was pasted: a link, with or without words around it, or the code.
func codeOf(text string) string {
	words := strings.Fields(text)
	for _, word := range words {
		if _, query, ok := strings.Cut(word, "?"); ok {
			for _, pair := range strings.Split(query, "&") {
				if code, ok := strings.CutPrefix(pair, "code="); ok {
					return code
				}
			}
		}
	}
	if len(words) == 1 && !strings.ContainsAny(words[0], "/?") {
		return words[0]
	}
	return ""
}

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{Use: "whoami", Short: "Whose token this is", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		me, err := server.Whoami(a.context(c))
		if err != nil {
			return err
		}
		return a.show(me, func(w io.Writer) {
			fmt.Fprintf(w, "%s (%s), %s\n", oneLine(me.Principal), oneLine(me.Name), me.Access)
		})
	}}
}

// usedAt is when a token or key was last used, or that it can be used no more.
func usedAt(used, revoked time.Time) string {
	switch {
	case !revoked.IsZero():
		return "revoked"
	case used.IsZero():
		return "not since then"
	}
	return used.UTC().Format("2006-01-02 15:04Z")
}

// tokenCommands are about the tokens of people; the secrets are nowhere.
func (a *app) tokenCommands() []*cobra.Command {
	list := &cobra.Command{Use: "tokens", Short: "Tokens of people, and when each was last used", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		all, err := server.Bearers(a.context(c))
		if err != nil {
			return err
		}
		return a.show(map[string]any{"since": all.Since, "tokens": all.Tokens}, func(w io.Writer) {
			rows := make([][]string, 0, len(all.Tokens))
			for _, t := range all.Tokens {
				rows = append(rows, []string{t.ID, t.Person, t.Label, t.Issued.Format(time.DateOnly), usedAt(t.Used, t.Revoked)})
			}
			a.table(w, 1, []string{"ID", "PERSON", "LABEL", "ISSUED", "LAST USED"}, rows)
			fmt.Fprintf(w, "Uses are noted since %s.\n", all.Since.UTC().Format("2006-01-02 15:04Z"))
		})
	}}
	revoke := &cobra.Command{Use: "revoke-token ID", Short: "End one token: your own or, as an owner, anybody's", Args: exactly("ID"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		if err := server.RevokeToken(a.context(c), args[0]); err != nil {
			return err
		}
		return a.show(map[string]any{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s is revoked.\n", args[0]) })
	}}
	return []*cobra.Command{list, revoke}
}

func (a *app) keyCommands() *cobra.Command {
	var purpose, source, appID, out string
	create := &cobra.Command{Use: "new", Short: "Make a key for a machine; it is shown once", Args: exactly()}
	create.Flags().StringVar(&purpose, "purpose", "", "ingest or switch")
	create.Flags().StringVar(&source, "source", "", "ingest: the name its events come in under")
	create.Flags().StringVar(&appID, "app", "", "app the key is for")
	create.Flags().StringVar(&out, "out", "-", "file to write the key to; - is standard output")
	create.RunE = func(c *cobra.Command, _ []string) error {
		if purpose != "ingest" && purpose != "switch" {
			return &usageError{text: "--purpose must be ingest or switch", hint: "usage: " + c.UseLine()}
		}
		// A key that is written over is lost, and an application may still send with it.
		if _, err := os.Lstat(out); out != "-" && err == nil {
			return &failure{text: out + " is there already: nothing was made", hint: "name another file with --out, or move it away"}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		if out != "-" {
			id := ""
			_, err := writeFile(out, func(w io.Writer) error {
				made, key, err := server.NewMachineKey(a.context(c), purpose, source, appID)
				if err != nil {
					return err
				}
				id = made
				_, err = io.WriteString(w, string(key)+"\n")
				return err
			})
			if err != nil {
				return err
			}
			return a.show(map[string]any{"id": id, "file": out}, func(w io.Writer) { fmt.Fprintf(w, "%s is in %s\n", id, out) })
		}
		id, key, err := server.NewMachineKey(a.context(c), purpose, source, appID)
		if err != nil {
			return err
		}
		return a.show(map[string]any{"id": id, "key": string(key)}, func(w io.Writer) { fmt.Fprintln(w, string(key)) })
	}
	revoke := &cobra.Command{Use: "revoke ID", Short: "End a machine's key", Args: exactly("ID"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		if err := server.RevokeMachineKey(a.context(c), args[0]); err != nil {
			return err
		}
		return a.show(map[string]any{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s is revoked.\n", args[0]) })
	}}
	list := &cobra.Command{Use: "list", Short: "Keys of machines, and when each was last used", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		all, err := server.Bearers(a.context(c))
		if err != nil {
			return err
		}
		return a.show(map[string]any{"since": all.Since, "keys": all.Keys}, func(w io.Writer) {
			rows := make([][]string, 0, len(all.Keys))
			for _, k := range all.Keys {
				rows = append(rows, []string{k.ID, k.Purpose, k.Source, k.App, k.Issued.Format(time.DateOnly), usedAt(k.Used, k.Revoked)})
			}
			a.table(w, 2, []string{"ID", "PURPOSE", "SOURCE", "APP", "ISSUED", "LAST USED"}, rows)
			fmt.Fprintf(w, "Uses are noted since %s.\n", all.Since.UTC().Format("2006-01-02 15:04Z"))
		})
	}}
	return group("key", "Keys for machines: ingest and switches", list, create, revoke)
}

func (a *app) secretCommands() *cobra.Command {
	put := &cobra.Command{Use: "put NAME", Short: "Write a named secret, read from standard input; it can never be read back", Args: exactly("NAME"), RunE: func(c *cobra.Command, args []string) error {
		value, err := io.ReadAll(io.LimitReader(a.deps.In, 64<<10+1))
		if err != nil {
			return &failure{text: "standard input cannot be read"}
		}
		defer clear(value)
		value = []byte(strings.TrimSuffix(string(value), "\n"))
		switch {
		case len(value) == 0:
			return &usageError{text: "no secret on standard input", hint: "pipe it in: tocsin secret put NAME < FILE"}
		case len(value) > 64<<10:
			return &failure{text: "the secret is longer than 64 KiB"}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		if err := server.PutSecret(a.context(c), args[0], value); err != nil {
			return err
		}
		return a.show(map[string]any{"secret": args[0], "bytes": len(value)}, func(w io.Writer) {
			fmt.Fprintf(w, "%s is written (%s).\n", args[0], plural(int64(len(value)), "byte", "bytes"))
		})
	}}
	return group("secret", "Named secrets that actions use", put)
}
