package verify

import (
	"archive/zip"
	"fmt"
	"io"
)

// Kept are the checkpoints of both logs that an export holds, so that whoever has an earlier export can
// hold a later one against it. Nothing else of it is looked at: a checkpoint is signed by itself.
func Kept(path string) (found [][]byte, err error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("verify: the earlier export %s cannot be read: %w", path, err)
	}
	defer z.Close()
	for _, name := range []string{"facts.checkpoint", "events.checkpoint"} {
		f, err := z.Open(name)
		if err != nil {
			return nil, fmt.Errorf("verify: the earlier export %s: %w", path, err)
		}
		raw, err := io.ReadAll(io.LimitReader(f, maxCheckpoint))
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("verify: the earlier export %s: %s: %w", path, name, err)
		}
		found = append(found, raw)
	}
	return found, nil
}

// maxCheckpoint bounds a checkpoint, in bytes: witnesses add a line each.
const maxCheckpoint = 64 << 10
