package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/scope/sheet"
)

// accessCommands read the access log.
func (a *app) accessCommands() *cobra.Command {
	var q client.AccessQuery
	var from, to string
	var asCSV bool
	list := &cobra.Command{Use: "list", Short: "The access log, newest first", Args: exactly()}
	f := list.Flags()
	f.StringVar(&q.Kind, "kind", "", "such as pii_access, auth or config_change")
	f.StringVar(&q.Actor, "actor", "", "who did it")
	f.StringVar(&q.Credential, "credential", "", "with which credential")
	f.StringVar(&q.Merchant, "merchant", "", "whose data")
	f.StringVar(&q.IP, "ip", "", "from which address")
	f.StringVar(&q.Outcome, "outcome", "", "such as ok or denied")
	f.StringVar(&q.Source, "source", "", "which ingest key's events")
	f.StringVar(&q.Store, "store", "", "of which store")
	f.StringVar(&q.DataType, "data-type", "", "with this data type, such as customer.email")
	f.StringVar(&q.Endpoint, "endpoint", "", "at which endpoint")
	f.StringVar(&q.Incident, "incident", "", "with --scope: whose recorded scope")
	f.IntVar(&q.Scope, "scope", 0, "only what this recorded version of the scope counts")
	f.StringVar(&from, "from", "", "not before (RFC 3339)")
	f.StringVar(&to, "to", "", "before (RFC 3339)")
	f.Int64Var(&q.Before, "before", 0, "position: only events that came before it")
	f.IntVar(&q.Limit, "limit", 100, "how many, at most 10000")
	f.BoolVar(&asCSV, "csv", false, "print CSV")
	list.RunE = func(c *cobra.Command, _ []string) error {
		var err error
		if from != "" {
			if q.From, err = parseTime(from); err != nil {
				return err
			}
		}
		if to != "" {
			if q.To, err = parseTime(to); err != nil {
				return err
			}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		page, err := server.Accesses(a.context(c), q)
		if err != nil {
			return err
		}
		if asCSV && !a.asJSON {
			return accessesCSV(a.deps.Out, page.Accesses)
		}
		return a.show(page, func(w io.Writer) {
			if len(page.Accesses) == 0 {
				fmt.Fprintln(w, "No access fits these filters.")
				return
			}
			rows := make([][]string, 0, len(page.Accesses))
			for _, e := range page.Accesses {
				supplied := ""
				if e.Supplied != "" {
					supplied = "supplied later"
				}
				rows = append(rows, []string{e.Time.UTC().Format("2006-01-02 15:04:05Z"), e.Kind, e.Actor, e.Credential, e.Merchant, e.IP, e.Outcome, e.ID, supplied})
			}
			a.table(w, 7, []string{"TIME", "KIND", "ACTOR", "CREDENTIAL", "MERCHANT", "IP", "OUTCOME", "ID", ""}, rows)
			if page.Next > 0 {
				fmt.Fprintf(w, "older: --before %d\n", page.Next)
			}
		})
	}
	show := &cobra.Command{Use: "show EVENT-ID", Short: "One access, and where it stands in the sealed log", Args: exactly("EVENT-ID"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		e, err := server.Access(a.context(c), args[0])
		if err != nil {
			return err
		}
		return a.show(e, func(w io.Writer) {
			rows := [][]string{{"event", e.ID}, {"position", number(e.Seq)}, {"time", a.when(e.Time)}, {"received", a.when(e.Received)}, {"source", e.Source}, {"kind", e.Kind},
				{"actor", strings.TrimSpace(e.ActorType + " " + e.Actor)}, {"credential", e.Credential}, {"did", e.Action}, {"at", e.Endpoint}, {"merchant", e.Merchant}, {"store", e.Store},
				{"customers", number(int64(e.Customers))}, {"data", strings.Join(e.DataTypes, ", ")}, {"records", number(e.Records)}, {"from", e.IP}, {"outcome", e.Outcome}, {"supplied later in", e.Supplied}}
			if e.Sealed {
				rows = append(rows, []string{"sealed in leaf", strconv.FormatUint(e.Leaf, 10)}, []string{"prove it", "tocsin evidence prove " + e.ID})
			} else {
				rows = append(rows, []string{"sealed in leaf", "not yet"})
			}
			for _, row := range rows {
				if row[1] != "" {
					fmt.Fprintf(w, "%-18s %s\n", row[0], oneLine(row[1]))
				}
			}
		})
	}}
	return group("access", "The access log: who read what, newest first; erasure", list, show, a.eraseCommand(), a.erasuresCommand())
}

func accessesCSV(w io.Writer, list []client.Access) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"seq", "id", "time", "received", "source", "kind", "actor_type", "actor", "credential", "action", "endpoint", "merchant", "store", "customers", "data_types", "records", "bytes", "outcome", "ip", "supplied"})
	for _, e := range list {
		row := []string{strconv.FormatInt(e.Seq, 10), e.ID, e.Time.UTC().Format("2006-01-02T15:04:05Z"), e.Received.UTC().Format("2006-01-02T15:04:05Z"), e.Source, e.Kind, e.ActorType, e.Actor, e.Credential,
			e.Action, e.Endpoint, e.Merchant, e.Store, strconv.Itoa(e.Customers), strings.Join(e.DataTypes, " "), strconv.FormatInt(e.Records, 10), strconv.FormatInt(e.Bytes, 10), e.Outcome, e.IP, e.Supplied}
		for i := range row {
			row[i] = sheet.Inert(row[i])
		}
		_ = out.Write(row)
	}
	out.Flush()
	return out.Error()
}
