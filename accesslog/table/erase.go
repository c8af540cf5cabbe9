package table

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// Tombstone says whose rows the table does not have any more. Whoever orders it keeps it elsewhere,
// in the order in which they were given: the table is made again from a log that still holds the
// events, and leaves them out each time.
type Tombstone struct {
	ID        string // of what orders it
	Merchant  string
	Customers [][TokenLen]byte // their pseudonyms; none: every row of the merchant
	UpTo      int64            // rows up to this position
	Before    int64            // microseconds: and those of earlier events, however late they come in
}

// erasedProperty says how many of the tombstones the files follow, and which they are.
const erasedProperty = "tocsin.erased"

// Tombstones are what a table was told to leave out, oldest first. A nil one leaves nothing out. It
// does not change.
type Tombstones struct {
	list []Tombstone
	of   map[string][]int // by merchant, ascending
	gone []map[[TokenLen]byte]bool
	sums []string // after so many: a digest of which they are
}

// NewTombstones are those of a list.
func NewTombstones(list []Tombstone) *Tombstones {
	t := &Tombstones{list: slices.Clone(list), of: map[string][]int{}, sums: []string{""}}
	sum := ""
	for i, x := range list {
		t.of[x.Merchant] = append(t.of[x.Merchant], i)
		gone := make(map[[TokenLen]byte]bool, len(x.Customers))
		for _, c := range x.Customers {
			gone[c] = true
		}
		t.gone = append(t.gone, gone)
		digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n", sum, x.ID))
		sum = hex.EncodeToString(digest[:12])
		t.sums = append(t.sums, sum)
	}
	return t
}

// Len is how many there are.
func (t *Tombstones) Len() int {
	if t == nil {
		return 0
	}
	return len(t.list)
}

// Since says whether any of them was set after a time, in microseconds.
func (t *Tombstones) Since(at int64) bool {
	return t.Len() > 0 && slices.ContainsFunc(t.list, func(x Tombstone) bool { return x.Before > at })
}

// Gone says what is not left of a row of a merchant that names so many customers: of which of them the
// pseudonym goes, nil for none, and whether the row stays. Of a row that names others too these stay, so
// that what happened to them is still counted; who was read and is not named any more makes its count at
// least. from leaves out tombstones that were followed before.
func (t *Tombstones) Gone(merchant string, seq, at int64, n int, customer func(i int) [TokenLen]byte, from int) (gone []bool, stays bool) {
	if t == nil {
		return nil, true
	}
	for _, k := range t.of[merchant] {
		x := &t.list[k]
		if k < from || seq > x.UpTo && at >= x.Before {
			continue
		}
		if len(x.Customers) == 0 {
			return nil, false
		}
		for i := range n {
			if t.gone[k][customer(i)] {
				if gone == nil {
					gone = make([]bool, n)
				}
				gone[i] = true
			}
		}
	}
	return gone, gone == nil || slices.Contains(gone, false)
}

// row applies tombstones to a row and says whether it stays. What it shares with others is not changed.
func (t *Tombstones) row(r *Row, from int) bool {
	if t.Len() <= from {
		return true
	}
	gone, stays := t.Gone(r.Merchant, r.Seq, r.Time, len(r.Customers), func(i int) [TokenLen]byte { return r.Customers[i] }, from)
	if !stays || gone == nil {
		return stays
	}
	if each := strings.Split(r.Regions, ","); len(each) == len(r.Customers) && len(each) > 1 {
		r.Regions = strings.Join(Without(each, gone), ",")
	}
	r.Customers = Without(r.Customers, gone)
	return true
}

// Without is a list without what is gone, anew.
func Without[T any](list []T, gone []bool) []T {
	out := make([]T, 0, len(list))
	for i, v := range list {
		if !gone[i] {
			out = append(out, v)
		}
	}
	return out
}

// property is how the metadata name the first n tombstones.
func (t *Tombstones) property(n int) string {
	if t == nil || n == 0 {
		return ""
	}
	return strconv.Itoa(n) + " " + t.sums[n]
}

// followed is how many of these tombstones files follow whose metadata have a property: none when it
// names others.
func (t *Tombstones) followed(property string) int {
	count, sum, _ := strings.Cut(property, " ")
	n, err := strconv.Atoi(count)
	if t == nil || err != nil || n < 0 || n >= len(t.sums) || t.sums[n] != sum {
		return 0
	}
	return n
}

// Erase makes the table leave out what a list of tombstones names, those of earlier calls first. When
// it returns no question finds it. The files are written anew behind that: Erasing says how many are
// not yet. A crash at any point: Open is given the list, and goes on with the files that do not follow it.
func (t *Table) Erase(list []Tombstone) {
	next := NewTombstones(list)
	t.commits.Lock()
	defer t.commits.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.tombs.Len()
	if before > next.Len() || t.tombs.property(before) != next.property(before) {
		before = 0
		t.follow(func(File) bool { return true }, 0)
	}
	if next.Len() == before {
		return
	}
	t.tombs = next
	var kept tail // views hold the one that is there
	for r := range t.tail.all() {
		if r := *r; next.row(&r, before) {
			kept.add(&r)
		}
	}
	t.tail = kept
	nudge(t.tidy)
}

// follow notes how many tombstones those of the current files follow that which chooses; commits and
// mu are held. Views hold the list that is there.
func (t *Table) follow(which func(File) bool, n int) {
	files := slices.Clone(t.meta.files())
	for i := range files {
		if which(files[i]) {
			files[i].follows = n
		}
	}
	t.meta.filesOf[t.meta.Current] = files
}

// Erasing is how many files hold rows, or may, that questions do not find any more.
func (t *Table) Erasing() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, f := range t.meta.files() {
		if f.follows < t.tombs.Len() {
			n++
		}
	}
	if n == 0 && t.meta.Properties[erasedProperty] != t.tombs.property(t.tombs.Len()) {
		n = 1 // earlier snapshots still name them
	}
	return n
}

// Pending says whether a file that may hold rows of a selection holds some that are erased: it must
// be read row by row.
func (v *View) Pending(s Selection) bool {
	return slices.ContainsFunc(v.Files, func(f File) bool { return f.follows < v.tombs.Len() && f.may(s) })
}

// unerased calls fn with what tombstones leave of a file's rows.
func (v *View) unerased(f *File, fn func(*Row) error) func(*Row) error {
	if f.follows >= v.tombs.Len() {
		return fn
	}
	return func(r *Row) error {
		if !v.tombs.row(r, f.follows) {
			return nil
		}
		return fn(r)
	}
}

// eraseOnce writes one file anew that does not follow all tombstones, or ends the erasure when all do:
// with a commit after which no snapshot names a file that holds what is erased. A crash before a
// commit leaves the files as they were, and the next start begins with this one again.
func (t *Table) eraseOnce(ctx context.Context) (bool, error) {
	t.merges.Lock()
	defer t.merges.Unlock()
	v := t.View()
	defer v.Release()
	t.mu.Lock()
	epoch, tombs, done := t.epoch, t.tombs, t.meta.Properties[erasedProperty]
	t.mu.Unlock()
	n := tombs.Len()
	if n == 0 {
		return false, nil
	}
	for i := range v.Files {
		f := v.Files[i]
		if f.follows >= n {
			continue
		}
		anew, changed, err := t.rewrite(ctx, &f, tombs)
		if err != nil {
			return false, err
		}
		if !changed {
			t.mark(f.Name, tombs)
			return true, nil
		}
		err = t.commit(epoch, 0, "overwrite", func(files []File) ([]File, error) {
			at := slices.IndexFunc(files, func(x File) bool { return x.Name == f.Name })
			if at < 0 {
				return nil, errors.New("table: a file that was written anew is not in the table any more")
			}
			files = slices.Delete(files, at, at+1)
			if anew.Rows > 0 {
				files = append(files, anew)
			}
			return files, nil
		})
		return err == nil, err
	}
	if done == tombs.property(n) {
		return false, nil
	}
	return true, t.commit(epoch, 0, "overwrite", func(files []File) ([]File, error) { return files, nil })
}

// mark notes that a file follows tombstones without a change.
func (t *Table) mark(name string, tombs *Tombstones) {
	t.commits.Lock()
	defer t.commits.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tombs == tombs { // else there are more by now: it is looked at again
		t.follow(func(f File) bool { return f.Name == name }, tombs.Len())
	}
}

// rewrite writes what is left of a file; changed is false when that is all of it, and the new file has
// no rows when that is nothing.
func (t *Table) rewrite(ctx context.Context, f *File, tombs *Tombstones) (_ File, changed bool, err error) {
	may, err := f.holds(t.at, tombs.since(f.follows))
	if err != nil || !may {
		return File{}, false, err
	}
	anew, changed, err := t.rewritten(ctx, f, func(r *Row) (stays, changed bool) {
		named := len(r.Customers)
		stays = tombs.row(r, f.follows)
		return stays, !stays || len(r.Customers) != named
	})
	anew.follows = tombs.Len()
	return anew, changed, err
}

// since are the merchants that tombstones after the first n name.
func (t *Tombstones) since(n int) []string {
	var out []string
	for i := n; i < len(t.list); i++ {
		out = append(out, t.list[i].Merchant)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// holds says whether the file may have a row of one of the merchants, as far as bounds and dictionaries
// of their column say, which is little to read.
func (f *File) holds(p place, merchants []string) (bool, error) {
	file, done, err := f.openParquet(p)
	if err != nil {
		return false, err
	}
	defer done()
	column, _ := rowSchema.Lookup("merchant")
	for _, g := range file.RowGroups() {
		chunk := g.ColumnChunks()[column.ColumnIndex]
		index, err := chunk.ColumnIndex()
		if err == nil && bounds(index, merchants) {
			may, err := named(chunk, merchants)
			if may || err != nil {
				return may, err
			}
		}
		if err != nil {
			return false, fmt.Errorf("table: %s %w: %w", f.Name, errDamaged, err)
		}
	}
	return false, nil
}

// named says whether a dictionary of the chunk's pages has one of the values; a page without one may.
func named(chunk parquet.ColumnChunk, values []string) (bool, error) {
	pages := chunk.Pages()
	defer pages.Close()
	seen := map[parquet.Dictionary]bool{}
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		dictionary, found := page.Dictionary(), false
		if dictionary == nil {
			found = true
		} else if !seen[dictionary] {
			seen[dictionary] = true
			for i := 0; i < dictionary.Len() && !found; i++ {
				_, found = slices.BinarySearch(values, string(dictionary.Index(int32(i)).ByteArray()))
			}
		}
		parquet.Release(page)
		if found {
			return true, nil
		}
	}
}

// followed notes how many of the tombstones the files follow, as the metadata say.
func (m *metadata) followed(tombs *Tombstones) {
	n := tombs.followed(m.Properties[erasedProperty])
	for i := range m.files() {
		m.files()[i].follows = n
	}
}

// follow notes how many tombstones every file of the commit follows.
func (m *metadata) follow(tombs *Tombstones) {
	n := tombs.Len()
	for _, f := range m.files() {
		n = min(n, f.follows)
	}
	if m.Properties[erasedProperty] = tombs.property(n); n == 0 {
		delete(m.Properties, erasedProperty)
	}
}

// expires says which snapshots a commit drops: all before it when it ends an erasure, so that nobody
// reads there what is erased.
func (m *metadata) expires(tombs *Tombstones, last string) (keep int, after time.Time) {
	if property := m.Properties[erasedProperty]; property != last && property == tombs.property(tombs.Len()) {
		return 1, time.Now().Add(time.Hour)
	}
	return keepSnapshots, time.Now().Add(-keepFor)
}
