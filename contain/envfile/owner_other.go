//go:build !unix

package envfile

import (
	"io/fs"
	"os"
)

// keepOwner does nothing: a new file takes its owner from the folder here.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
