package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tocsin-ir/tocsin/accesslog/format"
)

// readLog cuts a log into events, in any format of the access log, and calls each with its line and
// its JSON, or with what is wrong with it. Logs that rules are written for (CloudTrail, Google Cloud,
// web servers, Okta, GitHub) are given as they are; those that are no JSON, or have their names
// elsewhere, as access events.
func readLog(in io.Reader, form string, each func(line int, raw []byte, wrong error) error) error {
	r, _, err := uncompressed(in)
	if err != nil {
		return err
	}
	if form == "" || form == format.Auto {
		start, _ := r.Peek(256 << 10)
		form = format.Recognise(start)
	}
	switch form {
	case format.OCSF, format.OTLP, format.Postgres, format.Shopify:
	default:
		return readEvents(r, func(line int, raw []byte) error { return each(line, raw, nil) })
	}
	entries, err := format.NewReader(r, form)
	if err != nil {
		return &failure{text: "the events cannot be read: " + err.Error(), hint: "name their format with --format " + strings.Join(format.Names(), "|")}
	}
	var d format.Decoder
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &failure{text: "the events cannot be read to their end: " + err.Error(), hint: "is the file complete?"}
		}
		body := entry.Raw
		if h := entries.Header(); h != nil {
			body = slices.Concat(bytes.TrimRight(h, "\r\n"), []byte{'\n'}, entry.Raw)
		}
		batch, err := format.Cut(body, form, 1<<20)
		if err != nil {
			if err := each(entry.Line, nil, err); err != nil {
				return err
			}
			continue
		}
		d.Reset(batch, nil)
		for i := range batch.Len() {
			e, err := d.Decode(i)
			var skip *format.Skip
			if errors.As(err, &skip) {
				continue
			}
			var raw []byte
			if err == nil {
				raw, err = nativeJSON(e)
			}
			if err := each(entry.Line, raw, err); err != nil {
				return err
			}
		}
	}
}

// uncompressed takes gzip and zstd off a stream, and says whether there was one to take off.
func uncompressed(in io.Reader) (out *bufio.Reader, packed bool, err error) {
	r := bufio.NewReaderSize(in, 1<<20)
	head, _ := r.Peek(4)
	var from io.Reader
	how := format.Packed(head)
	switch how {
	case format.Gzip:
		from, err = format.Gunzip(r)
	case format.Zstd:
		from, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	default:
		return r, false, nil
	}
	if err != nil {
		return nil, true, &failure{text: "the events are damaged " + how, hint: "unpack them first"}
	}
	return bufio.NewReaderSize(&packedReader{from, how}, 1<<20), true, nil
}

// packedReader says of an error of an unpacker what it means.
type packedReader struct {
	io.Reader
	how string
}

func (r *packedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return n, fmt.Errorf("the %s file is packed with a dictionary: unpack it with that first (%w)", r.how, err)
	}
	return n, fmt.Errorf("the %s file is damaged or cut short from here on (%w)", r.how, err)
}

// nativeJSON writes an access event in the form that rules about our own events are written in. What
// it lacks it does not have, for a rule tells absent from empty.
func nativeJSON(e *format.Event) ([]byte, error) {
	kind := e.Kind
	if kind == "" {
		kind = format.PIIAccess
	}
	out := map[string]any{"time": e.Time.UTC().Format(time.RFC3339Nano), "kind": kind}
	set := func(to map[string]any, name, value string) {
		if value != "" {
			to[name] = value
		}
	}
	for name, v := range map[string]string{"id": e.ID, "app": e.App, "env": e.Env, "credential": e.Credential, "session": e.Session, "action": e.Action,
		"endpoint": e.Endpoint, "purpose": e.Purpose, "merchant": e.Merchant, "store": e.Store, "outcome": e.Outcome} {
		set(out, name, v)
	}
	pair := func(name, a, va, b, vb string) {
		p := map[string]any{}
		set(p, a, va)
		set(p, b, vb)
		if len(p) > 0 {
			out[name] = p
		}
	}
	pair("actor", "type", e.ActorType, "id", e.ActorID)
	pair("source", "ip", e.IP, "user_agent", e.Agent)
	if len(e.Subjects) > 0 {
		var list []any
		for _, s := range e.Subjects {
			p := map[string]any{}
			set(p, "kind", s.Kind)
			set(p, "id", s.ID)
			set(p, "region", s.Region)
			list = append(list, p)
		}
		out["subjects"] = list
	}
	if len(e.DataTypes) > 0 {
		out["data_types"] = e.DataTypes
	}
	if e.Records >= 0 {
		out["records"] = e.Records
	} else if len(e.Subjects) > 0 {
		out["records"] = len(e.Subjects)
	}
	if e.Bytes > 0 {
		out["bytes"] = e.Bytes
	}
	if e.Attributes != nil {
		out["attributes"] = json.RawMessage(e.Attributes.MarshalTo(nil))
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("is no event: %w", err)
	}
	return raw, nil
}
