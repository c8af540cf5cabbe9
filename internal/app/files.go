package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
)

// Depth is how much the doctor reads.
type Depth struct {
	Full     bool                  // all of it, however long it takes
	Progress func(doctor.Progress) // may be nil
	Page     bool                  // somebody waits for a page: what is far away is not waited for
}

// What the doctor reads of a log without being asked for all of it: so many bundles of 256 leaves, the
// newest and as many others at random.
const (
	newestBundles = 32
	otherBundles  = 32
)

func (d Depth) tell(what, unit string) func(done, total uint64) {
	if d.Progress == nil {
		return nil
	}
	return func(done, total uint64) {
		d.Progress(doctor.Progress{Running: true, What: what, Done: done, Total: total, Unit: unit})
	}
}

// bundles are how many bundles are read: the newest and others; zeros are all.
func (d Depth) bundles() (newest, others uint64) {
	if d.Full {
		return 0, 0
	}
	return newestBundles, otherBundles
}

// aside looks at the files that a start would write to, before it does: what an alteration left is then
// still there. The folder's own lock is not held; nothing is changed.
func (c *Config) aside(ctx context.Context, dir string, d Depth) (out []doctor.File) {
	find := func(f doctor.File) { out = append(out, f) }
	for _, name := range []string{"tocsin.db", "events.db", "keys/keys.db"} {
		if what := unsound(ctx, filepath.Join(dir, filepath.FromSlash(name)), d.Full); what != "" {
			find(doctor.File{Name: name, What: "is damaged: " + what})
		}
	}
	torn, err := spool.Inspect(filepath.Join(dir, "spool"))
	if err != nil {
		find(doctor.File{Name: "spool", What: "cannot be read: " + oneSentence(err)})
	}
	for _, t := range torn {
		find(doctor.File{Name: "spool/" + t.File, Mild: true, Do: "nothing, if the server did not end in order: what was not answered is sent again. Otherwise compare the folder with its copy",
			What: fmt.Sprintf("ends with %d bytes that are no whole record: a write that a crash cut off, or an alteration", t.Size-t.At)})
	}
	if _, err := os.Stat(filepath.Join(dir, "keys")); err != nil {
		return out
	}
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		return out // the machine's own findings say so
	}
	defer keys.Close()
	if _, err := keys.Check(); errors.Is(err, keyring.ErrAltered) {
		find(doctor.File{Name: "keys/keys.db", What: "was altered: " + oneSentence(err)})
	}
	for _, name := range []string{"facts", "events"} {
		origin, log := c.Organisation.ID+"/"+name, filepath.Join(dir, "log", name)
		if _, err := os.Stat(filepath.Join(log, "tile")); err != nil {
			continue // nothing was logged yet
		}
		file, ok := keys.HasSigner(origin)
		if !ok {
			find(doctor.File{Name: "keys/" + file, What: "is missing, and the log was signed with it", Do: "bring keys/ back from where you keep a copy"})
			continue
		}
		key, _, err := keys.Verifier(origin)
		if err != nil {
			find(doctor.File{Name: "keys/" + file, What: "does not hold the key of " + origin, Do: "bring keys/ back from where you keep a copy"})
			continue
		}
		var bad *translog.AlteredError
		if err := translog.InspectFolder(ctx, log, key); errors.As(err, &bad) {
			find(doctor.File{Name: "log/" + name + "/" + bad.File, What: bad.What})
		} else if err != nil && ctx.Err() == nil {
			find(doctor.File{Name: "log/" + name, What: "cannot be read: " + oneSentence(err)})
		}
	}
	return out
}

// unsound says what SQLite itself finds wrong with a database; "" when nothing, or when it is not there.
func unsound(ctx context.Context, path string, full bool) string {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	if err != nil {
		return oneSentence(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	check := "PRAGMA quick_check(1)"
	if full {
		check = "PRAGMA integrity_check(1)"
	}
	var says string
	if err := db.QueryRowContext(ctx, check).Scan(&says); err != nil {
		if ctx.Err() != nil {
			return ""
		}
		return oneSentence(err)
	}
	if says == "ok" {
		return ""
	}
	return firstLine(errors.New(says))
}

// inspect looks at what the open server keeps beside its facts and logs, and compares it with them: each event
// of the table, too, with compare.
func (a *App) inspect(ctx context.Context, chains []string, served, compare bool, d Depth) (out []doctor.File, err error) {
	state, err := a.desk.Org(ctx)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	if state != nil {
		for _, p := range state.Policies {
			name := "policies/kept/" + strings.TrimPrefix(p.Hash, "sha256:") + ".yaml"
			if program, err := compile(filepath.Join(a.o.Dir, filepath.FromSlash(name))); errors.Is(err, fs.ErrNotExist) {
				out = append(out, doctor.File{Name: name, What: "is missing, and a fact published it", Do: "bring it back from a backup or an export: incidents that began under it go on under the policy in force"})
			} else if err != nil || program.Hash != p.Hash {
				out = append(out, doctor.File{Name: name, What: "is not the policy that a fact published", Do: "bring it back from a backup or an export: incidents that began under it go on under the policy in force"})
			}
		}
		if n := len(state.Policies); n > 0 && !served && state.Policies[n-1].Hash != a.policy.Hash {
			rel, err := filepath.Rel(a.o.Dir, a.cfg.path(a.cfg.Policy))
			if err != nil {
				rel = a.cfg.Policy
			}
			out = append(out, doctor.File{Name: rel, Mild: true, What: "is not the policy in force: the next start publishes it", Do: "tocsin policy diff shows what changes"})
		}
	}
	if served { // of a folder that nobody serves this was seen before it was opened
		for _, name := range []string{"tocsin.db", "events.db", "keys/keys.db"} {
			if what := unsound(ctx, filepath.Join(a.o.Dir, filepath.FromSlash(name)), d.Full); what != "" {
				out = append(out, doctor.File{Name: name, What: "is damaged: " + what})
			}
		}
		if _, err := a.keys.Check(); errors.Is(err, keyring.ErrAltered) {
			out = append(out, doctor.File{Name: "keys/keys.db", What: "was altered: " + oneSentence(err)})
		}
	}
	removed := map[string]string{}
	for _, e := range state.Days() {
		if e.Pruned != nil {
			removed[e.Day] = e.Pruned.Fact
		}
	}
	newest, others := d.bundles()
	misfits, err := a.access.Inspect(ctx, accesslog.Depth{Newest: newest, Sample: others, Removed: removed, Served: served, Progress: d.tell("leaves compared with events.db", "bundles")})
	if err != nil {
		return nil, err
	}
	if compare && len(misfits) == 0 {
		if misfits, err = a.access.CompareTable(ctx, d.tell("events of log and table compared", "events")); err != nil {
			return nil, err
		}
	}
	for _, m := range misfits {
		f := doctor.File{Name: m.File, What: m.What}
		switch first, _, _ := strings.Cut(m.File, "/"); first {
		case "table":
			f.Do = "tocsin rebuild --table"
		case "rejects":
			f.Mild, f.Do = true, "nothing: refused entries are kept for a week as a courtesy to senders, and are no evidence"
		}
		out = append(out, f)
	}
	known := map[string]bool{}
	for n, id := range chains {
		if d.Progress != nil {
			d.tell("incidents", "incidents")(uint64(n), uint64(len(chains)))
		}
		what, err := a.desk.InspectProjections(ctx, id)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && what != "" {
			out = append(out, doctor.File{Name: "tocsin.db", Mild: true, What: "holds what is not so: " + what, Do: "tocsin rebuild"})
		}
		s, err := a.desk.Incident(ctx, id)
		if err != nil {
			continue // an altered chain is named by recompute
		}
		out = append(out, a.inspectGiven(s, known)...)
	}
	return out, nil
}

// inspectGiven looks at the files that the facts of an incident name: what was attached, and what was
// exported.
func (a *App) inspectGiven(s *incident.State, known map[string]bool) (out []doctor.File) {
	files := evidence.Files{Dir: filepath.Join(a.o.Dir, "attachments"), Keys: a.keys}
	for _, x := range s.Attachments {
		name := "attachments/" + strings.TrimPrefix(x.Digest, "sha256:") + ".sealed"
		if known[name] {
			continue
		}
		known[name] = true
		if _, err := files.Get(x.Digest); errors.Is(err, fs.ErrNotExist) {
			out = append(out, doctor.File{Name: name, What: fmt.Sprintf("is missing: it is %s of %s", x.ID, s.ID)})
		} else if err != nil {
			out = append(out, doctor.File{Name: name, What: fmt.Sprintf("was altered: it is %s of %s", x.ID, s.ID)})
		}
	}
	var digests []string
	for _, x := range s.Exports {
		digests = append(digests, x.Digest)
	}
	unknown, missing, err := evidence.Inspect(filepath.Join(a.o.Dir, "exports"), s.ID, digests)
	if err != nil {
		return append(out, doctor.File{Name: "exports", What: "cannot be read: " + oneSentence(err)})
	}
	for _, name := range unknown {
		// One that a crash left between the file and its fact looks like this too, and was never given out.
		out = append(out, doctor.File{Name: "exports/" + name, What: "is not an export that a fact records: it was altered, or never given out", Do: "give nobody this file; tocsin evidence export makes another"})
	}
	for _, digest := range missing {
		out = append(out, doctor.File{Name: "exports", Mild: true, What: fmt.Sprintf("lacks the export of %s with the digest %s, which a fact records", s.ID, digest), Do: "nothing, if it was removed on purpose: who got it has it, and another can be made"})
	}
	return out
}
