package app

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/verify"
)

// A day is removed and a merchant's and a customer's accesses are erased. Whoever restores a backup of
// after that, or one of before it with the copy off the machine, and even with keys of before it, finds
// neither again; all of it verifies, and the doctor finds nothing.
//
// promise: INV-3
// promise: PRO-6
func TestARestoredBackupBringsBackNeitherRemovedNorErasedData(t *testing.T) {
	base, err := os.MkdirTemp("", "tocsin-back-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	copied := filepath.Join(base, "copy")
	dir := folder(t, "drill", configuration+fmt.Sprintf("evidence: { keep: 30 days }\ncopy: { to: %q }\n", copied))
	noon := time.Date(2026, 10, 20, 12, 0, 0, 0, time.UTC)
	a, clock, stop := simulated(t, dir, noon)
	c, token := member(t, a, "omar", "responder")
	owner, _ := member(t, a, "olga", "owner")
	app := sender(t, a)
	take(t, a, app, "d0", 6)
	clock.Set(noon.AddDate(0, 0, 1))
	take(t, a, app, "d1", 6)
	opened, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "orders read at night"})
	if err != nil {
		t.Fatal(err)
	}
	all := client.Query{From: noon.AddDate(0, 0, -1), To: noon.AddDate(0, 0, 2), Any: []client.Clause{{Credential: []string{"tok_1"}}}}
	if _, _, err := c.RecordScope(t.Context(), opened.Incident, all, "all of the token"); err != nil {
		t.Fatal(err)
	}
	save := func(name string) string {
		t.Helper()
		to := filepath.Join(base, name)
		if _, err := backup.Create(t.Context(), backup.CreateOptions{Dir: dir, To: to, Installation: a.in.ID, Organisation: a.cfg.Organisation.ID, Engine: desk.EngineVersion, Now: a.desk.Now()}); err != nil {
			t.Fatal(err)
		}
		return to
	}
	before := save("before")
	oldKeys := filepath.Join(base, "old")
	for _, name := range []string{"keys", "secrets"} {
		if err := os.MkdirAll(filepath.Join(oldKeys, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			for _, file := range filesOf(t, filepath.Join(dir, name)) {
				raw, err := os.ReadFile(filepath.Join(dir, name, file))
				if err == nil {
					err = os.WriteFile(filepath.Join(oldKeys, name, file), raw, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	dead, err := a.access.PseudonymKey("m_3")
	if err != nil || dead == "" {
		t.Fatal("the merchant that is erased has no key", err)
	}
	if _, err := owner.Command(t.Context(), opened.Incident, "dismiss", map[string]any{"reason": "a test by our own staff"}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []client.Erasure{
		{Merchant: "m_1", Basis: "Art. 17 GDPR", Reason: "a customer asked", People: []client.Erased{{Account: "c-0"}}},
		{Merchant: "m_3", All: true, Basis: "shop/redact", Reason: "the shop left"},
	} {
		if out, err := owner.Erase(t.Context(), e); err != nil || out.Erasure == "" {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	clock.Set(noon.AddDate(0, 0, 31))
	removedDays(t, c, 1)
	// Of d1 three accesses of m_1 and m_2 are left that nobody asked to forget: 1, 3 and 4.
	look := func(c *client.Client) string {
		t.Helper()
		res, err := c.Scope(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(res.Events, res.Customers, res.Records, len(res.Rows))
		for _, id := range []string{"d0-1", "d1-0", "d1-1", "d1-2", "d1-5"} {
			_, err := c.Access(t.Context(), id)
			said += fmt.Sprint(" ", id, " ", err == nil)
		}
		return said
	}
	want := look(c)
	if !strings.HasSuffix(want, " d0-1 false d1-0 false d1-1 true d1-2 false d1-5 false") {
		t.Fatalf("before any backup: %s", want)
	}
	after := save("after")
	point, err := c.Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the copy has everything", func() (bool, error) {
		s, err := backup.ReadStatus(dir)
		return uint64(s.Facts) >= point.FactsSize && s.Events >= point.EventsSize && s.Behind == 0, err
	})
	stop()

	for name, o := range map[string]backup.RestoreOptions{
		"a backup of after it":                          {From: after, KeysDir: dir},
		"a backup of before it, with the copy":          {From: before, KeysDir: dir, Copy: copied},
		"a backup and keys of before it, with the copy": {From: before, KeysDir: oldKeys, Copy: copied},
		"a backup of after it, with keys of before it":  {From: after, KeysDir: oldKeys},
		"the copy alone":                                {KeysDir: dir, Copy: copied, Organisation: "example"},
	} {
		t.Run(name, func(t *testing.T) {
			elsewhere, err := os.MkdirTemp("", "tocsin-to-*")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(elsewhere)
			o.Dir, o.Now = filepath.Join(elsewhere, "d"), noon.AddDate(0, 0, 31)
			if o.Copy != "" { // each goes on with a copy of its own
				o.Copy = filepath.Join(elsewhere, "copy")
				if err := os.CopyFS(o.Copy, os.DirFS(copied)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := backup.Restore(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(filepath.Join(o.Dir, "tocsin.yaml"))
			if err == nil {
				err = os.WriteFile(filepath.Join(o.Dir, "tocsin.yaml"), []byte(strings.Replace(string(raw), copied, filepath.Join(elsewhere, "copy"), 1)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			a, _, stop := simulated(t, o.Dir, noon.AddDate(0, 0, 31).Add(time.Hour))
			c, err := client.New(a.URL(), client.WithToken(token), client.WithTries(1, 0))
			if err != nil {
				t.Fatal(err)
			}
			removedDays(t, c, 1)
			if got := look(c); got != want {
				t.Errorf("it answers %q, and what was backed up %q", got, want)
			}
			if _, err := a.keys.Lookup("epoch", "2026-10-20"); err == nil {
				t.Error("the key of the removed day is there again")
			}
			if name, err := a.access.PseudonymKey("m_3"); err != nil || name == dead {
				t.Error("the key of the erased merchant is there again", err)
			}
			r, err := a.Checkup(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				if strings.HasPrefix(f.ID, "file.") || f.ID == "evidence.verify" && f.State != doctor.OK {
					t.Errorf("the doctor: %s: %s", f.ID, f.Say)
				}
			}
			path, err := exported(t, c, opened.Incident)
			if err != nil {
				t.Fatal(err)
			}
			report, err := verify.File(path, verify.Options{Since: [][]byte{[]byte(point.Facts), []byte(point.Events)}})
			if err != nil || !report.OK || len(report.Removed) != 1 || len(report.Short) != 1 || report.Short[0].Shown != 6 {
				t.Errorf("its export: %+v, %v", report, err)
			}
			stop()
		})
	}
}

func filesOf(t *testing.T, dir string) (list []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		list = append(list, filepath.ToSlash(rel))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return list
}
