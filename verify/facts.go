package verify

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/tocsin-ir/tocsin/leaf"
)

// fact is what later checks need of a fact.
type fact struct {
	id     string
	kind   string
	policy string
	anchor int64
	body   json.RawMessage
	parts  []json.RawMessage // bodies that are shown
}

// factLine is one line of facts.ndjson.
type factLine struct {
	Anchor  *int64          `json:"anchor"`
	Hash    string          `json:"hash"`
	Header  json.RawMessage `json:"header"`
	Parts   []factPart      `json:"parts"`
	Pending string          `json:"pending"`
}

type factPart struct {
	Body     json.RawMessage `json:"body"`
	Commit   string          `json:"commit"`
	Index    int             `json:"index"`
	Merchant string          `json:"merchant"`
	Salt     []byte          `json:"salt"`
}

// factHeader is what is read of a header. Fields it does not name are kept by the hash alone.
type factHeader struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Chain    string          `json:"chain"`
	Prev     string          `json:"prev"`
	Hash     *string         `json:"hash"`
	Body     json.RawMessage `json:"body"`
	Recorded time.Time       `json:"recorded"`
	Versions struct {
		Policy string `json:"policy"`
	} `json:"versions"`
}

const factsFile = "facts.ndjson"

// checkFacts checks every fact by itself, then how they follow each other.
func (c *checker) checkFacts() error {
	prev := "sha256:" + strings.Repeat("0", 64)
	ids := map[string]bool{}
	pending := false
	c.lines(factsFile, CodeFactForm, func(n int, line []byte) {
		var f factLine
		if err := strict(line, &f); err != nil || f.Anchor == nil {
			c.find(CodeFactForm, factsFile, "line %d is not a fact", n)
			prev = ""
			return
		}
		h, ok := headerOf(&f)
		if !ok {
			c.find(CodeFactForm, factsFile, "line %d: the header is not a fact's header in canonical form", n)
			prev = ""
			return
		}
		what := fmt.Sprintf("line %d, %s", n, safe(h.ID))
		if ids[h.ID] {
			c.find(CodeFactChain, factsFile, "%s: the same fact stands there twice", what)
		}
		ids[h.ID] = true
		if h.Chain != c.manifest.Incident {
			c.find(CodeFactChain, factsFile, "%s: it is of another incident", what)
		}
		if h.Prev != prev {
			c.find(CodeFactChain, factsFile, "%s: it does not follow the fact before it", what)
		}
		prev = f.Hash
		if got := factHash(&f); got != f.Hash {
			c.find(CodeFactHash, factsFile, "%s: header and parts do not give its hash", what)
		}
		out := fact{id: h.ID, kind: h.Kind, policy: h.Versions.Policy, body: h.Body, anchor: *f.Anchor}
		out.parts = c.checkParts(&f, what)
		c.chain = append(c.chain, out)
		pending = c.checkAnchor(&f, h.ID, what, pending)
	})
	c.report.Facts = len(c.chain)
	if len(c.chain) == 0 {
		c.find(CodeFactChain, factsFile, "there are no facts")
	}
	return nil
}

// headerOf reads the header of a fact; ok is false when it is not one in canonical form.
func headerOf(f *factLine) (h factHeader, ok bool) {
	canonical, err := jcs.Transform(f.Header)
	return h, err == nil && bytes.Equal(canonical, f.Header) && json.Unmarshal(f.Header, &h) == nil && h.Hash == nil && h.ID != ""
}

// factLeaf is the hash of the leaf that stands for a fact in the facts log.
func factLeaf(id, hash string) []byte {
	return rfc6962.DefaultHasher.HashLeaf([]byte("tocsin-fact/v1\n" + id + "\n" + hash + "\n"))
}

// factHash is the RFC 6962 tree over header and parts' commitments.
func factHash(f *factLine) string {
	hashes := [][leaf.HashLen]byte{leaf.EventHash(nil, f.Header)}
	for _, p := range f.Parts {
		raw, err := json.Marshal(struct {
			Commit   string `json:"commit"`
			Index    int    `json:"index"`
			Merchant string `json:"merchant,omitempty"`
		}{p.Commit, p.Index, p.Merchant})
		if err == nil {
			raw, err = jcs.Transform(raw)
		}
		if err != nil {
			return ""
		}
		hashes = append(hashes, leaf.EventHash(nil, raw))
	}
	root := leaf.NewTree(hashes).Root()
	return "sha256:" + hex.EncodeToString(root[:])
}

// checkParts checks what parts show against what they commit to, and returns what is shown.
func (c *checker) checkParts(f *factLine, what string) []json.RawMessage {
	var shown []json.RawMessage
	for i, p := range f.Parts {
		if i > 0 {
			if b := f.Parts[i-1]; cmp.Or(strings.Compare(b.Merchant, p.Merchant), cmp.Compare(b.Index, p.Index)) >= 0 {
				c.find(CodeFactPart, factsFile, "%s: part %d is not in its place", what, i)
			}
		}
		if p.Salt == nil && p.Body == nil {
			c.report.Withheld++
			continue
		}
		h := sha256.New()
		h.Write(p.Salt)
		h.Write(p.Body)
		if "sha256:"+hex.EncodeToString(h.Sum(nil)) != p.Commit || len(p.Salt) < leaf.SaltLen {
			c.find(CodeFactPart, factsFile, "%s: part %d shows something else than it commits to", what, i)
			continue
		}
		shown = append(shown, p.Body)
	}
	return shown
}

// checkAnchor checks that the fact is in the log where it says, and returns whether a pending
// fact has been seen.
func (c *checker) checkAnchor(f *factLine, id, what string, pending bool) bool {
	if *f.Anchor < 0 {
		if _, err := time.Parse(time.RFC3339Nano, f.Pending); err != nil || *f.Anchor != -1 {
			c.find(CodeFactAnchor, factsFile, "%s: it is neither in the log nor pending since a time", what)
		}
		c.report.Pending++
		return true
	}
	switch want := factLeaf(id, f.Hash); {
	case f.Pending != "" || pending:
		c.find(CodeFactAnchor, factsFile, "%s: it is in the log although an earlier fact is pending", what)
	case *f.Anchor >= int64(len(c.facts.leaves)):
		c.find(CodeFactAnchor, factsFile, "%s: it says leaf %d and the log has %d", what, *f.Anchor, len(c.facts.leaves))
	case !bytes.Equal(c.facts.leaves[*f.Anchor], want):
		c.find(CodeFactAnchor, factsFile, "%s: leaf %d of the log is something else", what, *f.Anchor)
	}
	return pending
}

// checkOthers checks that what facts say of other incidents, which were merged into this one or which it
// was split off, names a fact that the same log has before them. What that incident says is in its own
// export, which ends with, or has, the same fact.
func (c *checker) checkOthers() error {
	var at map[string]int64
	for _, f := range c.chain {
		if f.kind != "incident.merged_in" && f.kind != "incident.split_from" {
			continue
		}
		var b struct {
			Incident string `json:"incident"`
			From     string `json:"from"`
			Head     string `json:"head"`
			Hash     string `json:"hash"`
		}
		if json.Unmarshal(f.body, &b) != nil || b.Head == "" {
			c.find(CodeFactOther, factsFile, "%s: it does not say which fact of the other incident it begins from", safe(f.id))
			continue
		}
		if at == nil {
			at = make(map[string]int64, len(c.facts.leaves))
			for i, h := range c.facts.leaves {
				at[string(h)] = int64(i)
			}
		}
		other := cmp.Or(b.Incident, b.From)
		i, ok := at[string(rfc6962.DefaultHasher.HashLeaf([]byte("tocsin-fact/v1\n"+b.Head+"\n"+b.Hash+"\n")))]
		if !ok && f.anchor < 0 {
			continue // it is not in the log yet itself, and is counted as pending; nor need the other be
		}
		if !ok || f.anchor >= 0 && i >= f.anchor {
			c.find(CodeFactOther, factsFile, "%s: the log has no fact %s of %s with that hash before it", safe(f.id), safe(b.Head), safe(other))
			continue
		}
		c.report.Merged = append(c.report.Merged, other)
	}
	return nil
}

// checkPolicy checks that the policy shown is the one the facts were decided under.
func (c *checker) checkPolicy() error {
	raw, ok := c.read("policy/policy.yaml")
	if !ok {
		return nil
	}
	sum := sha256.Sum256(raw)
	if hash := "sha256:" + hex.EncodeToString(sum[:]); hash != c.manifest.Policy {
		c.find(CodePolicy, "policy/policy.yaml", "it is not the policy that the manifest names")
	}
	// An incident may move to a newer policy; what counts is the one it ends under.
	for i := len(c.chain) - 1; i >= 0; i-- {
		if p := c.chain[i].policy; p != "" {
			if p != c.manifest.Policy {
				c.find(CodePolicy, factsFile, "%s was decided under another policy than the one shown", safe(c.chain[i].id))
			}
			break
		}
	}
	return nil
}

// checkCustody checks the form of custody.ndjson and that it agrees with the facts that record
// each handing over.
func (c *checker) checkCustody() error {
	const name = "custody.ndjson"
	recorded := map[string]bool{}
	for _, f := range c.chain {
		var b struct {
			Digest string `json:"digest"`
		}
		if f.kind == "evidence.exported" && json.Unmarshal(f.body, &b) == nil {
			recorded[b.Digest] = true
		}
	}
	listed := map[string]bool{}
	var last time.Time
	c.lines(name, CodeCustody, func(n int, line []byte) {
		var x struct {
			At        time.Time `json:"at"`
			By        string    `json:"by"`
			Recipient string    `json:"recipient"`
			Digest    string    `json:"digest"`
			Bytes     int64     `json:"bytes"`
		}
		if err := strict(line, &x); err != nil || x.At.Before(last) {
			c.find(CodeCustody, name, "line %d is not a handing over, or not in order of time", n)
			return
		}
		last = x.At
		listed[x.Digest] = true
		if !recorded[x.Digest] {
			c.find(CodeCustody, name, "line %d: no fact records it", n)
		}
	})
	for digest := range recorded {
		if !listed[digest] {
			c.find(CodeCustody, name, "a fact records a handing over that is not listed")
		}
	}
	return nil
}

// checkPublications compares the published texts of the review with the facts that record them: the text of
// each that was kept is there and has the recorded digest, and there is no other.
func (c *checker) checkPublications() error {
	recorded, n := map[string]bool{}, 0
	for _, f := range c.chain {
		if f.kind != "review.published" {
			continue
		}
		n++
		var b struct {
			Version string `json:"version"`
			Digest  string `json:"digest"`
			Kept    string `json:"kept"`
		}
		if json.Unmarshal(f.body, &b) != nil {
			c.find(CodePublication, "facts.ndjson", "publication %d: the fact does not say what was published", n)
			continue
		}
		if b.Kept == "" {
			continue // an earlier release kept no text
		}
		if b.Version == "" {
			b.Version = "internal"
		}
		name := fmt.Sprintf("publications/%d-%s.md", n, b.Version)
		if !publicationName.MatchString(name) {
			c.find(CodePublication, "facts.ndjson", "publication %d is of a version that is none", n)
			continue
		}
		recorded[name] = true
		data, ok := c.read(name)
		if !ok {
			continue
		}
		c.report.Publications++
		if sum := sha256.Sum256(data); fmt.Sprintf("sha256:%x", sum) != b.Digest {
			c.find(CodePublication, name, "it is not the text that was published: the fact records another digest")
		}
	}
	for _, name := range c.archive.order {
		if publicationName.MatchString(name) && !recorded[name] {
			c.find(CodePublication, name, "no fact records it")
		}
	}
	return nil
}

// checkAttachments compares the attached files with the facts that record them: every one is there,
// has the recorded digest and size, and there is no other.
func (c *checker) checkAttachments() error {
	recorded := map[string]bool{}
	for _, f := range c.chain {
		if f.kind != "evidence.attached" {
			continue
		}
		var b struct {
			Attachment string `json:"attachment"`
			Digest     string `json:"digest"`
			Bytes      int64  `json:"bytes"`
		}
		name := "attachments/"
		if json.Unmarshal(f.body, &b) == nil {
			name += b.Attachment
		}
		if !attachmentName.MatchString(name) || recorded[name] {
			c.find(CodeAttachment, "facts.ndjson", "a fact records an attached file under a name that is none, or is taken")
			continue
		}
		recorded[name] = true
		data, ok := c.read(name)
		if !ok {
			continue
		}
		c.report.Attachments++
		if sum := sha256.Sum256(data); fmt.Sprintf("sha256:%x", sum) != b.Digest || int64(len(data)) != b.Bytes {
			c.find(CodeAttachment, name, "it is not the file that was attached: the fact records another digest")
		}
	}
	for _, name := range c.archive.order {
		if attachmentName.MatchString(name) && !recorded[name] {
			c.find(CodeAttachment, name, "no fact records it")
		}
	}
	return nil
}
