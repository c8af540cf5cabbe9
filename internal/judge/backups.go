package judge

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// daily is the longest time between two backups that are called regular.
const daily = 24 * time.Hour

// maxBackup bounds what is unpacked of a backup.
const maxBackup = 1 << 30

// backedUp: backups were taken at least daily until the machine was lost, nobody without the identity
// reads a secret or a merchant's address in them or in the copy elsewhere, and each is whole.
func (b *bench) backedUp(p *row) error {
	taken := b.c.Backups
	if len(taken) < 2 {
		return fmt.Errorf("%d backups are not regular", len(taken))
	}
	for i, x := range taken {
		next := b.c.Moved
		if i+1 < len(taken) {
			next = taken[i+1].At
		}
		if i+1 < len(taken) && (!next.After(x.At) || next.Sub(x.At) > daily) {
			return fmt.Errorf("%s after a backup there is no other", next.Sub(x.At))
		}
		sealed, err := os.ReadFile(x.File)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(sealed, []byte("age-encryption.org/v1\n")) {
			return fmt.Errorf("%s is not encrypted as a whole", filepath.Base(x.File))
		}
		if _, err := b.opened(x.File); err != nil {
			return err
		}
	}
	read := 0
	for _, place := range []string{b.c.Copy, filepath.Dir(taken[0].File)} {
		err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || path == b.c.Identity {
				return err
			}
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			read++
			if what := b.readable(body); what != "" {
				return fmt.Errorf("%s of the other place holds %s in the clear", filepath.Base(path), what)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	p.Trigger, p.Proof = "system", fmt.Sprintf("%d backups, and %d files elsewhere in which nothing is in the clear", len(taken), read)
	return nil
}

// readable is what of a file nobody should read without a key; "" for nothing.
func (b *bench) readable(body []byte) string {
	for i, s := range b.c.Secrets {
		if len(s) >= 8 && bytes.Contains(body, []byte(s)) {
			return fmt.Sprintf("secret number %d", i+1)
		}
	}
	for _, m := range b.merchants {
		for _, address := range m.emails {
			if bytes.Contains(body, []byte(address)) {
				return "an address of " + m.id
			}
		}
	}
	return ""
}

// opened decrypts a backup and holds each of its files against its list.
func (b *bench) opened(name string) (files map[string][]byte, err error) {
	fail := func(format string, args ...any) (map[string][]byte, error) {
		return nil, fmt.Errorf("%s: %s", filepath.Base(name), fmt.Sprintf(format, args...))
	}
	raw, err := os.ReadFile(b.c.Identity)
	if err != nil {
		return nil, err
	}
	who, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in, err := age.Decrypt(f, who...)
	if err != nil {
		return fail("it cannot be opened: %v", err)
	}
	files = map[string][]byte{}
	archive := tar.NewReader(io.LimitReader(in, maxBackup))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail("%v", err)
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			return fail("%v", err)
		}
	}
	text, _, _ := bytes.Cut(files["manifest"], []byte("\n"))
	var list struct {
		Files []struct {
			Name   string `json:"name"`
			SHA256 string `json:"sha256"`
		} `json:"files"`
	}
	if err := json.Unmarshal(text, &list); err != nil || len(list.Files) == 0 {
		return fail("its list of files cannot be read: %v", err)
	}
	if len(list.Files)+1 != len(files) {
		return fail("it holds %d files and lists %d", len(files)-1, len(list.Files))
	}
	for _, x := range list.Files {
		sum := sha256.Sum256(files[x.Name])
		if hex.EncodeToString(sum[:]) != x.SHA256 {
			return fail("%s is not as its list says", x.Name)
		}
	}
	return files, nil
}

// restoredWhole: the newest backup is encrypted and whole, the facts log in it is the beginning of the
// one that goes on, and whatever was acknowledged before the loss is in the evidence afterwards.
func (b *bench) restoredWhole(p *row) error {
	if b.c.Moved.IsZero() || len(b.c.Backups) == 0 {
		return errors.New("nothing was restored")
	}
	files, err := b.opened(b.c.Backups[len(b.c.Backups)-1].File)
	if err != nil {
		return err
	}
	origin, size, want, err := checkpointOf(string(files["log/facts/checkpoint"]))
	if err != nil {
		return fmt.Errorf("the checkpoint in the backup: %w", err)
	}
	list, err := leaves(b.export.files["facts.leaves"])
	if err != nil {
		return fmt.Errorf("facts.leaves: %w", err)
	}
	if size == 0 || uint64(len(list)) < size || root(list[:size]) != want {
		return fmt.Errorf("the log %s that was restored does not go on from the %d leaves of the backup", origin, size)
	}
	hashes := map[string]string{}
	for _, f := range b.export.facts {
		hashes[f.ID] = f.hash
	}
	var gone []string
	for id, hash := range b.c.Acked {
		if hashes[id] != hash {
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		return fmt.Errorf("%d facts that were acknowledged are gone, such as %s", len(gone), gone[0])
	}
	if !b.evidence.Verified {
		return fmt.Errorf("tocsin-verify: %s", strings.TrimSpace(b.verifier))
	}
	p.Trigger, p.Proof = "person", fmt.Sprintf("%d facts that were acknowledged are there; the log goes on from leaf %d of the backup", len(b.c.Acked), size)
	return nil
}
