package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/fsync"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// maxPolicy bounds a policy file, in bytes.
const maxPolicy = 4 << 20

// programs compiles the policy in force, last, and before it every version this folder has had in
// force. An open incident goes on under the version it started with, whatever became of the file.
func (c *Config) programs(log *slog.Logger) ([]*policy.Program, error) {
	current, err := compile(c.path(c.Policy))
	if err != nil {
		return nil, &mistake{Field: "policy", Say: err.Error()}
	}
	files, err := filepath.Glob(filepath.Join(c.dir, "policies", "kept", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []*policy.Program
	for _, file := range files {
		p, err := compile(file)
		switch {
		case err != nil:
			// The server is needed most on a bad day: one damaged copy must not keep it from starting.
			log.Warn("a kept policy cannot be used: incidents that started under it go on under the policy in force", "file", file, "error", firstLine(err))
		case keptName(p) != filepath.Base(file):
			log.Warn("a kept policy was altered after it was kept and is not used", "file", file)
		case p.Hash != current.Hash:
			all = append(all, p)
		}
	}
	return append(all, current), nil
}

// keep copies the source of the policy in force to policies/kept, under its hash, before the first
// fact can name it.
func (c *Config) keep(p *policy.Program) error {
	dir := filepath.Join(c.dir, "policies", "kept")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	name := filepath.Join(dir, keptName(p))
	if had, err := os.ReadFile(name); err == nil && string(had) == string(p.Source) {
		return nil
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	defer os.Remove(f.Name()) // the temporary name, when the rename did not happen
	_, err = f.Write(p.Source)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		// A crash before the rename leaves a file that no start looks at; the next one keeps it again.
		err = os.Rename(f.Name(), name)
	}
	if err == nil {
		err = fsync.Dir(dir)
	}
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	return nil
}

func keptName(p *policy.Program) string { return strings.TrimPrefix(p.Hash, "sha256:") + ".yaml" }

func compile(file string) (*policy.Program, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: name the policy file, relative to the data folder", file)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxPolicy {
		return nil, fmt.Errorf("%s is larger than 4 MiB", file)
	}
	p, diags := policy.Compile(file, src, policy.WithLaws(regimes.Catalogue()))
	if policy.HasErrors(diags) {
		said := []string{fmt.Sprintf("%s does not compile: tocsin policy check shows each place", file)}
		for _, d := range diags {
			if d.Severity == policy.Error {
				said = append(said, d.String())
			}
		}
		return nil, errors.New(strings.Join(said, "\n"))
	}
	return p, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
