package verify

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits that keep a hostile export from exhausting the checker.
const (
	maxEnvelope = 4096
	maxEntries  = 200_000
	maxEntry    = 1 << 30 // bytes unpacked
	maxTotal    = 2 << 30
	maxRatio    = 400 // unpacked to packed, of entries above ratioFrom
	ratioFrom   = 1 << 20
	maxLine     = 64 << 20 // a fact of a scope over every merchant is large
)

// magic is the first line of an export.
const magic = "tocsin-export/v1"

// archive is the zip part of the export.
type archive struct {
	order []string
	files map[string]*zip.File
	note  []byte // the envelope
	log   string // the log whose key signed it
}

var keyHeld = regexp.MustCompile(`^— [^ ]+ [A-Za-z0-9+/=]+\n$`)

// envelope reads the signed note at the start, and checks length and digest of the zip.
func (c *checker) envelope() error {
	if c.size > maxFile {
		c.find(CodeArchive, "", "the file has %d bytes, at most %d are read", c.size, int64(maxFile))
		return errStop
	}
	head := make([]byte, min(c.size, maxEnvelope))
	if _, err := c.r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("verify: read the export: %w", err)
	}
	// Four lines, an empty one, one signature line.
	end, lines := 0, 0
	for i, b := range head {
		if b == '\n' {
			if lines++; lines == 6 {
				end = i + 1
				break
			}
		}
	}
	text, signature, ok := bytes.Cut(head[:end], []byte("\n\n"))
	part := strings.Split(string(text), "\n")
	if !ok || len(part) != 4 || part[0] != magic || !keyHeld.Match(signature) {
		c.find(CodeEnvelope, "", "it does not begin with a signed note of the form %s", magic)
		return errStop
	}
	c.archive = &archive{files: map[string]*zip.File{}, note: head[:end], log: part[1]}
	length, err := strconv.ParseInt(part[2], 10, 63)
	if err != nil || strconv.FormatInt(length, 10) != part[2] || length != c.size-int64(end) {
		c.find(CodeEnvelope, "", "the zip has %d bytes and the note says otherwise", c.size-int64(end))
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(c.r, int64(end), c.size-int64(end))); err != nil {
		return fmt.Errorf("verify: read the export: %w", err)
	}
	if base64.StdEncoding.EncodeToString(h.Sum(nil)) != part[3] {
		c.find(CodeEnvelope, "", "the zip is not the one whose digest was signed")
	}
	return c.openZip(int64(end))
}

func (c *checker) openZip(start int64) error {
	z, err := zip.NewReader(c.r, c.size)
	if err != nil {
		c.find(CodeArchive, "", "the zip cannot be read")
		return errStop
	}
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) })
	if len(z.File) > maxEntries || z.Comment != "" {
		c.find(CodeArchive, "", "the zip has %d files, at most %d are read, and no comment may stand in it", len(z.File), maxEntries)
		return errStop
	}
	var total uint64
	for _, f := range z.File {
		at, err := f.DataOffset()
		switch {
		case err != nil || at < start:
			c.find(CodeArchive, safe(f.Name), "its place in the file is wrong")
			return errStop
		case f.Method != zip.Store && f.Method != zip.Deflate:
			c.find(CodeArchive, safe(f.Name), "it is packed in another way than stored or deflated")
			return errStop
		case f.UncompressedSize64 > maxEntry,
			f.UncompressedSize64 > ratioFrom && f.UncompressedSize64/maxRatio > f.CompressedSize64:
			c.find(CodeArchive, safe(f.Name), "it unpacks to more than is read: %d bytes of %d", f.UncompressedSize64, f.CompressedSize64)
			return errStop
		case c.archive.files[f.Name] != nil:
			c.find(CodeContents, safe(f.Name), "it stands there twice")
			return errStop
		}
		if total += f.UncompressedSize64; total > maxTotal {
			c.find(CodeArchive, "", "it unpacks to more than %d bytes", int64(maxTotal))
			return errStop
		}
		c.archive.files[f.Name] = f
		c.archive.order = append(c.archive.order, f.Name)
	}
	return nil
}

// safe is a name that can be printed.
func safe(name string) string {
	if len(name) > 200 {
		name = name[:200]
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

// read unpacks one file, checking its CRC; ok is false after a finding.
func (c *checker) read(name string) (data []byte, ok bool) {
	f := c.archive.files[name]
	if f == nil {
		c.find(CodeContents, safe(name), "it is missing")
		return nil, false
	}
	r, err := f.Open()
	if err == nil {
		// One byte more than declared is asked for, so that a lie about the size is seen.
		data, err = io.ReadAll(io.LimitReader(r, int64(f.UncompressedSize64)+1))
		r.Close()
	}
	if err != nil || uint64(len(data)) != f.UncompressedSize64 {
		c.find(CodeArchive, safe(name), "it cannot be unpacked")
		return nil, false
	}
	return data, true
}

// manifest is manifest.json.
type manifest struct {
	Version      int       `json:"version"`
	Incident     string    `json:"incident"`
	Organisation string    `json:"organisation"`
	Created      time.Time `json:"created"`
	Policy       string    `json:"policy"`
	FactsLog     string    `json:"facts_log"`
	EventsLog    string    `json:"events_log"`
	Files        []struct {
		Name   string `json:"name"`
		Size   uint64 `json:"size"`
		SHA256 string `json:"sha256"`
	} `json:"files"`
}

var leafName = regexp.MustCompile(`^leaves/(0|[1-9][0-9]{0,18})$`)
var scopeName = regexp.MustCompile(`^scopes/([1-9][0-9]{0,8})\.json$`)
var publicationName = regexp.MustCompile(`^publications/([1-9][0-9]{0,8})-(?:internal|client|public)\.md$`)
var attachmentName = regexp.MustCompile(`^attachments/ATT-([1-9][0-9]{0,8})$`)

// fixedFiles is the order of an export; leaves, scopes, publications and attachments stand for the files in these folders,
// and the removed days and the review may be absent.
var fixedFiles = []string{
	"README.txt", "manifest.json", "keys.txt", "facts.ndjson", "facts.checkpoint", "facts.leaves", "events.checkpoint",
	"events.leaves", "checkpoints.ndjson", "leaves", "events.ndjson", daysFile, "scopes", "policy/policy.yaml", "policy/page.md",
	"policy/page.html", "review.md", "review.pdf", "publications", "attachments", "custody.ndjson",
}

// place is where a name belongs in the order of an export; -1 when it does not belong at all.
func place(name string) int {
	switch {
	case leafName.MatchString(name):
		name = "leaves"
	case scopeName.MatchString(name):
		name = "scopes"
	case publicationName.MatchString(name):
		name = "publications"
	case attachmentName.MatchString(name):
		name = "attachments"
	case slices.Contains(folders, name):
		return -1
	}
	return slices.Index(fixedFiles, name)
}

// folders are the names in fixedFiles that stand for the files in a folder, of which there may be none.
var folders = []string{"leaves", "scopes", "publications", "attachments"}

// optional says whether a file may be absent.
func optional(name string) bool { return name == daysFile || strings.HasPrefix(name, "review.") }

// number is the number in a name of leaves, scopes, publications or attachments.
func number(name string) uint64 {
	for _, p := range []*regexp.Regexp{leafName, scopeName, publicationName, attachmentName} {
		if m := p.FindStringSubmatch(name); m != nil {
			n, _ := strconv.ParseUint(m[1], 10, 64)
			return n
		}
	}
	return 0
}

// contents checks which files there are and in which order.
func (c *checker) contents() error {
	last, lastNumber := -1, uint64(0)
	for _, name := range c.archive.order {
		at, n := place(name), number(name)
		if at < 0 {
			c.find(CodeContents, safe(name), "an export has no such file")
			continue
		}
		if at < last || at == last && n <= lastNumber {
			c.find(CodeContents, safe(name), "it is not in its place")
		}
		last, lastNumber = at, n
	}
	for _, name := range fixedFiles {
		if !slices.Contains(folders, name) && !optional(name) && c.archive.files[name] == nil {
			c.find(CodeContents, name, "it is missing")
		}
	}
	return nil
}

// readManifest reads manifest.json and compares it to what is there.
func (c *checker) readManifest() error {
	raw, ok := c.read("manifest.json")
	if !ok {
		return errStop
	}
	if err := strict(raw, &c.manifest); err != nil || c.manifest.Version != 1 {
		c.find(CodeManifest, "manifest.json", "it is not a manifest of version 1")
		return errStop
	}
	m := &c.manifest
	c.report.Incident, c.report.Organisation, c.report.Created = m.Incident, m.Organisation, m.Created
	if m.FactsLog != c.archive.log {
		c.find(CodeManifest, "manifest.json", "the facts log is not the one that signed the export")
	}
	listed := map[string]bool{"manifest.json": true}
	var order []string
	for _, f := range m.Files {
		if listed[f.Name] {
			c.find(CodeManifest, "manifest.json", "%s is listed twice", safe(f.Name))
			continue
		}
		listed[f.Name] = true
		order = append(order, f.Name)
		data, ok := c.read(f.Name)
		if !ok {
			continue
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 || uint64(len(data)) != f.Size {
			c.find(CodeContents, safe(f.Name), "it is not the file that the manifest lists")
		}
	}
	for _, name := range c.archive.order {
		if !listed[name] {
			c.find(CodeContents, safe(name), "the manifest does not list it")
		}
	}
	if have := slices.DeleteFunc(slices.Clone(c.archive.order), func(n string) bool { return n == "manifest.json" }); !slices.Equal(order, have) {
		c.find(CodeManifest, "manifest.json", "its list is not in the order of the files")
	}
	return nil
}

// strict decodes one JSON value and refuses fields that the form does not have, and names that
// another reader would take for something else.
func strict(raw []byte, v any) error {
	if err := unambiguous(raw); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after the value")
	}
	return nil
}

// unambiguous refuses objects with two names that are the same, or the same but for upper and lower
// case. The standard decoder takes the last of them and other readers the first or the exact one: an
// export could show a person other facts than those that were checked. Attributes of events are
// the sender's and are shown, never read: there only the very same name is refused.
func unambiguous(raw []byte) error {
	type level struct {
		names map[string]bool // folded; nil: an array, or attributes
		free  bool            // inside attributes
	}
	var open []level
	dec := jsontext.NewDecoder(bytes.NewReader(raw)) // refuses a name that stands there twice
	free := false                                    // the next value is attributes
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return errTwice
		}
		if err != nil {
			return err
		}
		top := len(open) - 1
		switch token.Kind() {
		case '{':
			l := level{free: free}
			if !free {
				l.names = map[string]bool{}
			}
			open = append(open, l)
			continue
		case '[':
			open = append(open, level{free: free})
			continue
		case '}', ']':
			open = open[:top]
			top--
		case '"':
			if kind, n := dec.StackIndex(dec.StackDepth()); kind == '{' && n%2 == 1 {
				name := token.String()
				free = open[top].free || name == "attributes"
				if open[top].names != nil {
					folded := fold(name)
					if open[top].names[folded] {
						return errTwice
					}
					open[top].names[folded] = true
				}
				continue
			}
		}
		if top >= 0 { // a value has ended
			free = open[top].free
		}
	}
}

var errTwice = errors.New("a name stands there twice")

// fold makes names the same that a reader who does not mind case takes for the same.
func fold(name string) string {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf {
			return strings.ToLower(strings.ToUpper(name))
		}
	}
	return name
}

// lines cuts an NDJSON file and calls fn with each line and its number. Every line ends in \n.
func (c *checker) lines(name string, code Code, fn func(n int, line []byte)) bool {
	raw, ok := c.read(name)
	if !ok {
		return false
	}
	n := 0
	for line := range bytes.Lines(raw) {
		n++
		if line[len(line)-1] != '\n' || len(line) == 1 || len(line) > maxLine {
			c.find(code, name, "line %d is empty, too long, or has no end", n)
			return false
		}
		fn(n, line[:len(line)-1])
	}
	return true
}
