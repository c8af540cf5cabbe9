package main

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// verifierPackage is the program under test.
const verifierPackage = "github.com/tocsin-ir/tocsin/cmd/tocsin-verify"

func golang(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command("go", args...)
	c.Dir, c.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if cache := filepath.Join(dir, "..", "cache"); filepath.Base(dir) == "place" {
		c.Env = append(c.Env, "GOCACHE="+cache) // nothing that the other build made is used again
	}
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// Whoever is given the program can build it again from the source and compare: in two folders with other
// names it comes to the same bytes. It is one static file, with no cgo and nothing that reaches a network.
//
// promise: INV-3
func TestTheVerifierIsStaticAndBuildsToTheSameBytesAnywhere(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(golang(t, root, "list", "-deps", verifierPackage))
	for _, never := range []string{"runtime/cgo", "net/http", "crypto/tls", "os/exec", "plugin", "database/sql"} {
		if slices.Contains(deps, never) {
			t.Errorf("it is built with %s", never)
		}
	}
	var digests []string
	var program string
	for _, name := range []string{"one", "another/place"} {
		dir := filepath.Join(t.TempDir(), name)
		for _, pkg := range strings.Fields(golang(t, root, "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.Dir}}{{end}}{{end}}", verifierPackage)) {
			rel, err := filepath.Rel(root, pkg)
			if err != nil {
				t.Fatal(err)
			}
			copyFiles(t, pkg, filepath.Join(dir, rel))
		}
		for _, file := range []string{"go.mod", "go.sum"} {
			copyFile(t, filepath.Join(root, file), filepath.Join(dir, file))
		}
		program = filepath.Join(dir, "tocsin-verify")
		golang(t, dir, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, "./cmd/tocsin-verify")
		raw, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(dir)) || bytes.Contains(raw, []byte(root)) {
			t.Errorf("it names the folder it was built in")
		}
		digests = append(digests, fmt.Sprintf("%x", sha256.Sum256(raw)))
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds have the digests %s and %s", digests[0], digests[1])
	}
	if runtime.GOOS != "linux" {
		return
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it needs %v, %v", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic linker")
		}
	}
}

// copyFiles copies what a package is built from: its files, and folders that it embeds.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasSuffix(e.Name(), "_test.go") {
			copyFile(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err == nil {
		_, err = io.Copy(out, in)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
