package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
)

// Installation is DIR/installation.json: what this data folder is. It is written once and never
// changed; above all a production folder can never become a drill, nor a drill production.
type Installation struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Env     string    `json:"env"` // production, staging or drill
}

const installationFile = "installation.json"

// CreateFolder makes a data folder for one environment. It refuses a folder that is in use.
func CreateFolder(dir, env string, now time.Time) (Installation, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Installation{}, err
	}
	// A folder that was there already may be open to others, and not every file in it is private by
	// itself. A crash after this leaves a folder that is private and otherwise as it was.
	if err := os.Chmod(dir, 0o700); err != nil {
		return Installation{}, err
	}
	in := Installation{ID: ulid.Make().String(), Created: now.UTC(), Env: env}
	body, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		return Installation{}, err
	}
	f, err := os.OpenFile(filepath.Join(dir, installationFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return Installation{}, fmt.Errorf("%s is a data folder already", dir)
	}
	if err != nil {
		return Installation{}, err
	}
	defer f.Close()
	if _, err := f.Write(append(body, '\n')); err != nil {
		// An empty file would make the next try believe that this is a data folder.
		return Installation{}, errors.Join(err, os.Remove(f.Name()))
	}
	// A crash before the sync leaves no file or an empty one, which ReadFolder names.
	return in, errors.Join(f.Sync(), f.Close())
}

// ReadFolder says what a data folder is. It refuses one that others may enter, as the key folder in
// it does.
func ReadFolder(dir string) (Installation, error) {
	body, err := os.ReadFile(filepath.Join(dir, installationFile))
	if errors.Is(err, os.ErrNotExist) {
		return Installation{}, fmt.Errorf("%s is no data folder, it has no installation.json: make one with tocsin init --data %s", dir, dir)
	}
	if err != nil {
		return Installation{}, err
	}
	var in Installation
	if err := json.Unmarshal(body, &in); err != nil {
		return Installation{}, fmt.Errorf("%s: %w", filepath.Join(dir, installationFile), err)
	}
	switch in.Env {
	case "production", "staging", "drill":
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = fmt.Errorf("others may enter the data folder %s (mode %04o): run chmod 700 %s", dir, info.Mode().Perm(), dir)
		}
		return in, err
	}
	return Installation{}, fmt.Errorf("%s: env: has to be production, staging or drill", filepath.Join(dir, installationFile))
}
