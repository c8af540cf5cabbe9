package envfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// maxFile is the largest env file that is edited, in bytes.
const maxFile = 1 << 20

// place is where the value of a key stands in the bytes of a file.
type place struct{ from, to int }

// find locates the value of key: KEY=value, with "export" before it or not, bare, in single or in
// double quotes. It walks the file assignment by assignment, because a quoted value of another key
// may run over lines and hold anything.
func find(text, key string) (place, string, error) {
	var found []place
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := text[at:end]
		name, start, ok := assignment(line)
		if !ok {
			at = end
			continue
		}
		from := at + start
		to, next, err := value(text, from, end)
		if err != nil {
			return place{}, "", fmt.Errorf("%s has no closing quote", name)
		}
		if name == key {
			found = append(found, place{from, to})
		}
		at = next
	}
	switch len(found) {
	case 0:
		return place{}, "", fmt.Errorf("%s does not stand in it", key)
	case 1:
		p := found[0]
		return p, unquote(text[p.from:p.to]), nil
	}
	return place{}, "", fmt.Errorf("%s stands in it %d times: leave one", key, len(found))
}

// assignment reads the name of a line and the index after its equals sign.
func assignment(line string) (name string, start int, ok bool) {
	before, _, ok := strings.Cut(line, "=")
	if !ok {
		return "", 0, false
	}
	name = strings.TrimSpace(before)
	if rest, found := strings.CutPrefix(name, "export"); found && (strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "\t")) {
		name = strings.TrimSpace(rest)
	}
	if !keyName.MatchString(name) {
		return "", 0, false
	}
	return name, len(before) + 1, true
}

// value gives the end of the value that starts at from, and where the next line begins.
func value(text string, from, end int) (to, next int, err error) {
	lead := from
	for lead < end && (text[lead] == ' ' || text[lead] == '\t') {
		lead++
	}
	if lead < end && (text[lead] == '"' || text[lead] == '\'') {
		quote := text[lead]
		for i := lead + 1; i < len(text); i++ {
			switch {
			case text[i] == '\\' && quote == '"':
				i++
			case text[i] == quote:
				next = len(text)
				if j := strings.IndexByte(text[i:], '\n'); j >= 0 {
					next = i + j + 1
				}
				return i + 1, next, nil
			}
		}
		return 0, 0, errors.New("no closing quote")
	}
	bare := text[from:end]
	if i := strings.Index(bare, " #"); i >= 0 {
		bare = bare[:i]
	}
	return from + len(strings.TrimRight(bare, " \t\r\n")), end, nil
}

func unquote(s string) string {
	s = strings.TrimLeft(s, " \t")
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	inner := s[1 : len(s)-1]
	if s[0] == '"' {
		inner = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\$`, `$`).Replace(inner)
	}
	return inner
}

// put replaces the value; every other byte of the file stays. The new value is letters and digits
// only, so it needs no quotes of its own and keeps those that stand there.
func put(text string, p place, v string) string {
	old := text[p.from:p.to]
	body := strings.TrimLeft(old, " \t")
	lead := old[:len(old)-len(body)]
	if body != "" && (body[0] == '"' || body[0] == '\'') {
		v = body[:1] + v + body[:1]
	}
	return text[:p.from] + lead + v + text[p.to:]
}

// read gives the text of the file and the file that a link leads to, so that writing keeps the link.
func read(name string) (text, real string, err error) {
	real, err = filepath.EvalSymlinks(name)
	if err != nil {
		return "", "", fmt.Errorf("env file: %w", err)
	}
	f, err := os.Open(real)
	if err != nil {
		return "", "", fmt.Errorf("env file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "", "", fmt.Errorf("env file %s: it is not a regular file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", "", fmt.Errorf("env file: %w", err)
	}
	if len(b) > maxFile {
		return "", "", fmt.Errorf("env file %s: it is larger than %d bytes", name, maxFile)
	}
	return string(b), real, nil
}

// replace writes the file whole: beside its place, synced, with the mode and owner of the old one,
// then renamed. A crash before the rename leaves the old file, after it the new one.
func replace(real, text string) error {
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	dir := filepath.Dir(real)
	tmp, err := os.CreateTemp(dir, ".tocsin-*")
	if err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	_, err = tmp.WriteString(text)
	if err == nil {
		err = keepOwner(tmp, info)
	}
	if err == nil {
		err = tmp.Chmod(info.Mode().Perm())
	}
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), real)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("env file: %w", err)
	}
	if err := fsync.Dir(dir); err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	return nil
}
