package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// rejectedCommand shows what the access log refused. What was sent may hold anything, people's data
// too, so it is written only where somebody asks for it.
func (a *app) rejectedCommand() *cobra.Command {
	var source, raw string
	c := &cobra.Command{Use: "rejected", Short: "Entries that the access log refused in the last seven days", Args: exactly()}
	c.Flags().StringVar(&source, "source", "", "only of this source")
	c.Flags().StringVar(&raw, "raw", "", "file to write what was sent to, which must not exist, to mend it and send it again; it may hold people's data")
	c.RunE = func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		// The answer is read as it comes: a week of refusals may be long.
		from, to := io.Pipe()
		go func() { to.CloseWithError(server.Rejected(a.context(c), raw != "", to)) }()
		defer from.Close()
		if raw != "" {
			kept, gone := int64(0), int64(0)
			if err := a.toNewFile(raw, func(w io.Writer) error {
				return refusals(from, source, func(r refused) error {
					if r.Raw == "" {
						gone += max(1, int64(r.Entries))
						return nil
					}
					kept++
					_, err := fmt.Fprintln(w, r.Raw)
					return err
				})
			}); err != nil {
				return err
			}
			return a.show(map[string]any{"file": raw, "entries": kept, "unkept": gone}, func(w io.Writer) {
				fmt.Fprintf(w, "%s, as sent\n", plural(kept, "entry", "entries"))
				if gone > 0 {
					fmt.Fprintf(w, "of %s what was sent is not kept: too much was refused at once or in a day\n", plural(gone, "more", "more"))
				}
			})
		}
		if a.asJSON {
			out := json.NewEncoder(a.deps.Out)
			return refusals(from, source, func(r refused) error { return out.Encode(r) })
		}
		n := int64(0)
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		err = refusals(from, source, func(r refused) error {
			if n++; n == 1 {
				fmt.Fprintln(table, "RECEIVED\tSOURCE\tLINE\tFIELD\tREASON")
			}
			line := number(int64(r.Line))
			if r.Entries > 0 {
				line = "-"
				r.Reason += fmt.Sprintf(" (%s, not kept)", plural(int64(r.Entries), "entry", "entries"))
			}
			_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Received.UTC().Format("2006-01-02 15:04:05Z"), oneLine(r.Source), line, oneLine(r.Field), oneLine(r.Reason))
			return err
		})
		if err != nil {
			return err
		}
		if n == 0 {
			fmt.Fprintln(a.deps.Out, "nothing was refused in the last seven days")
			return nil
		}
		if err := table.Flush(); err != nil {
			return err
		}
		a.folded(func(w io.Writer) { w.Write(text.Bytes()) })
		return nil
	}
	return c
}

// refused is one entry that was not taken in.
type refused struct {
	Source   string    `json:"source"`
	Batch    string    `json:"batch,omitempty"`
	Received time.Time `json:"received"`
	Line     int       `json:"line,omitempty"`
	Field    string    `json:"field,omitempty"`
	Reason   string    `json:"reason"`
	Raw      string    `json:"raw,omitempty"`
	Entries  int       `json:"entries,omitempty"` // that were not kept; 0: it is one
}

func refusals(in io.Reader, source string, fn func(refused) error) error {
	lines := json.NewDecoder(bufio.NewReader(in))
	for {
		var r refused
		if err := lines.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if source != "" && r.Source != source {
			continue
		}
		if err := fn(r); err != nil {
			return err
		}
	}
}
