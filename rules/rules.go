// Package rules holds the detection rules we ship, in the language of Sigma. Beside each file of
// rules stands a file NAME.test.ndjson with events that must and must not fire; a test plays them.
package rules

import (
	"embed"
	"io/fs"
	"path"
)

//go:embed */*.yml
var files embed.FS

// Files gives the rule files by name.
func Files() (map[string][]byte, error) {
	out := map[string][]byte{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".yml" {
			return err
		}
		src, err := files.ReadFile(name)
		out[name] = src
		return err
	})
	return out, err
}
