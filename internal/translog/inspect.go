package translog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

// AlteredError says which file of a log is not as it was written.
type AlteredError struct {
	File string // as C2SP tlog-tiles calls it, or a file of .state
	What string
}

func (e *AlteredError) Error() string { return e.File + " " + e.What }

func altered(file, format string, args ...any) error {
	return &AlteredError{file, fmt.Sprintf(format, args...)}
}

// Depth says how much of a log Inspect reads. The zero value is all of it.
type Depth struct {
	Newest, Sample uint64 // bundles of 256 leaves: the newest, and as many others at random
	Gone           Ranges // leaves whose data may be missing, because facts say that it was removed
	Progress       func(done, total uint64)
}

// Inspected is what Inspect read.
type Inspected struct {
	Copied
	Leaves uint64 // that were read, or, where they were removed, whose hashes were
	All    bool   // that is all of them
}

// Inspect reads bundles of a log and the tiles above them, and compares them with its signed checkpoint:
// the proof that one leaf of a bundle is in the tree is made of every hash of the tiles on its way. The
// error is an *AlteredError where it is about what the files hold.
func Inspect(ctx context.Context, at Source, key note.Verifier, d Depth) (Inspected, error) {
	_, want, err := signed(ctx, at, key)
	if errors.Is(err, fs.ErrNotExist) {
		return Inspected{}, altered(layout.CheckpointPath, "is missing")
	}
	if err != nil {
		return Inspected{}, altered(layout.CheckpointPath, "is not signed by the key of %s, or was altered", key.Name())
	}
	out := Inspected{Copied: want, All: true}
	total := (want.Size + layout.EntryBundleWidth - 1) / layout.EntryBundleWidth
	chosen := make([]uint64, 0, min(total, 1<<20))
	if d.Newest == 0 || total <= d.Newest+d.Sample {
		for i := range total {
			chosen = append(chosen, i)
		}
	} else {
		out.All = false
		older := map[uint64]bool{}
		for uint64(len(older)) < d.Sample {
			older[rand.Uint64N(total-d.Newest)] = true
		}
		for i := range older {
			chosen = append(chosen, i)
		}
		for i := total - d.Newest; i < total; i++ {
			chosen = append(chosen, i)
		}
		slices.Sort(chosen)
	}
	if want.Size == 0 {
		return out, nil
	}
	for n, i := range chosen {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if err := inspectBundle(ctx, at, want, i, d.Gone); err != nil {
			return out, err
		}
		out.Leaves += min(layout.EntryBundleWidth, want.Size-i*layout.EntryBundleWidth)
		if d.Progress != nil {
			d.Progress(uint64(n+1), uint64(len(chosen)))
		}
	}
	return out, nil
}

func inspectBundle(ctx context.Context, at Source, want Copied, i uint64, gone Ranges) error {
	p := layout.PartialTileSize(0, i, want.Size)
	entries, tile := layout.EntriesPath(i, p), layout.TilePath(0, i, p)
	leaves, err := leafHashes(ctx, at, i, p)
	switch {
	case errors.Is(err, fs.ErrNotExist) && gone.covers(i):
		leaves = nil
	case errors.Is(err, fs.ErrNotExist):
		return altered(entries, "is missing, and no fact says that its leaves were removed")
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return altered(entries, "is damaged")
	}
	raw, err := tiles(at)(ctx, 0, i, p)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if n := min(layout.TileWidth, want.Size-i*layout.TileWidth); err != nil || uint64(len(raw)) != n*32 {
		return altered(tile, "is missing, or has another length")
	}
	var hashes [][]byte
	for h := range slices.Chunk(raw, 32) {
		hashes = append(hashes, h)
	}
	ok := proven(ctx, tiles(at), i, want, hashes[0])
	if !ok && leaves != nil && proven(ctx, instead(tiles(at), i, bytes.Join(leaves, nil)), i, want, leaves[0]) {
		return altered(tile, "is not what its leaves make")
	}
	if !ok {
		return above(ctx, at, want, i, tile)
	}
	if leaves != nil && !bytes.Equal(bytes.Join(leaves, nil), bytes.Join(hashes, nil)) {
		return altered(entries, "does not hold the leaves that the tree is over")
	}
	return nil
}

// proven says whether the first leaf of a bundle is in the tree, going by tiles.
func proven(ctx context.Context, tile client.TileFetcherFunc, bundle uint64, want Copied, hash []byte) bool {
	b, err := client.NewProofBuilder(ctx, want.Size, tile)
	if err != nil {
		return false
	}
	index := bundle * layout.EntryBundleWidth
	path, err := b.InclusionProof(ctx, index)
	return err == nil && proof.VerifyInclusion(rfc6962.DefaultHasher, index, want.Size, hash, path, want.Root) == nil
}

// instead reads tiles, and of one of the lowest level gives other hashes.
func instead(tile client.TileFetcherFunc, i uint64, hashes []byte) client.TileFetcherFunc {
	return func(ctx context.Context, level, index uint64, p uint8) ([]byte, error) {
		if level == 0 && index == i {
			return hashes, nil
		}
		return tile(ctx, level, index, p)
	}
}

// above finds the file that is wrong on the way from a bundle, whose tile agrees with its leaves or has
// none, to the checkpoint.
func above(ctx context.Context, at Source, want Copied, i uint64, tile string) error {
	read := tiles(at)
	for level := uint64(1); want.Size>>(8*level) > 0; level++ {
		index := i >> (8 * level)
		p := layout.PartialTileSize(level, index, want.Size)
		name := layout.TilePath(level, index, p)
		nodes, err := read(ctx, level, index, p)
		if err != nil || len(nodes) == 0 {
			return altered(name, "is missing or damaged")
		}
		for k := range uint64(len(nodes) / 32) {
			below, err := read(ctx, level-1, index*layout.TileWidth+k, 0)
			if err != nil {
				continue // it is found when its own bundles are looked at
			}
			if root := fullRoot(below); root != nil && !bytes.Equal(root, nodes[k*32:(k+1)*32]) {
				// Which of the two it is shows the tree with the other in its place.
				if fixed := slices.Concat(nodes[:k*32], root, nodes[(k+1)*32:]); proven(ctx, func(ctx context.Context, l, x uint64, p uint8) ([]byte, error) {
					if l == level && x == index {
						return fixed, nil
					}
					return read(ctx, l, x, p)
				}, i, want, firstOf(ctx, read, i, want.Size)) {
					return altered(name, "is not what the tiles below it make")
				}
				return altered(layout.TilePath(level-1, index*layout.TileWidth+k, 0), "is not what the tree is over")
			}
		}
	}
	return altered(tile, "and its leaves are not those of the signed checkpoint, or the checkpoint is of another tree")
}

func firstOf(ctx context.Context, read client.TileFetcherFunc, i, size uint64) []byte {
	raw, err := read(ctx, 0, i, layout.PartialTileSize(0, i, size))
	if err != nil || len(raw) < 32 {
		return nil
	}
	return raw[:32]
}

// fullRoot is the root over the hashes of a full tile; nil for another one.
func fullRoot(raw []byte) []byte {
	if len(raw) != layout.TileWidth*32 {
		return nil
	}
	level := make([][]byte, 0, layout.TileWidth)
	for h := range slices.Chunk(raw, 32) {
		level = append(level, h)
	}
	for len(level) > 1 {
		for i := range len(level) / 2 {
			level[i] = rfc6962.DefaultHasher.HashChildren(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

var partialForm = regexp.MustCompile(`^tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})\.p/([0-9]{1,3})$`)

// InspectFolder looks at what a folder of a log holds beside what Inspect reads: what the driver notes of
// the tree, and tiles and bundles as they were while they were not full, which are given to who asks for
// an earlier state until they are removed. It must not be open for writing.
func InspectFolder(ctx context.Context, dir string, key note.Verifier) error {
	at := folderSource(dir)
	_, want, err := signed(ctx, at, key)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "tile")); err == nil {
			return altered(layout.CheckpointPath, "is missing, and the log has leaves")
		}
		return nil // nothing was ever logged
	}
	if err != nil {
		return altered(layout.CheckpointPath, "is not signed by the key of %s, or was altered", key.Name())
	}
	if raw, err := os.ReadFile(filepath.Join(dir, ".state", "version")); err == nil && strings.TrimSpace(string(raw)) != "1" {
		return altered(".state/version", "does not name the version of the folder")
	}
	var state struct {
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}
	raw, err := os.ReadFile(filepath.Join(dir, ".state", "treeState"))
	if errors.Is(err, fs.ErrNotExist) {
		return altered(".state/treeState", "is missing")
	}
	if err != nil {
		return err
	}
	switch {
	case json.Unmarshal(raw, &state) != nil || len(state.Root) != 32:
		return altered(".state/treeState", "is damaged")
	case state.Size < want.Size || state.Size == want.Size && !bytes.Equal(state.Root, want.Root):
		return altered(".state/treeState", "is not the tree of the signed checkpoint")
	case state.Size > want.Size && !proven(ctx, tiles(at), (state.Size-1)/layout.TileWidth, Copied{state.Size, state.Root}, firstOf(ctx, tiles(at), (state.Size-1)/layout.TileWidth, state.Size)):
		return altered(".state/treeState", "is not the tree that the tiles make")
	}
	return filepath.WalkDir(filepath.Join(dir, "tile"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !fileForm.MatchString(name) {
			return altered(name, "is no file of a log")
		}
		m := partialForm.FindStringSubmatch(name)
		if m == nil {
			return nil
		}
		return inspectPartial(ctx, at, want.Size, name, m)
	})
}

// inspectPartial compares what a tile or bundle was with what it is.
func inspectPartial(ctx context.Context, at Source, size uint64, name string, m []string) error {
	index, err := strconv.ParseUint(strings.NewReplacer("x", "", "/", "").Replace(m[2]), 10, 64)
	n, err2 := strconv.ParseUint(m[3], 10, 16)
	level, cut := uint64(0), firstEntries
	if m[1] != "entries" {
		level, _ = strconv.ParseUint(m[1], 10, 8)
		cut = firstHashes
	}
	if err != nil || err2 != nil || n == 0 || n >= layout.TileWidth {
		return altered(name, "is no file of a log")
	}
	if nodes := size >> (8 * level); index*layout.TileWidth+n > nodes {
		return nil // no checkpoint covers it yet
	}
	p := layout.PartialTileSize(level, index, size)
	now, full := layout.EntriesPath(index, p), layout.EntriesPath(index, 0)
	if m[1] != "entries" {
		now, full = layout.TilePath(level, index, p), layout.TilePath(level, index, 0)
	}
	if now == name {
		return nil // Inspect reads it
	}
	own, err := at.Read(ctx, name)
	if err != nil {
		return err
	}
	whole, err := part(ctx, at, now, full, p, cut)
	if err != nil {
		return nil // Inspect names it, or facts removed it
	}
	if first, err := cut(whole, int(n)); err != nil || !bytes.Equal(first, own) {
		return altered(name, "is not the beginning of what it became")
	}
	return nil
}

// folderSource reads the files of a log from its folder.
type folderSource string

func (dir folderSource) Read(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(dir), filepath.FromSlash(name)))
}
