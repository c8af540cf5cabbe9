package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
)

// file is one file of the zip.
type file struct {
	name  string
	data  []byte
	store bool // packing it again would only cost time
}

// manifest is manifest.json.
type manifest struct {
	Version      int         `json:"version"`
	Incident     string      `json:"incident"`
	Organisation string      `json:"organisation"`
	Created      time.Time   `json:"created"`
	Policy       string      `json:"policy"`
	FactsLog     string      `json:"facts_log"`
	EventsLog    string      `json:"events_log"`
	Files        []fileEntry `json:"files"`
}

type fileEntry struct {
	Name   string `json:"name"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// readme is for somebody who was handed the file and knows nothing of us. Its verbs are incident,
// organisation and instant.
const readme = `This file is the evidence of the security incident %s of %s, exported by Tocsin on %s.

It begins with a few lines of text, which are signed, and goes on as a zip archive, so any zip tool
opens it. To check it without trusting whoever gave it to you, and without a network:

    tocsin-verify --key KEYFILE --since CHECKPOINT FILE

tocsin-verify   is one program without dependencies. Do not take it from whoever gave you this file. Its
                source is at github.com/tocsin-ir/tocsin. Everybody who builds one version of it with
                one version of Go gets the same bytes, by this line in its folder:
                  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' ./cmd/tocsin-verify
                docs/design/export.md there says enough to write another checker
KEYFILE         holds the verifier key of the facts log, as in keys.txt; get it from somewhere else than
                this file
CHECKPOINT      is one that you kept: every mail of the vendor about an incident carries it in a header,
                and the public policy page shows it. An earlier export will do, too

The first line of the answer counts what is there. Then it says "verified against" and what, which
means that nothing of what you see was altered, and nothing of the log up to the checkpoint you kept was
rewritten, not by the vendor either. Without a checkpoint (or the key of a witness, --witness) it can
only say "internally consistent only": the owner of the signing key could have written another history
that agrees with itself. Whatever does not hold is named, with the file, and the exit status is 1.
No check shows what was never logged, nor that the newest facts of the incident were left out: the log
does not say which incident a fact belongs to. Keep this file: the next one is checked against it.

manifest.json      every other file with its size and digest
keys.txt           the keys that this file says the two logs are signed with
facts.ndjson       what happened, in order, each fact bound to the one before it; a part that is not
                   shown was withheld, and its place is
events.ndjson      the accesses that the scopes count, each with its proof; people are pseudonyms
leaves/            the sealed batches these accesses were logged in, as stored; nobody can open them
                   with what is here
*.checkpoint       the signed state of the two logs; *.leaves is every leaf hash, to recompute it
checkpoints.ndjson checkpoints that mails and published states of this incident carried out before
scopes/            who was affected, as computed; recompute it from events.ndjson
days.ndjson        only where accesses that a scope counts were removed because their time was over: the
                   facts that say so. What is left is proven as ever; the scope is as it was recorded
policy/            the policy the incident ran under
review.*           the review as it stands, or its draft
publications/      each text of the review that was published, as it was; the facts review.published name
                   their versions and digests
attachments/       files that people attached, as they were given; their names and digests are in the
                   facts evidence.attached. Nothing here was looked at for harm: open them with care
custody.ndjson     who took evidence of this incident out before, for whom, when, with the digest of the
                   file; the fact that records this export came after it, and is in the next one
`

// build makes the files in the order they stand in.
func build(ctx context.Context, in *Input) ([]file, error) {
	needFacts, needEvents := uint64(0), uint64(0)
	for _, f := range in.Facts {
		needFacts = max(needFacts, uint64(f.Anchor+1))
	}
	for _, f := range in.Removed.Facts {
		needFacts = max(needFacts, uint64(f.Anchor+1))
	}
	for _, s := range in.Scopes {
		needEvents = max(needEvents, s.Size)
	}
	for _, p := range in.Published {
		switch p.Log {
		case in.FactsLog.Origin():
			needFacts = max(needFacts, p.Size)
		case in.EventsLog.Origin():
			needEvents = max(needEvents, p.Size)
		}
	}
	b := &builder{}
	b.add("README.txt", fmt.Appendf(nil, readme, in.Incident, in.Organisation, in.Created.UTC().Format(time.RFC3339)))
	b.add("keys.txt", []byte(in.Keys[0]+"\n"+in.Keys[1]+"\n"))
	if err := b.facts("facts.ndjson", in.Facts); err != nil {
		return nil, err
	}
	if err := b.log(ctx, "facts", in.FactsLog, needFacts); err != nil {
		return nil, err
	}
	if err := b.log(ctx, "events", in.EventsLog, needEvents); err != nil {
		return nil, err
	}
	if err := ndjson(b, "checkpoints.ndjson", in.Published); err != nil {
		return nil, err
	}
	if err := b.events(ctx, in); err != nil {
		return nil, err
	}
	if len(in.Removed.Facts) > 0 {
		if err := b.facts("days.ndjson", in.Removed.Facts); err != nil {
			return nil, err
		}
	}
	for i, s := range in.Scopes {
		raw, err := marshal(s)
		if err != nil {
			return nil, err
		}
		b.add("scopes/"+strconv.Itoa(i+1)+".json", append(raw, '\n'))
	}
	b.add("policy/policy.yaml", in.Policy.Source)
	b.add("policy/page.md", in.Policy.Markdown)
	b.add("policy/page.html", in.Policy.HTML)
	if in.Review != nil {
		b.add("review.md", in.Review)
	}
	if in.ReviewPDF != nil {
		b.files = append(b.files, file{"review.pdf", in.ReviewPDF, true})
	}
	for _, p := range in.Publications {
		b.add("publications/"+strconv.Itoa(p.N)+"-"+p.Version+".md", p.Markdown)
	}
	for _, a := range in.Attachments {
		b.files = append(b.files, file{"attachments/" + a.ID, a.Data, true})
	}
	if err := ndjson(b, "custody.ndjson", in.Custody); err != nil {
		return nil, err
	}
	return b.finish(in)
}

type builder struct {
	files []file
}

func (b *builder) add(name string, data []byte) {
	b.files = append(b.files, file{name: name, data: data})
}

// finish makes the manifest and puts it into its place.
func (b *builder) finish(in *Input) ([]file, error) {
	m := manifest{
		Version: 1, Incident: in.Incident, Organisation: in.Organisation, Created: in.Created.UTC(), Policy: in.Policy.Hash,
		FactsLog: in.FactsLog.Origin(), EventsLog: in.EventsLog.Origin(),
	}
	total := 0
	for _, f := range b.files {
		sum := sha256.Sum256(f.data)
		m.Files = append(m.Files, fileEntry{f.name, len(f.data), hex.EncodeToString(sum[:])})
		if total += len(f.data); total > MaxBytes {
			return nil, ErrTooLarge
		}
	}
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return slices.Insert(b.files, 1, file{name: "manifest.json", data: append(raw, '\n')}), nil
}

// factLine is one line of facts.ndjson.
type factLine struct {
	Anchor  int64           `json:"anchor"`
	Hash    string          `json:"hash"`
	Header  json.RawMessage `json:"header"`
	Parts   []partLine      `json:"parts,omitempty"`
	Pending string          `json:"pending,omitempty"`
}

type partLine struct {
	Body     json.RawMessage `json:"body,omitempty"`
	Commit   string          `json:"commit"`
	Index    int             `json:"index"`
	Merchant string          `json:"merchant,omitempty"`
	Salt     []byte          `json:"salt,omitempty"`
}

func (b *builder) facts(name string, facts []Fact) error {
	var out bytes.Buffer
	for _, f := range facts {
		line := factLine{Anchor: f.Anchor, Hash: hashText(f.Hash), Header: f.Header}
		if f.Anchor < 0 {
			line.Anchor, line.Pending = -1, f.Recorded.UTC().Format(time.RFC3339Nano)
		}
		for _, p := range f.Parts {
			line.Parts = append(line.Parts, partLine{Body: p.Body, Commit: hashText(p.Commit), Index: p.Index, Merchant: p.Merchant, Salt: p.Salt})
		}
		raw, err := marshal(line)
		if err != nil {
			return fmt.Errorf("fact %s: %w", f.ID, err)
		}
		out.Write(append(raw, '\n'))
	}
	b.add(name, out.Bytes())
	return nil
}

// marshal is JSON that leaves embedded JSON and text byte for byte as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

func hashText(h []byte) string { return "sha256:" + hex.EncodeToString(h) }

func (b *builder) log(ctx context.Context, name string, l Log, need uint64) error {
	checkpoint, size, err := l.Await(ctx, need)
	if err != nil {
		return err
	}
	hashes, err := l.LeafHashes(ctx, size)
	if err != nil {
		return err
	}
	lines := make([]byte, 0, len(hashes)*65)
	for _, h := range hashes {
		lines = append(hex.AppendEncode(lines, h), '\n')
	}
	b.add(name+".checkpoint", checkpoint)
	b.add(name+".leaves", lines)
	return nil
}

func ndjson[T any](b *builder, name string, list []T) error {
	var out bytes.Buffer
	for _, v := range list {
		raw, err := marshal(v)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out.Write(append(raw, '\n'))
	}
	b.add(name, out.Bytes())
	return nil
}

// eventLine is one line of events.ndjson.
type eventLine struct {
	Leaf  uint64          `json:"leaf"`
	N     int             `json:"n"`
	Of    int             `json:"of"`
	Salt  string          `json:"salt"`
	Path  []string        `json:"path"`
	Event json.RawMessage `json:"event"`
}

// events discloses the events that any scope counts and that were not removed, and adds the leaves that
// hold them.
func (b *builder) events(ctx context.Context, in *Input) error {
	var seqs []int64
	for _, s := range in.Scopes {
		list, err := in.Events.Matching(ctx, s.Query, s.Size)
		if err != nil {
			return err
		}
		seqs = append(seqs, list...)
	}
	slices.Sort(seqs)
	seqs = slices.DeleteFunc(slices.Compact(seqs), in.Removed.has)
	var lines bytes.Buffer
	total := 0
	err := disclose(ctx, in.Events, seqs, func(l accesslog.Leaf) error {
		b.files = append(b.files, file{"leaves/" + strconv.FormatUint(l.Index, 10), l.Stored, true})
		for _, d := range l.Events {
			line := eventLine{
				Leaf: l.Index, N: d.N, Of: l.Of, Salt: base64.StdEncoding.EncodeToString(d.Salt),
				Path: make([]string, len(d.Path)), Event: d.Event,
			}
			for i, p := range d.Path {
				line.Path[i] = base64.StdEncoding.EncodeToString(p[:])
			}
			raw, err := marshal(line)
			if err != nil {
				return fmt.Errorf("event %d of leaf %d: %w", d.N, l.Index, err)
			}
			lines.Write(append(raw, '\n'))
		}
		if total += len(l.Stored); total+lines.Len() > MaxBytes {
			return ErrTooLarge
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.add("events.ndjson", lines.Bytes())
	return nil
}

func disclose(ctx context.Context, events Events, seqs []int64, fn func(accesslog.Leaf) error) error {
	if len(seqs) == 0 {
		return nil
	}
	return events.Disclose(ctx, seqs, fn)
}
