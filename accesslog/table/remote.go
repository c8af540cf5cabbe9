package table

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bucket is a place in an object store. Names are below it, with slashes.
type Bucket interface {
	URL() string // such as s3://bucket/prefix, without a slash at its end
	// List gives the bytes of everything below a folder, by name.
	List(ctx context.Context, folder string) (map[string]int64, error)
	// Get is fs.ErrNotExist when there is no such object.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// Put makes an object, whole or not at all. A fresh one is fs.ErrExist when it is there already,
	// which the store decides in one step.
	Put(ctx context.Context, name string, data io.Reader, size int64, fresh bool) error
	// Remove is no error when there is no such object.
	Remove(ctx context.Context, name string) error
}

// Bounds of what is asked of a bucket.
const (
	askPatience  = time.Minute      // protocol time of a question about small objects
	bulkPatience = 10 * time.Minute // of a data file
	maxSmall     = 256 << 20        // bytes of metadata
	defaultCache = 10 << 30
)

// errAway says that the object store does not answer: nothing is known to be wrong with the table.
var errAway = errors.New("the object store of the table does not answer")

// Away says whether an error means that the object store of the table does not answer.
func Away(err error) bool { return errors.Is(err, errAway) }

// remote is a place in an object store. What counts is there; below dir is a copy of those data files
// that were written or read last. Data files never change, so a copy is right or is not one: it is
// compared with the digest in its name before it is first read. A crash leaves copies that the next
// start uses or drops.
type remote struct {
	bucket Bucket
	dir    string
	limit  int64 // bytes of the copies that nobody reads

	mu    sync.Mutex
	cond  *sync.Cond
	have  map[string]*held
	bytes int64
	turn  int64
}

type held struct {
	size     int64
	readers  int
	used     int64 // turn
	checked  bool
	fetching bool
}

func newRemote(bucket Bucket, dir string, limit int64) *remote {
	p := &remote{bucket: bucket, dir: dir, limit: cmp.Or(limit, defaultCache), have: map[string]*held{}}
	p.cond = sync.NewCond(&p.mu)
	copies, err := folder{dir}.list("data")
	if err != nil {
		return p // there are none yet
	}
	for name, size := range copies {
		p.have[name] = &held{size: size}
		p.bytes += size
	}
	return p
}

func (p *remote) url() (string, error) { return p.bucket.URL(), nil }

// away names what a bucket says, other than that something is or is not there.
func away(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return err
	}
	return fmt.Errorf("table: %w: %w", errAway, err)
}

func asking(patience time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func (p *remote) list(below string) (map[string]int64, error) {
	ctx, cancel := asking(askPatience)
	defer cancel()
	out, err := p.bucket.List(ctx, below)
	return out, away(err)
}

func (p *remote) read(name string) ([]byte, error) {
	ctx, cancel := asking(askPatience)
	defer cancel()
	r, err := p.bucket.Get(ctx, name)
	if err != nil {
		return nil, away(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxSmall+1))
	if err == nil && len(data) > maxSmall {
		return nil, fmt.Errorf("table: %s is larger than %d bytes", name, maxSmall)
	}
	return data, away(err)
}

func (p *remote) write(name string, data []byte) error {
	ctx, cancel := asking(askPatience)
	defer cancel()
	return away(p.bucket.Put(ctx, name, bytes.NewReader(data), int64(len(data)), false))
}

// create asks the store to refuse when the name is taken. Of two answers that never came one may have
// been yes: what is there with the same bytes is ours.
func (p *remote) create(name string, data []byte) error {
	ctx, cancel := asking(askPatience)
	defer cancel()
	err := away(p.bucket.Put(ctx, name, bytes.NewReader(data), int64(len(data)), true))
	if errors.Is(err, fs.ErrExist) {
		if there, rerr := p.read(name); rerr == nil && bytes.Equal(there, data) {
			return nil
		}
	}
	return err
}

func (p *remote) hint(name string, data []byte) error { return p.write(name, data) }

// keep sends a data file to the store and keeps it as a copy.
func (p *remote) keep(temp, name string) error {
	f, err := os.Open(temp)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		ctx, cancel := asking(bulkPatience)
		defer cancel()
		err = away(p.bucket.Put(ctx, name, f, info.Size(), false))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := p.place(temp, name); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	p.have[name] = &held{size: info.Size(), used: p.turn, checked: true}
	p.bytes += info.Size()
	return p.evict()
}

// place moves a file to where copies are. It need not last.
func (p *remote) place(temp, name string) error {
	to := folder{p.dir}.path(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.Rename(temp, to)
}

func (p *remote) remove(name string) error {
	ctx, cancel := asking(askPatience)
	defer cancel()
	err := away(p.bucket.Remove(ctx, name))
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(err, p.drop(name))
}

// drop removes a copy; mu is held.
func (p *remote) drop(name string) error {
	h := p.have[name]
	if h == nil || h.fetching {
		return nil
	}
	delete(p.have, name)
	p.bytes -= h.size
	return folder{p.dir}.remove(name)
}

// only drops the copies of what the table does not have.
func (p *remote) only(keep map[string]bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for name := range p.have {
		if !keep[name] {
			errs = append(errs, p.drop(name))
		}
	}
	return errors.Join(errs...)
}

// evict drops the copies that were read longest ago until the others are within the limit, or are being
// read; mu is held.
func (p *remote) evict() error {
	if p.bytes <= p.limit {
		return nil
	}
	var names []string
	for name, h := range p.have {
		if h.readers == 0 && !h.fetching {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(p.have[a].used, p.have[b].used) })
	var errs []error
	for _, name := range names {
		if p.bytes <= p.limit {
			break
		}
		errs = append(errs, p.drop(name))
	}
	return errors.Join(errs...)
}

// local returns a copy that was compared with the digest in its name, fetching it when there is none.
func (p *remote) local(name string, size int64) (string, func(), error) {
	path := folder{p.dir}.path(name)
	p.mu.Lock()
	h := p.have[name]
	for h != nil && h.fetching {
		p.cond.Wait()
		h = p.have[name]
	}
	if h == nil {
		h = &held{size: size}
		p.have[name] = h
		p.bytes += size
	}
	p.turn++
	h.used = p.turn
	h.readers++
	if !h.checked {
		h.fetching = true
		p.mu.Unlock()
		err := p.check(path, name, size)
		if err != nil {
			err = p.fetch(path, name, size)
		}
		p.mu.Lock()
		h.fetching, h.checked = false, err == nil
		p.cond.Broadcast()
		if err != nil {
			h.readers--
			if h.readers == 0 {
				err = errors.Join(err, p.drop(name))
			}
			p.mu.Unlock()
			return "", nil, err
		}
	}
	err := p.evict()
	p.mu.Unlock()
	done := sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		h.readers--
		_ = p.evict() // what stays is dropped by the next
	})
	if err != nil {
		done()
		return "", nil, err
	}
	return path, done, nil
}

func (p *remote) check(path, name string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return sameDigest(io.Discard, f, name, size)
}

// sameDigest copies and says whether the bytes are those of the name.
func sameDigest(to io.Writer, from io.Reader, name string, size int64) error {
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, hash), io.LimitReader(from, size+1))
	if err != nil {
		return err
	}
	if n != size || !strings.EqualFold(hex.EncodeToString(hash.Sum(nil))[:digestLen], digestOf(name)) {
		return fmt.Errorf("table: %s %w: its bytes are not those that were written", name, errDamaged)
	}
	return nil
}

func (p *remote) fetch(path, name string, size int64) error {
	ctx, cancel := asking(bulkPatience)
	defer cancel()
	from, err := p.bucket.Get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("table: %s %w: %w", name, errDamaged, err)
	}
	if err != nil {
		return away(err)
	}
	defer from.Close()
	to, err := os.CreateTemp(filepath.Join(p.dir, "tmp"), "fetch-")
	if err != nil {
		return err
	}
	err = sameDigest(to, from, name, size)
	if err != nil && !errors.Is(err, errDamaged) {
		err = away(err)
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = p.place(to.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(to.Name()))
	}
	return nil
}
