package docs

import (
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Go block that begins with a package clause is a whole program and compiles against the module
// as it is. It stands in a package that exists in an overlay only.
func TestEveryProgramADocumentShowsCompiles(t *testing.T) {
	base, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	where := map[string]string{}
	var packages []string
	for _, p := range parsePages(t) {
		for _, b := range p.blocks {
			if !strings.HasPrefix(b.info, "go") || !strings.HasPrefix(b.text, "package ") {
				continue
			}
			place := fmt.Sprintf("%s:%d", p.name, b.line)
			if nice, err := format.Source([]byte(b.text)); err != nil || string(nice) != b.text {
				t.Errorf("%s: the program is not formatted as gofmt does: %v", place, err)
			}
			name := fmt.Sprintf("snippet%d", len(packages))
			file := filepath.Join(dir, name+".go")
			if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			replace[filepath.Join(base, "internal", "docs", name, "main.go")] = file
			packages = append(packages, "./internal/docs/"+name)
			where[name] = place
		}
	}
	if len(packages) == 0 {
		t.Fatal("no program found in any document")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append([]string{"build", "-o", filepath.Join(dir, "out") + string(filepath.Separator), "-overlay", file}, packages...)...)
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%v", err, out, where)
	}
}
