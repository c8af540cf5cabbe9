package translog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

// Source gives the files of a log by their names in C2SP tlog-tiles; the error is fs.ErrNotExist
// for one that is not there.
type Source interface {
	Read(ctx context.Context, name string) ([]byte, error)
}

// Place is where a log is copied to: a folder, or whatever keeps whole files by name.
type Place interface {
	Source
	// Write replaces a file. When it returns the file is whole and durable; a crash before leaves
	// the old one.
	Write(ctx context.Context, name string, data []byte) error
}

// Copied is how far a copy of a log goes.
type Copied struct {
	Size uint64
	Root []byte
}

// Copy brings a copy of a log up to the newest checkpoint of its source, and returns how far it
// goes. What the copy has already is not read again; what is new is checked against the signed
// checkpoint before that is written, which is last. So a crash leaves a copy that is whole up to
// its own checkpoint, and a source that was altered is refused. Bundles of leaves that are gone are
// copied where they are there.
func Copy(ctx context.Context, from Source, to Place, key note.Verifier, gone ...Range) (Copied, error) {
	note, want, err := signed(ctx, from, key)
	if err != nil {
		return Copied{}, err
	}
	_, have, err := signed(ctx, to, key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Copied{}, fmt.Errorf("the copy: %w", err)
	}
	switch {
	case have.Size > want.Size:
		return have, fmt.Errorf("translog: the copy of %s has %d leaves and the log %d: it is the copy of another log, or the log was cut", key.Name(), have.Size, want.Size)
	case have.Size == want.Size && have.Root != nil && !bytes.Equal(have.Root, want.Root):
		return have, fmt.Errorf("translog: the copy of %s is of another log", key.Name())
	}
	if err := copyFiles(ctx, from, to, have.Size, want.Size, gone); err != nil {
		return have, err
	}
	if err := checkNew(ctx, to, have, want, gone); err != nil {
		return have, fmt.Errorf("translog: copy %s: %w", key.Name(), err)
	}
	return want, to.Write(ctx, layout.CheckpointPath, note)
}

// signed reads a checkpoint and checks its signature.
func signed(ctx context.Context, at Source, key note.Verifier) ([]byte, Copied, error) {
	raw, err := at.Read(ctx, layout.CheckpointPath)
	if err != nil {
		return nil, Copied{}, fmt.Errorf("translog: read the checkpoint of %s: %w", key.Name(), err)
	}
	n, err := note.Open(raw, note.VerifierList(key))
	if err != nil {
		return nil, Copied{}, fmt.Errorf("translog: the checkpoint of %s is not signed by its key, or was altered", key.Name())
	}
	lines := strings.Split(n.Text, "\n")
	bad := fmt.Errorf("translog: the checkpoint of %s is damaged", key.Name())
	if len(lines) < 4 || lines[0] != key.Name() {
		return nil, Copied{}, bad
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		return nil, Copied{}, bad
	}
	c := Copied{Size: size}
	if err := json.Unmarshal([]byte(strconv.Quote(lines[2])), &c.Root); err != nil || len(c.Root) != rfc6962.DefaultHasher.Size() {
		return nil, Copied{}, bad
	}
	return raw, c, nil
}

// copyFiles copies the bundles and tiles of a tree of size want that a tree of size have has not.
func copyFiles(ctx context.Context, from Source, to Place, have, want uint64, gone Ranges) error {
	for i := have / layout.EntryBundleWidth; i*layout.EntryBundleWidth < want; i++ {
		p := layout.PartialTileSize(0, i, want)
		raw, err := part(ctx, from, layout.EntriesPath(i, p), layout.EntriesPath(i, 0), p, firstEntries)
		if errors.Is(err, fs.ErrNotExist) && gone.covers(i) {
			continue
		}
		if err != nil {
			return err
		}
		if err := to.Write(ctx, layout.EntriesPath(i, p), raw); err != nil {
			return err
		}
	}
	for level := uint64(0); want>>(8*level) > 0; level++ {
		nodes := want >> (8 * level)
		for i := have >> (8 * (level + 1)); i*layout.TileWidth < nodes; i++ {
			p := layout.PartialTileSize(level, i, want)
			raw, err := part(ctx, from, layout.TilePath(level, i, p), layout.TilePath(level, i, 0), p, firstHashes)
			if err != nil {
				return err
			}
			if err := to.Write(ctx, layout.TilePath(level, i, p), raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// part reads a file that may be partial. A partial one is removed some time after the full one is
// there; what it held is the beginning of that.
func part(ctx context.Context, from Source, name, full string, n uint8, cut func([]byte, int) ([]byte, error)) ([]byte, error) {
	raw, err := from.Read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) && n > 0 {
		for k := int(n) + 1; k <= layout.TileWidth && errors.Is(err, fs.ErrNotExist); k++ {
			other := full
			if k < layout.TileWidth {
				other = full + ".p/" + strconv.Itoa(k)
			}
			if raw, err = from.Read(ctx, other); err == nil {
				raw, err = cut(raw, int(n))
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("translog: read %s: %w", name, err)
	}
	return raw, nil
}

func firstHashes(raw []byte, n int) ([]byte, error) {
	if size := n * rfc6962.DefaultHasher.Size(); len(raw) >= size {
		return raw[:size], nil
	}
	return nil, errors.New("it is short")
}

func firstEntries(raw []byte, n int) ([]byte, error) {
	at := 0
	for range n {
		if at+2 > len(raw) {
			return nil, errors.New("it is short")
		}
		at += 2 + int(raw[at])<<8 + int(raw[at+1])
	}
	if at > len(raw) {
		return nil, errors.New("it is short")
	}
	return raw[:at], nil
}

// checkNew checks what was added to a copy: that the leaves are those of the tiles, and that the
// tiles make the tree of the checkpoint, of which the older tree is the beginning.
func checkNew(ctx context.Context, at Source, have, want Copied, gone Ranges) error {
	tile := tiles(at)
	for i := have.Size / layout.EntryBundleWidth; i*layout.EntryBundleWidth < want.Size; i++ {
		p := layout.PartialTileSize(0, i, want.Size)
		hashes, err := leafHashes(ctx, at, i, p)
		if errors.Is(err, fs.ErrNotExist) && gone.covers(i) {
			continue // its hashes are those of the tree, which is checked below
		}
		if err != nil {
			return err
		}
		raw, err := tile(ctx, 0, i, p)
		if err != nil {
			return err
		}
		if !bytes.Equal(raw, bytes.Join(hashes, nil)) {
			return fmt.Errorf("the leaves from %d on are not those of the tree", i*layout.EntryBundleWidth)
		}
	}
	if want.Size == 0 || have.Size == want.Size {
		return nil
	}
	b, err := client.NewProofBuilder(ctx, want.Size, tile)
	if err != nil {
		return err
	}
	if have.Size == 0 {
		path, err := b.InclusionProof(ctx, want.Size-1)
		if err != nil {
			return err
		}
		last, err := tile(ctx, 0, (want.Size-1)/layout.TileWidth, layout.PartialTileSize(0, (want.Size-1)/layout.TileWidth, want.Size))
		if err != nil {
			return err
		}
		return proof.VerifyInclusion(rfc6962.DefaultHasher, want.Size-1, want.Size, last[len(last)-rfc6962.DefaultHasher.Size():], path, want.Root)
	}
	path, err := b.ConsistencyProof(ctx, have.Size, want.Size)
	if err != nil {
		return err
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, have.Size, want.Size, path, have.Root, want.Root)
}

// tiles reads tiles of a copy by their address.
func tiles(at Source) client.TileFetcherFunc {
	return func(ctx context.Context, level, index uint64, p uint8) ([]byte, error) {
		return part(ctx, at, layout.TilePath(level, index, p), layout.TilePath(level, index, 0), p, firstHashes)
	}
}

// leafHashes are the hashes of the leaves of a bundle of a copy.
func leafHashes(ctx context.Context, at Source, index uint64, p uint8) ([][]byte, error) {
	raw, err := part(ctx, at, layout.EntriesPath(index, p), layout.EntriesPath(index, 0), p, firstEntries)
	if err != nil {
		return nil, err
	}
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, fmt.Errorf("bundle %d: %w", index, err)
	}
	hashes := make([][]byte, len(bundle.Entries))
	for i, e := range bundle.Entries {
		hashes[i] = rfc6962.DefaultHasher.HashLeaf(e)
	}
	return hashes, nil
}

// tileHashes are the hashes of the leaves of a bundle, as the tile over it has them.
func tileHashes(ctx context.Context, at Source, index uint64, p uint8) ([][]byte, error) {
	raw, err := tiles(at)(ctx, 0, index, p)
	if err != nil {
		return nil, err
	}
	var hashes [][]byte
	for h := range slices.Chunk(raw, rfc6962.DefaultHasher.Size()) {
		hashes = append(hashes, h)
	}
	return hashes, nil
}

// Verify reads every leaf and every tile of a copy, and checks that they make the tree of its
// signed checkpoint. Of leaves that are gone the hashes are read; leaves that are missing and are not
// among those that are gone are an error that says so.
func Verify(ctx context.Context, at Source, key note.Verifier, gone ...Range) (Copied, error) {
	_, want, err := signed(ctx, at, key)
	if err != nil {
		return want, err
	}
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	type address struct{ level, tile uint64 }
	nodes := map[address][]byte{} // of the tiles, as the leaves make them
	visit := func(id compact.NodeID, hash []byte) {
		if id.Level%8 == 0 {
			at := address{uint64(id.Level / 8), id.Index / layout.TileWidth}
			nodes[at] = append(nodes[at], hash...)
		}
	}
	stored := tiles(at)
	for i := uint64(0); i*layout.EntryBundleWidth < want.Size; i++ {
		p := layout.PartialTileSize(0, i, want.Size)
		hashes, err := leafHashes(ctx, at, i, p)
		if errors.Is(err, fs.ErrNotExist) {
			if !Ranges(gone).covers(i) {
				return want, fmt.Errorf("translog: verify %s: the leaves from %d on are missing, and nothing says that they were removed: %w", key.Name(), i*layout.EntryBundleWidth, err)
			}
			hashes, err = tileHashes(ctx, at, i, p)
		}
		if err != nil {
			return want, fmt.Errorf("translog: verify %s: %w", key.Name(), err)
		}
		for _, h := range hashes {
			if err := tree.Append(h, visit); err != nil {
				return want, fmt.Errorf("translog: verify %s: %w", key.Name(), err)
			}
		}
		// Full tiles are compared as soon as they are: what is kept is a tile a level.
		for a, made := range nodes {
			if len(made) < layout.TileWidth*rfc6962.DefaultHasher.Size() && (i+1)*layout.EntryBundleWidth < want.Size {
				continue
			}
			p := layout.PartialTileSize(a.level, a.tile, want.Size)
			raw, err := stored(ctx, a.level, a.tile, p)
			if err != nil || !bytes.Equal(raw, made) {
				return want, fmt.Errorf("translog: verify %s: %s is not what the leaves make", key.Name(), layout.TilePath(a.level, a.tile, p))
			}
			delete(nodes, a)
		}
	}
	root := rfc6962.DefaultHasher.EmptyRoot()
	if want.Size > 0 {
		if root, err = tree.GetRootHash(nil); err != nil {
			return want, fmt.Errorf("translog: verify %s: %w", key.Name(), err)
		}
	}
	if !bytes.Equal(root, want.Root) {
		return want, fmt.Errorf("translog: verify %s: its leaves do not make the tree of its checkpoint", key.Name())
	}
	return want, nil
}

// Adopt makes the folder of a copy one that Open goes on with: it notes how far the tree goes,
// which copies do not carry. The copy must have been verified. A folder that is a log already is
// left as it is.
func Adopt(dir string, c Copied) error {
	state := filepath.Join(dir, ".state")
	if _, err := os.Stat(filepath.Join(state, "treeState")); err == nil {
		return nil
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("translog: adopt %s: %w", dir, err)
	}
	raw, err := json.Marshal(struct {
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}{c.Size, c.Root})
	if err != nil {
		return err
	}
	// A crash before this leaves a copy, which is adopted again.
	if err := os.WriteFile(filepath.Join(state, "treeState"), raw, 0o600); err != nil {
		return fmt.Errorf("translog: adopt %s: %w", dir, err)
	}
	return nil
}
