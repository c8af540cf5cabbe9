package table

// View is the table at one instant. Its files stay until Release.
type View struct {
	t     *Table
	Files []File
	tail  tail // newer than all files
	UpTo  int64
	tombs *Tombstones
	lent  []func() // to be called when its files are not read any more
}

// View returns the table as it is now.
func (t *Table) View() *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Between a commit and the end of Flush rows stand in both.
	v := &View{t: t, Files: t.meta.files(), tail: t.tail.after(t.meta.index()), UpTo: t.upTo, tombs: t.tombs}
	for i := range v.Files {
		t.pins[v.Files[i].Name]++
	}
	return v
}

// Release lets go of the files. The view must not be used after it.
func (v *View) Release() {
	for _, done := range v.lent {
		done()
	}
	var gone []string
	v.t.mu.Lock()
	for i := range v.Files {
		name := v.Files[i].Name
		if v.t.pins[name]--; v.t.pins[name] > 0 {
			continue
		}
		delete(v.t.pins, name)
		if v.t.doomed[name] {
			delete(v.t.doomed, name)
			gone = append(gone, name)
		}
	}
	v.t.mu.Unlock()
	v.t.discard(gone)
}

// Each calls fn with every row, in no order. fn must not keep the row. An error of reading a file
// is reported to Damage.
func (v *View) Each(fn func(*Row) error) error {
	for i := range v.Files {
		f := &v.Files[i]
		if err := f.rows(v.t.at, v.unerased(f, fn)); err != nil {
			v.t.Report(err)
			return err
		}
	}
	for r := range v.tail.all() {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}
