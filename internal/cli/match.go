package cli

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

func (a *app) matchCommand() *cobra.Command {
	var version int
	var out string
	c := &cobra.Command{Use: "match INCIDENT FILE", Short: "Compare your own list of customers with the recorded scope: who is affected, living where",
		Long: `The list is CSV with a header: merchant, at least one of account, email and phone, and
region (ISO 3166, such as DE or US-CA). - reads standard input. The server compares
pseudonyms, and keeps and logs nothing of the list.`, Args: exactly("INCIDENT", "FILE")}
	c.Flags().IntVar(&version, "version", 0, "which recorded scope; default the newest")
	c.Flags().StringVar(&out, "out", "", "write the affected lines of the list to this file, which must not exist")
	c.RunE = func(c *cobra.Command, args []string) error {
		const limit = 256 << 20
		var list []byte
		var err error
		if args[1] == "-" {
			if list, err = io.ReadAll(io.LimitReader(a.deps.In, limit+1)); err == nil && len(list) > limit {
				err = fmt.Errorf("the list is larger than %d bytes", limit)
			}
		} else {
			list, err = readLimited(args[1], limit)
		}
		if err != nil {
			return &failure{text: err.Error(), hint: "a list is a CSV file of at most 256 MiB: compare it in parts"}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		m, err := server.MatchScope(a.context(c), args[0], version, list)
		if err != nil {
			return err
		}
		if out != "" {
			if err := writeHits(out, list, m.Hits); err != nil {
				return &failure{text: err.Error(), hint: "name a file that does not exist in a folder you can write to"}
			}
		}
		return a.show(m, func(w io.Writer) { a.printMatched(w, m, out) })
	}
	return c
}

func (a *app) printMatched(w io.Writer, m client.Matched, out string) {
	fmt.Fprintf(w, "%s of %s are affected: %s\n", number(m.Affected), plural(m.Lines, "line", "lines"), plural(m.People, "customer account", "customer accounts"))
	least := ""
	if m.AtLeast {
		least = "at least "
	}
	fmt.Fprintf(w, "the scope holds %s%s; %s of them in no line of the list\n", least, plural(m.Customers, "customer account", "customer accounts"), number(m.Unmatched))
	if len(m.Regions) > 0 {
		rows := make([][]string, 0, len(m.Regions))
		for _, r := range m.Regions {
			name := r.Region
			if name == "" {
				name = "unknown"
			}
			rows = append(rows, []string{name, number(r.People)})
		}
		a.table(w, 0, []string{"REGION", "RESIDENTS"}, rows)
	}
	for _, e := range m.Erased {
		fmt.Fprintf(w, "%s was erased on %s (%s): its %s can no longer be matched\n", oneLine(e.Merchant), a.when(e.At), oneLine(e.Erasure), plural(e.Lines, "line", "lines"))
	}
	if out != "" {
		fmt.Fprintf(w, "the affected lines are in %s\n", oneLine(out))
	}
}

func (a *app) compareScope(c *cobra.Command, q client.Query) error {
	server, err := a.connect()
	if err != nil {
		return err
	}
	out, err := server.CompareScope(a.context(c), q)
	if err != nil {
		return err
	}
	return a.show(out, func(w io.Writer) { a.printComparison(w, out) })
}

func (a *app) printComparison(w io.Writer, c client.Comparison) {
	if c.Windows == 0 {
		fmt.Fprintf(w, "%s; nothing is known of before, so nothing can be called usual\n", plural(c.Now.Events, "access", "accesses"))
		return
	}
	fmt.Fprintf(w, "beside the same hours of the %s before, every %s, known since %s\n", plural(int64(c.Windows), "window", "windows"), plural(c.Every/86400, "day", "days"), a.when(c.Since))
	a.table(w, 0, []string{"", "NOW", "USUALLY", "AT MOST"}, [][]string{
		{"accesses", number(c.Now.Events), number(c.Usual.Events), number(c.Most.Events)},
		{"merchants", number(c.Now.Merchants), number(c.Usual.Merchants), number(c.Most.Merchants)},
		{"customer accounts", number(c.Now.Customers), number(c.Usual.Customers), number(c.Most.Customers)},
	})
	for _, n := range c.New {
		more := ""
		if n.N > int64(len(n.Values)) {
			more = ", …"
		}
		fmt.Fprintf(w, "never before: %s: %s%s\n", plural(n.N, strings.ReplaceAll(n.Sort, "_", " "), plurals[n.Sort]), oneLine(strings.Join(n.Values, ", ")), more)
	}
	if len(c.New) == 0 {
		fmt.Fprintln(w, "it touched nothing that it had not touched before")
	}
	if c.AtLeast {
		fmt.Fprintln(w, "the counts are lower bounds: there was too much to hold")
	}
}

// plurals of the sorts of what is new.
var plurals = map[string]string{"merchant": "merchants", "address": "addresses", "agent": "agents", "endpoint": "endpoints", "action": "actions", "data_type": "data types"}

// writeHits copies the header and the affected lines of a list. The file is for its owner alone,
// because it says who was affected.
func writeHits(path string, list []byte, hits []int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := csv.NewReader(bytes.NewReader(list))
	in.FieldsPerRecord, in.ReuseRecord = -1, true
	w := csv.NewWriter(f)
	for n := 0; ; n++ {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			w.Flush()
			return w.Error()
		}
		if err != nil {
			return err
		}
		line, _ := in.FieldPos(0)
		if _, hit := slices.BinarySearch(hits, int64(line)); n == 0 || hit {
			if err := w.Write(row); err != nil {
				return err
			}
		}
	}
}
