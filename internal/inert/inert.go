// Package inert takes files in from people and gives them back in a way that no browser shows or runs
// them, whatever they hold.
package inert

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/evidence"
)

// MaxForm bounds a form that attaches a file: the file with the texts beside it.
const MaxForm = evidence.MaxFile + 256<<10

// Upload is what came with a form that attaches a file. Fields are those that stood before the file.
type Upload struct {
	Fields map[string]string
	File   io.Reader
	given  string
}

// Name is what the file is called: by the field name, else as the sender's machine called it.
func (u Upload) Name() string {
	if name := strings.TrimSpace(u.Fields["name"]); name != "" {
		return name
	}
	return u.given
}

var errForm = errors.New("the form has to have the fields note and, last, file")

const (
	maxFields = 20
	maxField  = 64 << 10
)

// Read reads the fields of a form up to its file, which the caller goes on to read from the
// connection: nothing of it is kept before the texts were seen. Whoever calls it bounds the body.
func Read(r *http.Request) (Upload, error) {
	up := Upload{Fields: map[string]string{}}
	parts, err := r.MultipartReader()
	if err != nil {
		return up, errForm
	}
	for range maxFields {
		part, err := parts.NextPart()
		if err != nil {
			return up, errors.Join(errForm, tooLarge(err))
		}
		if part.FormName() == "file" {
			up.given, up.File = part.FileName(), part
			return up, nil
		}
		text, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err != nil || len(text) > maxField {
			return up, errors.Join(errForm, tooLarge(err))
		}
		up.Fields[part.FormName()] = string(text)
	}
	return up, errForm
}

// tooLarge keeps of an error only that the body is larger than is taken.
func tooLarge(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return large
	}
	return nil
}

// Serve sends a file as a download under a name of ours, of a type that is nobody's, in a sandbox
// without rights.
func Serve(w http.ResponseWriter, name string, raw []byte) {
	safe := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '_'
	}, name)
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	h.Set("Content-Disposition", `attachment; filename="`+safe+`.bin"`)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(raw) // the length says whether the reader got all of it
}
