package judge

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"
)

// randomTrials is how many copies of the evidence are altered at a random byte.
const randomTrials = 100

// trial is one altered copy.
type trial struct {
	name string
	data []byte
	err  error // the copy could not be made: it then counts as not found, with this reason
}

// try verifies the evidence as it is, and every altered copy of it.
func (b *bench) try(ctx context.Context) error {
	raw, err := os.ReadFile(b.c.Export)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	since, err := b.keepCheckpoint()
	if err != nil {
		return err
	}
	if b.c.LogKeys != "" {
		if err := os.WriteFile(b.keysFile(), []byte(b.c.LogKeys), 0o600); err != nil {
			return err
		}
	}
	ok, words, err := b.verify(ctx, b.c.Export, since)
	if err != nil {
		return err
	}
	b.evidence.Verified, b.verifier = ok, words
	trials := b.randomCopies(raw)
	if b.c.FactsKey != "" {
		forged, err := b.forgeries(raw)
		if err != nil {
			b.findings = append(b.findings, "forgeries could not be made: "+err.Error())
		}
		trials = append(trials, forged...)
	}
	b.evidence.TamperTrials = len(trials)
	if !ok {
		return nil // nothing can be learnt from altering what does not verify
	}
	var found atomic.Int64
	var mu sync.Mutex
	next := make(chan trial)
	var workers sync.WaitGroup
	for n := range max(2, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			file := filepath.Join(b.c.Work, fmt.Sprintf("altered-%d.tocsin", n))
			for t := range next {
				caught, problem := b.caught(ctx, file, t, since)
				if caught {
					found.Add(1)
					continue
				}
				mu.Lock()
				b.findings = append(b.findings, "not found: "+t.name+problem)
				mu.Unlock()
			}
		})
	}
	for _, t := range trials {
		next <- t
	}
	close(next)
	workers.Wait()
	b.evidence.TamperFound = int(found.Load())
	slices.Sort(b.findings)
	return ctx.Err()
}

func (b *bench) caught(ctx context.Context, file string, t trial, since string) (bool, string) {
	if t.err != nil {
		return false, ": " + t.err.Error()
	}
	if err := os.WriteFile(file, t.data, 0o600); err != nil {
		return false, ": " + err.Error()
	}
	// What is altered has to be refused; what else is wrong with it nobody asks.
	ok, _, err := b.verify(ctx, file, since, "--first")
	if err != nil {
		return false, ": " + err.Error()
	}
	return !ok, ""
}

// verify runs tocsin-verify as anybody would.
func (b *bench) verify(ctx context.Context, file, since string, args ...string) (ok bool, words string, err error) {
	if b.c.LogKeys != "" {
		args = append(args, "--key", b.keysFile())
	}
	if since != "" {
		args = append(args, "--since", since)
	}
	cmd := exec.CommandContext(ctx, b.c.Verifier, append(args, file)...)
	out, err := cmd.CombinedOutput()
	words = firstLine(out)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, words, nil
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return false, words, nil
	}
	return false, words, fmt.Errorf("tocsin-verify: %w: %s", err, words)
}

// keysFile holds the logs' verifier keys, from somewhere else than the evidence.
func (b *bench) keysFile() string { return filepath.Join(b.c.Work, "keys.txt") }

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if len(line) > 300 {
		line = line[:300]
	}
	return line
}

// newestKept is that checkpoint and how many facts it covers.
func (b *bench) newestKept() (newest string, size uint64) {
	if _, n, _, err := checkpointOf(b.c.Kept); err == nil {
		newest, size = b.c.Kept, n
	}
	for _, l := range b.mails {
		text, ok := l.checkpoint()
		if !ok {
			continue
		}
		origin, n, _, err := checkpointOf(text)
		if err == nil && strings.HasSuffix(origin, "/facts") && (newest == "" || n > size) {
			newest, size = text, n
		}
	}
	return newest, size
}

// keepCheckpoint writes the newest checkpoint of the facts log that a mail carried to a file, as
// somebody who kept the mail could; where no mail went out, the one that somebody fetched. It is ""
// when there is neither.
func (b *bench) keepCheckpoint() (string, error) {
	newest, _ := b.newestKept()
	if newest == "" {
		return "", nil
	}
	name := filepath.Join(b.c.Work, "kept.checkpoint")
	return name, os.WriteFile(name, []byte(newest), 0o600)
}

// randomCopies alters one byte each, anywhere in the file.
func (b *bench) randomCopies(raw []byte) []trial {
	dice := rand.New(rand.NewPCG(b.c.Seed, 0x7a3b))
	var out []trial
	trials := b.c.Trials
	if trials == 0 {
		trials = randomTrials
	}
	for range trials {
		at, by := dice.IntN(len(raw)), byte(1+dice.IntN(255))
		data := bytes.Clone(raw)
		data[at] ^= by
		out = append(out, trial{name: fmt.Sprintf("byte %d altered by %#02x", at, by), data: data})
	}
	return out
}

// forger makes copies that are whole again on the outside: the real key signs them.
type forger struct {
	e      *export
	signer note.Signer
	kept   uint64 // facts that a checkpoint which somebody kept covers: what comes later can be forked, and nobody can tell
}

// forgeries are the structural alterations. Each is repacked, its manifest corrected and its
// envelope signed with the real key, so that only what the evidence proves inside can tell.
func (b *bench) forgeries(raw []byte) ([]trial, error) {
	key, err := os.ReadFile(b.c.FactsKey)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(key)))
	if err != nil {
		return nil, errors.New("signing key: it is no note key") // the cause may quote the key
	}
	e, err := splitExport(raw)
	if err != nil {
		return nil, err
	}
	_, kept := b.newestKept()
	var out []trial
	for _, alter := range []struct {
		name string
		do   func(*forger) error
	}{
		{"a fact is dropped", (*forger).dropFact},
		{"two facts change places", (*forger).swapFacts},
		{"the words of a fact are altered", (*forger).alterWords},
		{"a fact is attributed to somebody else", (*forger).alterPrincipal},
		{"the checkpoint of another log is put in", (*forger).swapCheckpoint},
		{"an access is left out", (*forger).dropEvent},
		{"an access is altered", (*forger).alterEvent},
		{"a number in the scope is altered", (*forger).alterScope},
		{"the policy is altered", (*forger).alterPolicy},
		{"the log is forked and signed with the real key", (*forger).fork},
	} {
		f := &forger{e: &export{envelope: e.envelope, names: slices.Clone(e.names), files: map[string][]byte{}}, signer: signer, kept: kept}
		for name, data := range e.files {
			f.e.files[name] = bytes.Clone(data)
		}
		t := trial{name: alter.name}
		t.err = alter.do(f)
		if errors.Is(t.err, errNothing) && b.table.bare {
			continue
		}
		if t.err == nil {
			t.data, t.err = f.pack()
		}
		out = append(out, t)
	}
	return out, nil
}

// pack writes the file again: manifest, zip, envelope.
func (f *forger) pack() ([]byte, error) {
	if err := f.manifest(); err != nil {
		return nil, err
	}
	// Offsets inside the zip count from the start of the file, and the note is as long as the first one
	// unless the zip got another number of digits.
	for start := len(f.e.envelope); ; {
		zipped, err := f.zip(int64(start))
		if err != nil {
			return nil, err
		}
		head, err := f.sign(zipped)
		if err != nil {
			return nil, err
		}
		if len(head) == start {
			return append(head, zipped...), nil
		}
		start = len(head)
	}
}

func (f *forger) sign(zipped []byte) ([]byte, error) {
	sum := sha256.Sum256(zipped)
	text := fmt.Sprintf("tocsin-export/v1\n%s\n%d\n%s\n", f.signer.Name(), len(zipped), base64.StdEncoding.EncodeToString(sum[:]))
	return note.Sign(&note.Note{Text: text}, f.signer)
}

func (f *forger) zip(offset int64) ([]byte, error) {
	var b bytes.Buffer
	room := 0
	for name, data := range f.e.files {
		room += len(data) + 2*len(name) + 200 // with its headers
	}
	b.Grow(room)
	z := zip.NewWriter(&b)
	z.SetOffset(offset)
	for _, name := range f.e.names {
		// Stored, because packing twenty copies would cost more than checking them.
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.e.files[name]); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

func (f *forger) manifest() error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(f.e.files["manifest.json"], &m); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	type entry struct {
		Name   string `json:"name"`
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}
	var list []entry
	for _, name := range f.e.names {
		if name == "manifest.json" {
			continue
		}
		sum := sha256.Sum256(f.e.files[name])
		list = append(list, entry{name, len(f.e.files[name]), hex.EncodeToString(sum[:])})
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	m["files"] = raw
	f.e.files["manifest.json"], err = json.Marshal(m)
	return err
}

// errNothing says that the evidence holds nothing of what was to be altered.
var errNothing = errors.New("nothing is there to alter")

// linesOf is a file as lines that keep their ends.
func (f *forger) linesOf(name string, least int) ([][]byte, error) {
	lines := slices.Collect(bytes.Lines(f.e.files[name]))
	if len(lines) < least {
		return nil, fmt.Errorf("%s has %d lines: %w", name, len(lines), errNothing)
	}
	return lines, nil
}

func (f *forger) dropFact() error {
	lines, err := f.linesOf("facts.ndjson", 3)
	if err != nil {
		return err
	}
	i := len(lines) / 2
	f.e.files["facts.ndjson"] = bytes.Join(slices.Delete(lines, i, i+1), nil)
	return nil
}

func (f *forger) swapFacts() error {
	lines, err := f.linesOf("facts.ndjson", 3)
	if err != nil {
		return err
	}
	i := len(lines) / 2
	lines[i], lines[i-1] = lines[i-1], lines[i]
	f.e.files["facts.ndjson"] = bytes.Join(lines, nil)
	return nil
}

// storedFact is a line of facts.ndjson with its fields as they stand.
type storedFact struct {
	Anchor  int64           `json:"anchor"`
	Hash    string          `json:"hash"`
	Header  json.RawMessage `json:"header"`
	Parts   []storedPart    `json:"parts,omitempty"`
	Pending string          `json:"pending,omitempty"`
}

type storedPart struct {
	Body     json.RawMessage `json:"body,omitempty"`
	Commit   string          `json:"commit"`
	Index    int             `json:"index"`
	Merchant string          `json:"merchant,omitempty"`
	Salt     string          `json:"salt,omitempty"`
}

func (f *forger) storedFacts() ([]storedFact, error) {
	lines, err := f.linesOf("facts.ndjson", 1)
	if err != nil {
		return nil, err
	}
	out := make([]storedFact, len(lines))
	for i, l := range lines {
		if err := json.Unmarshal(l, &out[i]); err != nil {
			return nil, fmt.Errorf("facts.ndjson line %d: %w", i+1, err)
		}
	}
	return out, nil
}

func (f *forger) putFacts(facts []storedFact) error {
	var b bytes.Buffer
	for _, x := range facts {
		raw, err := marshal(x)
		if err != nil {
			return err
		}
		b.Write(append(raw, '\n'))
	}
	f.e.files["facts.ndjson"] = b.Bytes()
	return nil
}

// marshal keeps <, > and & as they are: the bytes of a body are what its commitment is over.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// alterWords changes what a fact says and leaves its commitment as it was.
func (f *forger) alterWords() error {
	facts, err := f.storedFacts()
	if err != nil {
		return err
	}
	for i := range facts {
		for k := range facts[i].Parts {
			if p := &facts[i].Parts[k]; len(p.Body) > 2 {
				p.Body = json.RawMessage(`{"reason":"something else"}`)
				return f.putFacts(facts)
			}
		}
	}
	return errors.New("no fact shows any words")
}

// alterPrincipal changes a header and corrects the hash of that one fact.
func (f *forger) alterPrincipal() error {
	facts, err := f.storedFacts()
	if err != nil {
		return err
	}
	x := &facts[len(facts)/2]
	var h struct{ Principal string }
	if err := json.Unmarshal(x.Header, &h); err != nil || h.Principal == "" {
		return errors.New("a fact has no principal")
	}
	x.Header = bytes.Replace(x.Header, []byte(`"principal":"`+h.Principal+`"`), []byte(`"principal":"person:nobody"`), 1)
	if x.Hash, err = x.rehash(); err != nil {
		return err
	}
	return f.putFacts(facts)
}

// rehash is the tree hash over the header and the parts' commitments.
func (x *storedFact) rehash() (string, error) {
	hashes := [][32]byte{leafHash(x.Header)}
	for _, p := range x.Parts {
		leaf, err := marshal(struct {
			Commit   string `json:"commit"`
			Index    int    `json:"index"`
			Merchant string `json:"merchant,omitempty"`
		}{p.Commit, p.Index, p.Merchant})
		if err != nil {
			return "", err
		}
		hashes = append(hashes, leafHash(leaf))
	}
	r := root(hashes)
	return "sha256:" + hex.EncodeToString(r[:]), nil
}

func leafHash(data []byte) [32]byte { return sha256.Sum256(append([]byte{0}, data...)) }

func (f *forger) swapCheckpoint() error {
	f.e.files["facts.checkpoint"] = f.e.files["events.checkpoint"]
	return nil
}

func (f *forger) dropEvent() error {
	lines, err := f.linesOf("events.ndjson", 2)
	if err != nil {
		return err
	}
	i := len(lines) / 2
	f.e.files["events.ndjson"] = bytes.Join(slices.Delete(lines, i, i+1), nil)
	return nil
}

func (f *forger) alterEvent() error {
	lines, err := f.linesOf("events.ndjson", 1)
	if err != nil {
		return err
	}
	i := len(lines) / 2
	altered := bytes.Replace(lines[i], []byte(`"merchant":"m_`), []byte(`"merchant":"m_9`), 1)
	if bytes.Equal(altered, lines[i]) {
		altered = bytes.Replace(lines[i], []byte(`"kind":"`), []byte(`"kind":"x`), 1)
	}
	lines[i] = altered
	f.e.files["events.ndjson"] = bytes.Join(lines, nil)
	return nil
}

func (f *forger) alterScope() error {
	for _, name := range slices.Backward(f.e.names) {
		if !strings.HasPrefix(name, "scopes/") {
			continue
		}
		at := bytes.Index(f.e.files[name], []byte(`"customers":`))
		if at < 0 {
			return errors.New(name + " has no number of customers")
		}
		at += len(`"customers":`)
		for f.e.files[name][at] == ' ' {
			at++
		}
		d := f.e.files[name][at]
		f.e.files[name][at] = '1' + (d-'0'+1)%9
		return nil
	}
	return fmt.Errorf("the evidence holds no scope: %w", errNothing)
}

func (f *forger) alterPolicy() error {
	was := f.e.files["policy/policy.yaml"]
	f.e.files["policy/policy.yaml"] = bytes.Replace(was, []byte("72h"), []byte("96h"), 1)
	if bytes.Equal(was, f.e.files["policy/policy.yaml"]) {
		f.e.files["policy/policy.yaml"] = append(was, "# altered\n"...)
	}
	return nil
}

// fork rewrites history from the first fact with words on: new words, new commitment, new hashes
// to the end of the chain, new leaves, a new checkpoint under the real key, and no trace of the
// checkpoints that went out. It is whole in itself; only somebody who kept a mail can tell.
func (f *forger) fork() error {
	facts, err := f.storedFacts()
	if err != nil {
		return err
	}
	tree, err := leaves(f.e.files["facts.leaves"])
	if err != nil {
		return err
	}
	from := -1
	for i := range facts {
		for k := range facts[i].Parts {
			p := &facts[i].Parts[k]
			if from >= 0 || len(p.Body) <= 2 || facts[i].Anchor < 0 || uint64(facts[i].Anchor) >= f.kept {
				continue
			}
			salt, err := base64.StdEncoding.DecodeString(p.Salt)
			if err != nil {
				return errors.New("a salt is not base64")
			}
			p.Body = bytes.Replace(p.Body, []byte(`:"`), []byte(`:"Not `), 1)
			sum := sha256.Sum256(append(salt, p.Body...))
			p.Commit, from = "sha256:"+hex.EncodeToString(sum[:]), i
		}
	}
	if from < 0 {
		return fmt.Errorf("no fact that a kept checkpoint covers shows any words: %w", errNothing)
	}
	for i := from; i < len(facts); i++ {
		was := facts[i].Hash
		if facts[i].Hash, err = facts[i].rehash(); err != nil {
			return err
		}
		if i+1 < len(facts) {
			facts[i+1].Header = bytes.Replace(facts[i+1].Header, []byte(`"prev":"`+was+`"`), []byte(`"prev":"`+facts[i].Hash+`"`), 1)
		}
		if a := facts[i].Anchor; a >= 0 && int(a) < len(tree) {
			var h struct{ ID string }
			if err := json.Unmarshal(facts[i].Header, &h); err != nil {
				return err
			}
			tree[a] = leafHash([]byte("tocsin-fact/v1\n" + h.ID + "\n" + facts[i].Hash + "\n"))
		}
	}
	if err := f.putFacts(facts); err != nil {
		return err
	}
	var list bytes.Buffer
	for _, h := range tree {
		fmt.Fprintf(&list, "%x\n", h)
	}
	f.e.files["facts.leaves"] = list.Bytes()
	r := root(tree)
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", f.signer.Name(), len(tree), base64.StdEncoding.EncodeToString(r[:]))}, f.signer)
	if err != nil {
		return err
	}
	f.e.files["facts.checkpoint"] = signed
	f.e.files["checkpoints.ndjson"] = []byte{}
	return nil
}
