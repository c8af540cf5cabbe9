// Package handout serves what the API and the console both give out as files: scopes and timelines.
package handout

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/sheet"
)

// Scope serves a scope as a file of a form, csv when it is "". The file is made whole before the first byte,
// so that one that cannot be made is an error and not half a file. name needs no quoting.
func Scope(w http.ResponseWriter, form, name string, result scope.Result) error {
	if form == "" {
		form = sheet.CSV
	}
	kind := sheet.Type(form)
	if kind == "" {
		return fmt.Errorf("%w: form: is csv or parquet", desk.ErrInvalid)
	}
	var file bytes.Buffer
	if err := sheet.Write(&file, form, result); err != nil {
		return err
	}
	head(w, kind, name+"."+form)
	w.Header().Set("Content-Length", strconv.Itoa(file.Len()))
	_, _ = file.WriteTo(w) // a failed write means that the reader is gone
	return nil
}

func head(w http.ResponseWriter, kind, name string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}
