package cli

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

const (
	chunkBytes = 4 << 20  // of one ingest request
	maxFile    = 64 << 20 // of a file that is one JSON document and cannot be cut at line ends
)

func (a *app) ingestCommand() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "ingest FILE|-", Short: "Send access events; answered when they are durable", Args: exactly("FILE or -")}
	c.Flags().StringVar(&format, "format", "auto", "auto, native, ocsf, otlp, cloudtrail, gcp, access, pgaudit or shopify")
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		in := a.deps.In
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return &failure{text: err.Error(), hint: "name a file of events, or - for standard input"}
			}
			defer f.Close()
			in = f
		}
		total := client.Receipt{Rejected: []client.Reject{}}
		line, sent := 0, int64(0)
		err = chunks(in, func(body []byte, count int) error {
			// The key is made of place and content, so sending the same file again adds nothing.
			sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", sent, body))
			receipt, err := server.Ingest(a.context(c), "cli-"+hex.EncodeToString(sum[:16]), format, body)
			if err != nil {
				return err
			}
			total.Accepted += receipt.Accepted
			total.Duplicates += receipt.Duplicates
			for _, r := range receipt.Rejected {
				r.Line += line
				total.Rejected = append(total.Rejected, r)
			}
			line += count
			sent += int64(len(body))
			if !a.asJSON {
				fmt.Fprintf(a.deps.Err, "%s taken in, %s sent\n", plural(int64(total.Accepted), "event", "events"), plural(sent, "byte", "bytes"))
			}
			return nil
		})
		if err != nil {
			if total.Accepted > 0 {
				fmt.Fprintf(a.deps.Err, "%s were taken in before this; sending the same file again adds only the rest\n", plural(int64(total.Accepted), "event", "events"))
			}
			return err
		}
		err = a.show(total, func(w io.Writer) {
			fmt.Fprintf(w, "%s accepted, %s, %s rejected\n", plural(int64(total.Accepted), "event", "events"),
				plural(int64(total.Duplicates), "duplicate", "duplicates"), number(int64(len(total.Rejected))))
			printRejects(w, total.Rejected)
		})
		if err == nil && len(total.Rejected) > 0 {
			return &ExitError{Code: ExitRefused}
		}
		return err
	}
	return c
}

// chunks cuts a stream of lines into requests at line ends. A stream that begins as one JSON
// document (an array, or CloudTrail's object over several lines) is sent whole.
func chunks(in io.Reader, send func(body []byte, lines int) error) error {
	r := bufio.NewReaderSize(in, 1<<20)
	start, err := r.Peek(1)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return &failure{text: "the events cannot be read"}
	}
	if start[0] == '[' {
		return whole(r, nil, send)
	}
	var body []byte
	count := 0
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 1<<20 || count == 0 && len(line) < 3 && len(line) > 0 && line[0] == '{' {
			return whole(r, append(body, line...), send)
		}
		if len(body) > 0 && len(body)+len(line) > chunkBytes {
			if err := send(body, count); err != nil {
				return err
			}
			body, count = nil, 0
		}
		body = append(body, line...)
		if len(line) > 0 {
			count++
		}
		if errors.Is(err, io.EOF) {
			if len(body) == 0 {
				return nil
			}
			return send(body, count)
		}
		if err != nil {
			return &failure{text: "the events cannot be read to their end"}
		}
	}
}

func whole(r io.Reader, begun []byte, send func([]byte, int) error) error {
	rest, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return &failure{text: "the events cannot be read to their end"}
	}
	body := append(begun, rest...)
	if len(body) > maxFile {
		return &failure{text: "the file is one JSON document larger than 64 MiB", hint: "write one event a line, then any size goes"}
	}
	return send(body, 1)
}
