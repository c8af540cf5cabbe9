package doctor_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/policy"
)

// promise: DET-7
func TestTheDoctorSaysWhetherAChangeOfFilesWouldBeNoticed(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	p := &policy.Program{ID: "p", Classes: []policy.Class{{ID: "malicious_code", Signals: []string{"template_changed"}, Promise: []string{"CLS-1", "DET-7"}}}}
	look := func(files ...doctor.FileSource) (found []doctor.Finding) {
		for _, f := range doctor.Examine(doctor.Seen{Now: now, Policy: p, Files: files}).Findings {
			if strings.HasPrefix(f.ID, "files.") {
				found = append(found, f)
			}
		}
		return found
	}
	if f := look(); len(f) != 1 || f[0].State != doctor.Fail || !slices.Equal(f[0].Promises, []string{"DET-7"}) {
		t.Errorf("no files are looked after: %+v", f)
	}
	want := map[string]doctor.State{"no_baseline": doctor.Fail, "unreadable": doctor.Fail, "changed": doctor.Warn, "as_approved": doctor.OK, "not_looked": doctor.OK}
	for state, is := range want {
		f := look(doctor.FileSource{Name: "theme", State: state, Approved: now.Add(-time.Hour), Changed: 1, Trouble: "HTTP 401"})
		i := slices.IndexFunc(f, func(x doctor.Finding) bool { return x.ID == "files.theme" })
		if i < 0 || f[i].State != is || is != doctor.OK && f[i].Do == "" || !slices.Contains(f[i].Promises, "DET-7") {
			t.Errorf("%s: %+v", state, f)
		}
	}
	f := look(doctor.FileSource{Name: "theme", State: "as_approved", Approved: now, Damage: "layout/theme.liquid is gone"})
	if i := slices.IndexFunc(f, func(x doctor.Finding) bool { return x.ID == "files.theme.kept" }); i < 0 || f[i].State != doctor.Fail || !strings.Contains(f[i].Say, "layout/theme.liquid is gone") {
		t.Errorf("what is not kept whole: %+v", f)
	}
	p.Classes = nil
	if f := look(); len(f) != 0 {
		t.Errorf("a policy that promises nothing of files: %+v", f)
	}
}
