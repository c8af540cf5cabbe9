package docs

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// directory is the file of merchants that a reader of the README is assumed to have.
const directory = "merchant,name,store,domain,email,email_2,phone,language,zone,country,contract_hours,installed,uninstalled\n" +
	"m_001,Corner Shop,s_1,corner.example,owner@corner.example,,,en,Europe/Berlin,DE,,2026-01-05,\n"

// The lines of blocks marked "quickstart" are run as they stand, in order, in an empty folder. The
// server listens on a port of its own instead of the one it would print.
func TestTheQuickStartWorksAsWritten(t *testing.T) {
	tocsin := program(t, "tocsin")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "merchants.csv"), []byte(directory), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ran := 0
	for _, p := range parsePages(t) {
		for _, b := range p.blocks {
			if !strings.HasSuffix(b.info, " quickstart") {
				continue
			}
			for i, l := range strings.Split(strings.TrimSpace(b.text), "\n") {
				words := split(l)
				if len(words) == 0 || words[0] == "make" {
					continue
				}
				if words[0] != "bin/tocsin" {
					t.Fatalf("%s:%d: %s: only bin/tocsin and make stand in a quick start", p.name, b.line+i, l)
				}
				ran++
				cmd := exec.CommandContext(ctx, tocsin, words[1:]...)
				cmd.Dir = dir
				if words[1] == "serve" {
					server := exec.Command(tocsin, append(words[1:], "--listen", "127.0.0.1:0")...)
					server.Dir = dir
					serve(t, server)
					continue
				}
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s:%d: %s: %v\n%s", p.name, b.line+i, l, err, out)
				}
			}
		}
	}
	if ran < 5 {
		t.Fatalf("only %d commands in the quick start", ran)
	}
}

// serve starts a server, waits until it says where it listens and how to sign in, and stops it
// when the test is over.
func serve(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not end in order: %v\n%s", err, said.String())
		}
	})
	lines := bufio.NewScanner(out)
	listens, link := false, false
	for !(listens && link) && lines.Scan() {
		listens = listens || strings.Contains(lines.Text(), "listens on http")
		link = link || strings.Contains(lines.Text(), "/join?code=")
	}
	if !listens || !link {
		t.Fatalf("the server did not say where it listens and how to sign in:\n%s", said.String())
	}
	go func() { // nothing more is expected; the pipe must not fill
		for lines.Scan() {
		}
	}()
}
