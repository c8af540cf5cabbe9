//go:build !cgo

package main

import (
	"errors"
	"io"
)

// serve refuses: the column engine needs cgo.
func serve(config, io.Reader, io.Writer) error {
	return errors.New("it was built without cgo and counts nothing: build it with CGO_ENABLED=1")
}
