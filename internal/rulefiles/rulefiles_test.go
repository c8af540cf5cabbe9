package rulefiles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/rulefiles"
)

func TestAFolderIsReadWithWhatStandsBelowItAndMistakesNameTheFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := write("rules/a.yml", "title: A"), write("rules/more/b.YAML", "title: B")
	write("rules/notes.txt", "no rule")
	files, err := rulefiles.Read(filepath.Join(dir, "rules"))
	if err != nil || len(files) != 2 || files[0].Name != one || files[1].Name != two || string(files[1].Data) != "title: B" {
		t.Fatalf("%+v, %v", files, err)
	}
	if files, err := rulefiles.Read(one); err != nil || len(files) != 1 {
		t.Errorf("a file alone: %+v, %v", files, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"):                                 "absent cannot be read",
		filepath.Dir(write("empty/notes.txt", "x")):                  "holds no rule file",
		write("large.yml", strings.Repeat("#", rulefiles.MaxFile+1)): "is larger than 8 MiB",
	} {
		if _, err := rulefiles.Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
