package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/accesslog/format"
	"github.com/tocsin-ir/tocsin/accesslog/mapping"
	"github.com/tocsin-ir/tocsin/client"
)

// The size of one ingest request.
const (
	chunkBytes   = 4 << 20
	chunkEntries = 5000
)

// maxListed is how many rejects are printed one by one; all of them are counted.
const maxListed = 1000

func (a *app) ingestCommand() *cobra.Command {
	var named, position string
	var follow, live bool
	c := &cobra.Command{Use: "ingest FILE|-", Short: "Send access events; answered when they are durable", Args: exactly("FILE or -")}
	c.Long = `Send access events, or a log that they can be read from; answered when they are durable.

A FILE is marked as supplied later, with its digest, on every one of its events, unless --live says that it is what
was logged as it happened. With --follow the file is read as it grows; --position FILE remembers how far, so that a
restart sends nothing twice and leaves nothing out.`
	c.Flags().StringVar(&named, "format", format.Auto, strings.Join(format.Names(), ", ")+", or a mapping file (.yaml)")
	c.Flags().BoolVar(&follow, "follow", false, "go on as the file grows, over rotations too")
	c.Flags().StringVar(&position, "position", "", "with --follow: file that remembers how far it came")
	c.Flags().BoolVar(&live, "live", false, "the file was logged as it happened and is not supplied later")
	c.RunE = func(c *cobra.Command, args []string) error {
		in := &ingestion{app: a, ctx: a.context(c), named: named, total: client.Receipt{Rejected: []client.Reject{}}}
		if strings.HasSuffix(named, ".yaml") || strings.HasSuffix(named, ".yml") {
			text, err := os.ReadFile(named)
			if err != nil {
				return &failure{text: err.Error(), hint: "name a mapping file, or one of " + strings.Join(format.Names(), ", ")}
			}
			if in.mapping, err = mapping.Parse(named, text); err != nil {
				return &failure{text: err.Error()}
			}
		} else if !slices.Contains(format.Names(), named) {
			return &failure{text: "there is no format " + named, hint: "it is one of " + strings.Join(format.Names(), ", ") + ", or a mapping file that ends in .yaml"}
		}
		var err error
		if in.server, err = a.connect(client.WithPatience(in.waiting)); err != nil {
			return err
		}
		if follow {
			if args[0] == "-" {
				return &failure{text: "standard input cannot be followed", hint: "name a file, or leave --follow out: standard input is read to its end"}
			}
			return in.done(in.follow(args[0], position))
		}
		if args[0] == "-" {
			return in.done(in.stream(a.deps.In))
		}
		return in.done(in.file(args[0], live))
	}
	return c
}

// ingestion is one run of the command.
type ingestion struct {
	app     *app
	ctx     context.Context
	server  *client.Client
	named   string
	mapping *mapping.Mapping
	digest  string // of what is supplied later

	total    client.Receipt
	rejected int   // all of them
	sent     int64 // bytes of entries
	size     int64 // of the file; 0: unknown
	begun    time.Time
}

// file sends a file from its beginning to its end.
func (in *ingestion) file(path string, live bool) error {
	f, err := os.Open(path)
	if err != nil {
		return &failure{text: err.Error(), hint: "name a file of events, or - for standard input"}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return &failure{text: err.Error()}
	}
	if !live {
		if !info.Mode().IsRegular() {
			return &failure{text: path + " is no regular file, so it has no digest to be marked with", hint: "say --live, or write it to a file first"}
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return &failure{text: err.Error()}
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return &failure{text: err.Error()}
		}
		in.digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	}
	in.size = info.Size()
	return in.stream(f)
}

// stream sends entries until the end of what they are read from, which may be packed.
func (in *ingestion) stream(r io.Reader) error {
	unpacked, packed, err := uncompressed(r)
	if err != nil {
		return err
	}
	if packed {
		in.size = 0 // nobody knows how much it unpacks to
	}
	entries, err := in.entries(unpacked)
	if err != nil {
		return err
	}
	p := &parcel{header: entries.Header()}
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return in.send(p, entries.Format())
		}
		if err != nil {
			return &failure{text: "the events cannot be read to their end: " + err.Error()}
		}
		if p.full(e) {
			if err := in.send(p, entries.Format()); err != nil {
				return err
			}
		}
		p.add(e)
	}
}

// entries begins to read a stream.
func (in *ingestion) entries(r io.Reader) (*format.Reader, error) {
	named := in.named
	if in.mapping != nil {
		named = format.Native // one a line, whatever is in it
	}
	entries, err := format.NewReader(r, named)
	if err != nil {
		return nil, &failure{text: "the events cannot be read: " + err.Error()}
	}
	return entries, nil
}

// parcel is what one request carries.
type parcel struct {
	header []byte // of CSV
	from   int64  // offset of its first entry
	end    int64
	raws   [][]byte
	lines  []int // on which each of them stands in the file
	bytes  int
}

func (p *parcel) full(e format.Entry) bool {
	return len(p.raws) > 0 && (p.bytes+len(e.Raw) > chunkBytes || len(p.raws) >= chunkEntries)
}

func (p *parcel) add(e format.Entry) {
	if len(p.raws) == 0 {
		p.from = e.Offset
	}
	p.raws, p.lines = append(p.raws, e.Raw), append(p.lines, e.Line)
	p.bytes += len(e.Raw) + 1
	p.end = e.End
}

// body is the request, with the line in the file of each of the body's lines that begin an entry.
func (in *ingestion) body(p *parcel) (body []byte, lines map[int]int) {
	var b bytes.Buffer
	lines, line := map[int]int{}, 1
	if p.header != nil {
		b.Write(p.header)
		b.WriteByte('\n')
		line += 1 + bytes.Count(p.header, []byte{'\n'})
	}
	for i, raw := range p.raws {
		if in.mapping != nil {
			native, bad := in.mapping.Event(raw)
			if bad != nil {
				in.reject(client.Reject{Line: p.lines[i], Field: bad.Field, Reason: bad.Reason})
				continue
			}
			if raw = native; raw == nil {
				in.total.Skipped++
				continue
			}
		}
		lines[line] = p.lines[i]
		b.Write(raw)
		b.WriteByte('\n')
		line += 1 + bytes.Count(raw, []byte{'\n'})
	}
	return b.Bytes(), lines
}

func (in *ingestion) reject(r client.Reject) {
	if in.rejected++; len(in.total.Rejected) < maxListed {
		in.total.Rejected = append(in.total.Rejected, r)
	}
}

// send sends a parcel, as often as the server asks for it to be sent again, and empties it. The key
// is made of place and content, so sending the same file again adds nothing.
func (in *ingestion) send(p *parcel, name string) error {
	if len(p.raws) == 0 {
		return nil
	}
	if in.begun.IsZero() {
		in.begun = time.Now()
	}
	if in.mapping != nil {
		name = format.Native
	}
	body, lines := in.body(p)
	if len(lines) > 0 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", p.from, body))
		receipt, err := in.server.Supply(in.ctx, in.digest, "cli-"+hex.EncodeToString(sum[:16]), name, body)
		var refused *client.Error
		if in.ctx.Err() != nil && errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests {
			return &ExitError{Code: ExitUnavailable, Err: errors.New("interrupted while it waited for its quota")}
		}
		if err != nil {
			return err
		}
		in.total.Accepted += receipt.Accepted
		in.total.Duplicates += receipt.Duplicates
		in.total.Skipped += receipt.Skipped
		in.total.Unchecked += receipt.Unchecked
		for _, r := range receipt.Rejected {
			if line, ok := lines[r.Line]; ok {
				r.Line = line
			}
			in.reject(r)
		}
		for _, name := range receipt.Ignored {
			if !slices.Contains(in.total.Ignored, name) {
				in.total.Ignored = append(in.total.Ignored, name)
			}
		}
	}
	in.sent += int64(p.bytes)
	in.progress()
	*p = parcel{header: p.header}
	return nil
}

// progress says on standard error how far it is.
func (in *ingestion) progress() {
	if in.app.asJSON {
		return
	}
	part := ""
	if in.size > 0 {
		part = fmt.Sprintf(" of %s (%d %%)", plural(in.size, "byte", "bytes"), min(100, in.sent*100/in.size))
	}
	rate := float64(in.total.Accepted+in.total.Duplicates) / max(time.Since(in.begun).Seconds(), 0.001)
	fmt.Fprintf(in.app.deps.Err, "%s taken in, %s sent%s, %.0f events a second\n", plural(int64(in.total.Accepted), "event", "events"), plural(in.sent, "byte", "bytes"), part, rate)
}

// waiting says on standard error that the server asked to wait, and until when. That it is busy for a
// moment is not worth a line.
func (in *ingestion) waiting(until time.Time, refused *client.Error) {
	if refused.Reason == "busy" {
		return
	}
	why, _, _ := strings.Cut(refused.Error(), ";")
	fmt.Fprintf(in.app.deps.Err, "waiting until %s UTC: %s\n", until.UTC().Format(time.TimeOnly), oneLine(why))
}

// done prints what came of it.
func (in *ingestion) done(err error) error {
	if err != nil && !errors.Is(err, context.Canceled) {
		if in.total.Accepted > 0 {
			fmt.Fprintf(in.app.deps.Err, "%s were taken in before this; sending the same file again adds only the rest\n", plural(int64(in.total.Accepted), "event", "events"))
		}
		return err
	}
	slices.SortStableFunc(in.total.Rejected, func(x, y client.Reject) int { return x.Line - y.Line })
	err = in.app.show(in.total, func(w io.Writer) {
		fmt.Fprintf(w, "%s accepted, %s, %s rejected", plural(int64(in.total.Accepted), "event", "events"),
			plural(int64(in.total.Duplicates), "duplicate", "duplicates"), number(int64(in.rejected)))
		if in.total.Skipped > 0 {
			fmt.Fprintf(w, ", %s skipped: they are no access events", number(int64(in.total.Skipped)))
		}
		fmt.Fprintln(w)
		if in.digest != "" {
			fmt.Fprintf(w, "marked as supplied later, in the file %s\n", in.digest)
		}
		if in.total.Unchecked > 0 {
			fmt.Fprintf(w, "%s older than seven days: whether they came before was checked against the last seven days only\n", plural(int64(in.total.Unchecked), "event is", "events are"))
		}
		if len(in.total.Ignored) > 0 {
			fmt.Fprintf(w, "dropped, because no event has such a field or its value is none: %s\n", strings.Join(in.total.Ignored, ", "))
		}
		printRejects(w, in.total.Rejected)
		if more := in.rejected - len(in.total.Rejected); more > 0 {
			fmt.Fprintf(w, "and %s more\n", number(int64(more)))
		}
	})
	if err == nil && in.rejected > 0 {
		return &ExitError{Code: ExitRefused}
	}
	return err
}
