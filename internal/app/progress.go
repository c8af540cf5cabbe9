package app

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// progress is DIR/setup.json: what of the first hour no fact tells. What was done is read from the
// configuration and the facts, so that a step done by hand counts as well.
type progress struct {
	MailTested time.Time            `json:"mail_tested,omitzero"` // when the relay last took a test message
	MailFailed string               `json:"mail_failed,omitempty"`
	Skipped    map[string]time.Time `json:"skipped,omitempty"` // steps that were put off, by name
}

const progressFile = "setup.json"

func readProgress(dir string) (progress, error) {
	var p progress
	body, err := os.ReadFile(filepath.Join(dir, progressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	return p, err
}

// writeProgress replaces the file as a whole: a crash leaves the old one or the new one.
func writeProgress(dir string, p progress) error {
	body, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, progressFile), append(body, '\n'))
}

// replaceFile writes a private file that is the old one or the new one after a crash.
func replaceFile(name string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // the temporary name, when the rename did not happen
	_, err = f.Write(body)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return err
	}
	return fsync.Dir(filepath.Dir(name))
}
