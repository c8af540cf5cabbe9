package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/app"
)

// A block that is a whole tocsin.yaml is accepted as it stands.
func TestEveryConfigurationADocumentShowsIsAccepted(t *testing.T) {
	for _, p := range parsePages(t) {
		for _, b := range p.blocks {
			if kindOf(b) != "config" {
				continue
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "tocsin.yaml"), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := app.LoadConfig(dir, ""); err != nil {
				t.Errorf("%s:%d: this configuration is refused: %s", p.name, b.line, strings.ReplaceAll(err.Error(), dir, "DIR"))
			}
		}
	}
}
