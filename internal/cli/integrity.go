package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// sourceWords say how a source is.
var sourceWords = map[string]string{
	"no_baseline": "nobody has approved a state", "not_looked": "not looked at yet", "as_approved": "as approved", "changed": "changed", "unreadable": "cannot be looked at",
}

func (a *app) integrityCommands() *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "The files that are compared with what was approved", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		sources, err := server.FileSources(a.context(c))
		if err != nil {
			return err
		}
		return a.show(sources, func(w io.Writer) {
			if len(sources) == 0 {
				fmt.Fprintln(w, "No files are looked after: name them in tocsin.yaml under integrity.")
				return
			}
			people, rows := named(a.context(c), server), make([][]string, 0, len(sources))
			for _, s := range sources {
				by, at := "", ""
				if s.Approval != nil {
					by, at = people.in(s.Approval.By), a.when(s.Approval.At)
				}
				rows = append(rows, []string{s.Name, stateOf(s), a.when(s.Looked), by, at, s.Place})
			}
			a.table(w, 5, []string{"SOURCE", "STATE", "LOOKED AT", "APPROVED BY", "AT", "PLACE"}, rows)
		})
	}}

	check := &cobra.Command{Use: "check SOURCE", Short: "Look at a source now; exit 1 when it is not as approved", Args: exactly("SOURCE"),
		Long: "Looks at a source now, as the server does by itself every so often. What is not as\napproved is a signal, and an incident by the policy."}
	check.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		s, err := server.CheckFiles(a.context(c), args[0])
		if err != nil {
			return err
		}
		if err := a.show(s, func(w io.Writer) { a.printSource(w, s, named(a.context(c), server)) }); err != nil {
			return err
		}
		if s.State != "as_approved" {
			return &ExitError{Code: ExitRefused}
		}
		return nil
	}

	diff := &cobra.Command{Use: "diff SOURCE", Short: "What of a source is not as approved, line by line", Args: exactly("SOURCE"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		d, err := server.FileDiff(a.context(c), args[0])
		if err != nil {
			return err
		}
		return a.exact(d, func(w io.Writer) { a.printDiff(w, d, named(a.context(c), server)) })
	}}

	var found, reason string
	baseline := &cobra.Command{Use: "baseline SOURCE", Short: "Approve the present state of a source as its known good", Args: exactly("SOURCE"),
		Long: "Approves the present state of a source. The first time nothing is compared; after\na deploy, look first (tocsin integrity diff SOURCE) and give the digest it ends\nwith: what has changed again meanwhile is not approved. Who approved what, when and\nwhy is a fact."}
	baseline.Flags().StringVar(&found, "found", "", "digest of the state you have seen, as tocsin integrity diff prints it")
	baseline.Flags().StringVar(&reason, "reason", "", "why this state is good, such as the deploy it comes from")
	baseline.RunE = func(c *cobra.Command, args []string) error {
		if reason == "" {
			return &usageError{text: "--reason is missing: why this state is good", hint: "usage: " + c.UseLine()}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		s, err := server.ApproveFiles(a.context(c), args[0], found, reason)
		if err != nil {
			return err
		}
		return a.show(s, func(w io.Writer) { a.printSource(w, s, named(a.context(c), server)) })
	}

	var incident, why string
	restore := &cobra.Command{Use: "restore SOURCE", Short: "Plan that a source is put back as approved", Args: exactly("SOURCE"),
		Long: "Plans that a source is put back as approved, as an action of an incident. The plan\nnames every file that is written or removed; it happens when others have signed\n(tocsin incident approve). The files as found are kept as evidence first."}
	restore.Flags().StringVar(&incident, "incident", "", "incident it belongs to")
	restore.Flags().StringVar(&why, "reason", "", "why, in one sentence")
	restore.RunE = func(c *cobra.Command, args []string) error {
		if incident == "" || why == "" {
			return &usageError{text: "--incident and --reason are needed", hint: "usage: " + c.UseLine()}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		out, err := server.RestoreFiles(a.context(c), args[0], incident, why)
		if err != nil {
			return err
		}
		return a.showOutcome(out)
	}
	return group("integrity", "Files that are compared with what was approved", list, check, diff, baseline, restore)
}

func stateOf(s client.FileSource) string {
	word := sourceWords[s.State]
	if word == "" {
		word = s.State
	}
	if s.State == "changed" {
		word = plural(int64(len(s.Changes)), "file", "files") + " changed"
	}
	return word
}

func (a *app) printSource(w io.Writer, s client.FileSource, people names) {
	fmt.Fprintf(w, "%s, %s: %s\n", oneLine(s.Name), oneLine(s.Place), stateOf(s))
	if s.Trouble != "" {
		fmt.Fprintf(w, "  %s\n", oneLine(s.Trouble))
	}
	if p := s.Approval; p != nil {
		fmt.Fprintf(w, "  approved by %s, %s: %s, %s\n", oneLine(people.in(p.By)), a.when(p.At), plural(p.Files, "file", "files"), p.Digest)
	}
	if p := s.Signed; p != nil {
		fmt.Fprintf(w, "  waits for another person: %s approved %s, %s\n", oneLine(people.in(p.By)), p.Digest, a.when(p.At))
	}
	for _, c := range s.Changes {
		fmt.Fprintf(w, "  %s %s\n", c.Kind, oneLine(c.Path))
	}
	if len(s.Changes) > 0 {
		fmt.Fprintf(w, "See them: tocsin integrity diff %s\n", s.Name)
	}
}

func (a *app) printDiff(w io.Writer, d client.FileDiff, people names) {
	switch {
	case d.Approval == nil:
		fmt.Fprintf(w, "Nobody has approved a state of %s yet; it has %s now.\nApprove it:\n  tocsin integrity baseline %s --reason … \\\n    --found %s\n", oneLine(d.Source), plural(d.Files, "file", "files"), d.Source, d.Found)
		return
	case len(d.Changes) == 0:
		fmt.Fprintf(w, "Every file of %s is as %s approved it.\n", oneLine(d.Source), oneLine(people.in(d.Approval.By)))
		return
	}
	printChanges(w, d.Changes)
	fmt.Fprintf(w, "\nWhen this is right, approve it:\n  tocsin integrity baseline %s --reason … \\\n    --found %s\n", d.Source, d.Found)
	fmt.Fprintf(w, "When it is not, put back what was approved:\n  tocsin integrity restore %s --incident … --reason …\n", d.Source)
}

func printChanges(w io.Writer, list []client.FileChange) {
	for _, c := range list {
		fmt.Fprintf(w, "%s %s\n", c.Kind, oneLine(c.Path))
		for _, v := range []struct {
			word string
			file *client.FileVersion
		}{{"approved", c.Before}, {"found", c.After}} {
			if v.file != nil {
				link := ""
				if v.file.Link {
					link = ", a symbolic link"
				}
				fmt.Fprintf(w, "  %-8s %s, %s bytes%s\n", v.word, v.file.Digest, strconv.FormatInt(v.file.Size, 10), link)
			}
		}
		switch {
		case c.Gone:
			fmt.Fprintln(w, "  a version of it is not kept any more")
		case c.Binary:
			fmt.Fprintln(w, "  it is no text: compare the digests")
		}
		for line := range strings.Lines(c.Diff) {
			fmt.Fprintf(w, "  %s\n", oneLine(strings.TrimSuffix(line, "\n")))
		}
		if c.Cut {
			fmt.Fprintln(w, "  … and more than is shown here")
		}
	}
}

func (a *app) filesCommand() *cobra.Command {
	return &cobra.Command{Use: "files INCIDENT", Short: "The files that were changed, with a diff of each", Args: exactly("INCIDENT"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		list, err := server.IncidentFiles(a.context(c), args[0])
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			if len(list) == 0 {
				fmt.Fprintln(w, "No file that is looked after was found changed.")
				return
			}
			for _, f := range list {
				fmt.Fprintf(w, "%s, found %s\n", oneLine(f.Source), a.when(f.At))
				if f.Trouble != "" {
					fmt.Fprintf(w, "  %s\n", oneLine(f.Trouble))
				}
				printChanges(w, f.Changes)
			}
		})
	}}
}
