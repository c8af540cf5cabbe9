package judge

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// manifestOf is the digest by which the evidence names a state of files, computed anew: SHA-256 over
// {"files":[{"path","size","digest"}, …]} in the order of the paths.
func manifestOf(files []TruthFile) string {
	b, err := json.Marshal(struct {
		Files []TruthFile `json:"files"`
	}{files})
	if err != nil {
		return ""
	}
	return digestOf(b)
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// byPath is a state of files by their names.
func byPath(files []TruthFile) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		out[f.Path] = f.Digest
	}
	return out
}

// differing are the paths that differ between two states, in order.
func differing(a, b map[string]string) []string {
	var out []string
	for p := range a {
		if a[p] != b[p] {
			out = append(out, p)
		}
	}
	for p := range b {
		if a[p] == "" {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// fileSignal is a signal about files.
type fileSignal struct {
	Signal struct {
		Subject  string            `json:"subject"`
		At       time.Time         `json:"at"`
		Sentence string            `json:"sentence"`
		Facets   map[string]string `json:"facets"`
	} `json:"signal"`
}

// changeNoticed: of each source, a signal names both states by their true digests and every file that
// differs by its name.
func (b *bench) changeNoticed(p *row) error {
	var slowest time.Duration
	for _, src := range b.truth.Sources {
		var first *fact
		for _, f := range b.export.of("signal.linked") {
			var s fileSignal
			f.own(&s)
			if s.Signal.Subject != "files:"+src.Name || first != nil {
				continue
			}
			first = &f
			if got, want := s.Signal.Facets["approved"], manifestOf(src.Approved); got != want {
				return fmt.Errorf("the signal about %s names the approved state %s, and it is %s", src.Name, got, want)
			}
			if got, want := s.Signal.Facets["found"], manifestOf(src.Found); got != want {
				return fmt.Errorf("the signal about %s names the state found %s, and it is %s", src.Name, got, want)
			}
			for _, path := range differing(byPath(src.Approved), byPath(src.Found)) {
				if !strings.Contains(s.Signal.Sentence, path+" (") {
					return fmt.Errorf("the signal about %s does not name %s", src.Name, path)
				}
			}
			slowest = max(slowest, s.Signal.At.Sub(src.At))
		}
		if first == nil {
			return fmt.Errorf("no signal says that %s was changed", src.Name)
		}
		p.prove(*first)
	}
	if len(b.truth.Sources) == 0 {
		return errors.New("no files were changed")
	}
	return p.took(slowest, "simulated", "system")
}

// now is the state of a source at the end, by the disk or by the store's own log.
func (s TruthSource) now() (map[string]string, error) {
	if s.Folder != "" {
		out := map[string]string{}
		err := filepath.WalkDir(s.Folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(s.Folder, path)
			out[filepath.ToSlash(name)] = digestOf(raw)
			return err
		})
		return out, err
	}
	out := byPath(s.Approved)
	entries, err := s.entries()
	for _, e := range entries {
		switch e.Do {
		case "write":
			out[e.File] = e.Digest
		case "remove":
			delete(out, e.File)
		}
	}
	return out, err
}

// storeEntry is a line of the store's log.
type storeEntry struct {
	Real   time.Time `json:"real"`
	App    string    `json:"app"`
	Do     string    `json:"do"`
	File   string    `json:"file"`
	Digest string    `json:"digest"`
}

func (s TruthSource) entries() ([]storeEntry, error) {
	raw, err := os.ReadFile(s.Log)
	if err != nil {
		return nil, err
	}
	var out []storeEntry
	for line := range bytes.Lines(raw) {
		var e storeEntry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("the store's log: %w", err)
		}
		out = append(out, e)
	}
	return out, nil
}

// asApproved: every file holds its approved bytes at the end, and nothing else is there.
func (b *bench) asApproved() error {
	for _, src := range b.truth.Sources {
		now, err := src.now()
		if err != nil {
			return err
		}
		if wrong := differing(byPath(src.Approved), now); len(wrong) > 0 {
			return fmt.Errorf("%s is not as approved at the end: %s", src.Name, strings.Join(wrong[:min(3, len(wrong))], ", "))
		}
	}
	return nil
}

// lookedAt: between two instants of the machine's time the responder read every approved file of a store.
// What was put back is read from the store, and not believed because it was sent there.
func (src TruthSource) lookedAt(from, to time.Time) (bool, error) {
	entries, err := src.entries()
	if err != nil {
		return false, err
	}
	read := map[string]string{}
	for _, e := range entries {
		if e.Do == "read" && e.App == "tocsin" && e.Real.After(from) && e.Real.Before(to) {
			read[e.File] = e.Digest
		}
	}
	return len(differing(byPath(src.Approved), read)) == 0, nil
}

// putBackAndLookedAt: each source was put back by an action that is proven, the store was read in between,
// and everything is as approved at the end.
func (b *bench) putBackAndLookedAt(p *row) error {
	for _, src := range b.truth.Sources {
		var applied, proven fact
		action := ""
		for _, f := range b.export.facts {
			var a struct{ Action string }
			f.body(&a)
			switch f.Kind {
			case "action.planned":
				var plan struct {
					Target map[string]string `json:"target"`
				}
				if f.own(&plan); plan.Target["source"] == src.Name {
					action = a.Action
				}
			case "action.applied":
				if a.Action == action {
					applied = f
				}
			case "action.proven":
				if a.Action == action {
					proven = f
				}
			}
		}
		if action == "" || applied.ID == "" || proven.ID == "" {
			return fmt.Errorf("the evidence holds no action that put %s back and was proven", src.Name)
		}
		if src.Log != "" {
			entries, err := src.entries()
			if err != nil {
				return err
			}
			var wrote time.Time
			for _, e := range entries {
				if e.App == "tocsin" && e.Do != "read" && e.Real.Before(proven.Real) {
					wrote = e.Real
				}
			}
			if wrote.IsZero() {
				return fmt.Errorf("the store knows of nothing that was written back to %s", src.Name)
			}
			looked, err := src.lookedAt(wrote, proven.Real)
			if err != nil {
				return err
			}
			if !looked {
				return fmt.Errorf("the evidence says that %s was found as approved; the store knows of nobody who read it after it was written", src.Name)
			}
		}
		p.prove(proven)
	}
	p.Trigger = "person"
	return b.asApproved()
}

// gone: what was put in is in neither source any more.
func (b *bench) gone(p *row) error {
	proven := b.export.of("action.proven")
	if len(proven) == 0 {
		return errors.New("nothing was put back")
	}
	p.prove(proven[len(proven)-1])
	p.Trigger = "person"
	return b.asApproved()
}

// restoredWhenAsApproved: service returned only when proven, and each source that raised the incident had
// passed its check before, for which the store was read.
func (b *bench) restoredWhenAsApproved(p *row) error {
	if err := b.restoredWhenProven(p); err != nil {
		return err
	}
	restored := b.export.of("service.restored")
	if len(restored) == 0 {
		return errors.New("service did not return")
	}
	raised := map[string]bool{}
	for _, f := range b.export.of("signal.linked") {
		var s fileSignal
		f.own(&s)
		if name, ok := strings.CutPrefix(s.Signal.Subject, "files:"); ok {
			raised[name] = true
		}
	}
	for _, src := range b.truth.Sources {
		var began, passed time.Time
		for _, f := range b.export.facts {
			var c struct{ Check string }
			f.body(&c)
			if c.Check != "files_"+src.Name || f.Recorded.After(restored[0].Recorded) {
				continue
			}
			switch f.Kind {
			case "check.attempted":
				began = f.Real
			case "check.passed":
				passed = f.Real
			}
		}
		if passed.IsZero() {
			if raised[src.Name] {
				return fmt.Errorf("service returned although the check of %s had not passed", src.Name)
			}
			continue
		}
		if src.Log == "" {
			continue
		}
		looked, err := src.lookedAt(began, passed)
		if err != nil {
			return err
		}
		if !looked {
			return fmt.Errorf("the check of %s passed, and the store knows of nobody who read it", src.Name)
		}
	}
	return b.asApproved()
}

// untouchedAndKept: the evidence withstands every alteration, and holds each file as it was found, kept
// before anything was written over it.
func (b *bench) untouchedAndKept(p *row) error {
	if err := b.untouched(p); err != nil {
		return err
	}
	kept := map[string]bool{}
	overwritten := map[string]map[string]bool{} // by source: what was kept when it was written over, or found as approved again
	sources := map[string]string{}              // by action
	for _, f := range b.export.facts {
		var a struct{ Action, Attachment, Digest, Check string }
		f.body(&a)
		switch f.Kind {
		case "evidence.attached":
			if digestOf(b.export.files["attachments/"+a.Attachment]) == a.Digest {
				kept[a.Digest] = true
			}
		case "action.planned":
			var plan struct {
				Target map[string]string `json:"target"`
			}
			f.own(&plan)
			sources[a.Action] = plan.Target["source"]
		case "action.applied":
			overwritten[sources[a.Action]] = maps.Clone(kept)
		case "check.passed": // a policy may have no action that puts files back: then people did it by hand, before this
			if name, ok := strings.CutPrefix(a.Check, "files_"); ok && overwritten[name] == nil {
				overwritten[name] = maps.Clone(kept)
			}
		}
	}
	for _, src := range b.truth.Sources {
		found := byPath(src.Found)
		for _, path := range differing(byPath(src.Approved), found) {
			if d := found[path]; d != "" && !overwritten[src.Name][d] {
				return fmt.Errorf("%s of %s was written over, and the file as found was not kept before", path, src.Name)
			}
		}
	}
	return nil
}
