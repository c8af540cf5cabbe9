package judge

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxFile is the largest file of an export that is read, in bytes.
const maxFile = 512 << 20

// export is an evidence file, read by its published description. Reading is not verifying: that
// is tocsin-verify's task, and a file that does not verify is read all the same.
type export struct {
	envelope []byte // the signed note
	names    []string
	files    map[string][]byte
	facts    []fact
	events   []event
	scopes   []scopeFile // by version
	outgoing []checkpointOut
}

type fact struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Chain     string          `json:"chain"`
	Principal string          `json:"principal"`
	Occurred  time.Time       `json:"occurred"`
	Recorded  time.Time       `json:"recorded"`
	Real      time.Time       `json:"real"`
	Simulated bool            `json:"simulated"`
	Body      json.RawMessage `json:"body"`

	hash   string
	anchor int64
	parts  []factPart
}

type factPart struct {
	Merchant string          `json:"merchant"`
	Index    int             `json:"index"`
	Commit   string          `json:"commit"`
	Salt     string          `json:"salt"`
	Body     json.RawMessage `json:"body"`
}

// body decodes the header's body; a body that does not fit leaves zero values, which prove nothing.
func (f fact) body(into any) { _ = json.Unmarshal(f.Body, into) }

// own decodes the header's own part.
func (f fact) own(into any) {
	for _, p := range f.parts {
		if p.Merchant == "" && len(p.Body) > 0 {
			_ = json.Unmarshal(p.Body, into) // as above
			return
		}
	}
}

type event struct {
	Leaf  int64 `json:"leaf"`
	N     int   `json:"n"`
	Event struct {
		ID         string              `json:"id"`
		Time       time.Time           `json:"time"`
		Received   time.Time           `json:"received"`
		Kind       string              `json:"kind"`
		Credential string              `json:"credential"`
		Action     string              `json:"action"`
		Endpoint   string              `json:"endpoint"`
		Merchant   string              `json:"merchant"`
		Store      string              `json:"store"`
		Outcome    string              `json:"outcome"`
		DataTypes  []string            `json:"data_types"`
		Records    int64               `json:"records"`
		Actor      struct{ ID string } `json:"actor"`
		Source     struct {
			IP    string `json:"ip"`
			Agent string `json:"user_agent"`
		} `json:"source"`
		Subjects []struct{ Kind, Token string } `json:"subjects"`
	} `json:"event"`
}

type scopeFile struct {
	N     int
	Query query `json:"query"`
	Size  int64 `json:"size"`
	Rows  []struct {
		Merchant  string   `json:"merchant"`
		Stores    []string `json:"stores"`
		DataTypes []string `json:"data_types"`
		Customers int      `json:"customers"`
		Records   int64    `json:"records"`
		Events    int64    `json:"events"`
	} `json:"rows"`
	Customers int64 `json:"customers"`
	AtLeast   bool  `json:"at_least"`
}

type query struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Kind string    `json:"kind"`
	Any  []clause  `json:"any"`
	Not  []clause  `json:"not"`
}

type clause struct {
	Credential []string `json:"credential"`
	Actor      []string `json:"actor"`
	IP         []string `json:"ip"`
	Agent      []string `json:"agent"`
	Endpoint   []string `json:"endpoint"`
	Merchant   []string `json:"merchant"`
	Action     []string `json:"action"`
	DataType   []string `json:"data_type"`
}

type checkpointOut struct {
	Log   string `json:"log"`
	Size  uint64 `json:"size"`
	Note  string `json:"note"`
	Where string `json:"where"`
}

// readExport takes the file apart.
func readExport(name string) (*export, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	e, err := splitExport(raw)
	if err != nil {
		return nil, err
	}
	return e, e.read()
}

// splitExport separates envelope and zip.
func splitExport(raw []byte) (*export, error) {
	head, zipped, err := envelope(raw)
	if err != nil {
		return nil, err
	}
	e := &export{envelope: head, files: map[string][]byte{}}
	// Offsets count from the start of the whole file, so the reader gets the whole file.
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, fmt.Errorf("export: zip of %d bytes: %w", len(zipped), err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("export: %s: %w", f.Name, err)
		}
		b, err := io.ReadAll(io.LimitReader(r, maxFile))
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("export: %s: %w", f.Name, err)
		}
		e.names = append(e.names, f.Name)
		e.files[f.Name] = b
	}
	return e, nil
}

// envelope finds where the note ends: text, an empty line, one line that begins with an em dash.
func envelope(raw []byte) (head, zipped []byte, err error) {
	if !bytes.HasPrefix(raw, []byte("tocsin-export/v1\n")) {
		return nil, nil, errors.New("export: it does not begin with tocsin-export/v1")
	}
	i := bytes.Index(raw[:min(len(raw), 4096)], []byte("\n\n\u2014 "))
	if i < 0 {
		return nil, nil, errors.New("export: its envelope has no signature")
	}
	j := bytes.IndexByte(raw[i+2:], '\n')
	if j < 0 {
		return nil, nil, errors.New("export: its envelope does not end")
	}
	end := i + 2 + j + 1
	return raw[:end], raw[end:], nil
}

func (e *export) read() error {
	for line := range bytes.Lines(e.files["facts.ndjson"]) {
		var stored struct {
			Header json.RawMessage `json:"header"`
			Hash   string          `json:"hash"`
			Anchor int64           `json:"anchor"`
			Parts  []factPart      `json:"parts"`
		}
		if err := json.Unmarshal(line, &stored); err != nil {
			return fmt.Errorf("export: facts.ndjson line %d: %w", len(e.facts)+1, err)
		}
		f := fact{hash: stored.Hash, anchor: stored.Anchor, parts: stored.Parts}
		if err := json.Unmarshal(stored.Header, &f); err != nil {
			return fmt.Errorf("export: facts.ndjson line %d: header: %w", len(e.facts)+1, err)
		}
		e.facts = append(e.facts, f)
	}
	for line := range bytes.Lines(e.files["events.ndjson"]) {
		var ev event
		if err := json.Unmarshal(line, &ev); err != nil {
			return fmt.Errorf("export: events.ndjson line %d: %w", len(e.events)+1, err)
		}
		e.events = append(e.events, ev)
	}
	for line := range bytes.Lines(e.files["checkpoints.ndjson"]) {
		var c checkpointOut
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("export: checkpoints.ndjson: %w", err)
		}
		e.outgoing = append(e.outgoing, c)
	}
	for _, name := range e.names {
		if path.Dir(name) != "scopes" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil {
			return fmt.Errorf("export: %s: its name is not a number", name)
		}
		s := scopeFile{N: n}
		if err := json.Unmarshal(e.files[name], &s); err != nil {
			return fmt.Errorf("export: %s: %w", name, err)
		}
		e.scopes = append(e.scopes, s)
	}
	slices.SortFunc(e.scopes, func(a, b scopeFile) int { return a.N - b.N })
	return nil
}

// of is the facts of a kind, oldest first.
func (e *export) of(kinds ...string) []fact {
	var out []fact
	for _, f := range e.facts {
		if slices.Contains(kinds, f.Kind) {
			out = append(out, f)
		}
	}
	return out
}

// milestone is the newest time of a milestone and the fact that set it.
func (e *export) milestone(name string) (time.Time, fact, bool) {
	var at time.Time
	var by fact
	found := false
	for _, f := range e.of("milestone.set", "milestone.corrected") {
		var b struct {
			Milestone string    `json:"milestone"`
			At        time.Time `json:"at"`
		}
		if f.body(&b); b.Milestone == name {
			at, by, found = b.At, f, true
		}
	}
	return at, by, found
}

// scope is the newest recorded scope.
func (e *export) scope() (scopeFile, bool) {
	if len(e.scopes) == 0 {
		return scopeFile{}, false
	}
	return e.scopes[len(e.scopes)-1], true
}

// leaves reads a list of leaf hashes.
func leaves(text []byte) ([][32]byte, error) {
	var out [][32]byte
	for line := range bytes.Lines(text) {
		raw, err := hex.DecodeString(string(bytes.TrimSpace(line)))
		if err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("leaf %d is not a hash", len(out))
		}
		out = append(out, [32]byte(raw))
	}
	return out, nil
}

// root is the RFC 6962 root over leaf hashes.
func root(hashes [][32]byte) [32]byte {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := 1
	for k*2 < len(hashes) {
		k *= 2
	}
	left, right := root(hashes[:k]), root(hashes[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// checkpointOf reads origin, size and root of a signed checkpoint, without checking its signature.
func checkpointOf(note string) (origin string, size uint64, hash [32]byte, err error) {
	lines := strings.SplitN(note, "\n", 4)
	if len(lines) < 3 {
		return "", 0, hash, errors.New("a checkpoint has three lines")
	}
	if size, err = strconv.ParseUint(lines[1], 10, 63); err != nil {
		return "", 0, hash, errors.New("the second line of a checkpoint is its size")
	}
	raw, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(raw) != 32 {
		return "", 0, hash, errors.New("the third line of a checkpoint is its root")
	}
	return lines[0], size, [32]byte(raw), nil
}
