package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/google/uuid"
)

// The names of what the table says of itself in its metadata.
const (
	indexProperty  = "tocsin.log-index" // position of the newest event in it, in the same commit
	writerProperty = "tocsin.writer"    // which process has committed
	originProperty = "tocsin.log-origin"
	formProperty   = "tocsin.form"
	form           = "3" // of Row: another one is made again from the log
	hintName       = "version-hint.text"
)

// metadata is the part of Iceberg's table metadata, version 2, that this table has.
// https://iceberg.apache.org/spec/#table-metadata-fields
type metadata struct {
	Version       int               `json:"format-version"`
	UUID          string            `json:"table-uuid"`
	Location      string            `json:"location"`
	Sequence      int64             `json:"last-sequence-number"`
	Updated       int64             `json:"last-updated-ms"`
	LastColumn    int               `json:"last-column-id"`
	Schema        int               `json:"current-schema-id"`
	Schemas       []*iceberg.Schema `json:"schemas"`
	Spec          int               `json:"default-spec-id"`
	Specs         []json.RawMessage `json:"partition-specs"`
	LastPartition int               `json:"last-partition-id"`
	Sort          int               `json:"default-sort-order-id"`
	Sorts         []json.RawMessage `json:"sort-orders"`
	Properties    map[string]string `json:"properties"`
	Current       int64             `json:"current-snapshot-id"`
	Refs          map[string]ref    `json:"refs,omitempty"`
	Snapshots     []snapshot        `json:"snapshots"`
	SnapshotLog   []logged          `json:"snapshot-log"`
	MetadataLog   []json.RawMessage `json:"metadata-log"`
	number        int64             // of the file it stands in
	filesOf       map[int64][]File  // by snapshot, the newest last
	manifestOf    map[int64][]string
}

type ref struct {
	Snapshot int64  `json:"snapshot-id"`
	Type     string `json:"type"`
}

type snapshot struct {
	ID       int64             `json:"snapshot-id"`
	Parent   int64             `json:"parent-snapshot-id,omitempty"`
	Sequence int64             `json:"sequence-number"`
	At       int64             `json:"timestamp-ms"`
	List     string            `json:"manifest-list"`
	Summary  map[string]string `json:"summary"`
	Schema   int               `json:"schema-id"`
}

type logged struct {
	At       int64 `json:"timestamp-ms"`
	Snapshot int64 `json:"snapshot-id"`
}

func newMetadata(location, origin string) (*metadata, error) {
	spec, err := json.Marshal(daySpec)
	if err != nil {
		return nil, err
	}
	return &metadata{
		Version: 2, UUID: uuid.NewString(), Location: location, LastColumn: lastColumn,
		Schemas: []*iceberg.Schema{icebergSchema}, Specs: []json.RawMessage{spec}, LastPartition: dayField, Sort: 1,
		Sorts: []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"order-id":1,"fields":[{"transform":"identity","source-id":%d,"direction":"asc","null-order":"nulls-first"},{"transform":"identity","source-id":%d,"direction":"asc","null-order":"nulls-first"},{"transform":"identity","source-id":%d,"direction":"asc","null-order":"nulls-first"}]}`,
			credentialColumn, actorColumn, timeColumn))},
		Properties: map[string]string{indexProperty: "0", originProperty: origin, formProperty: form},
		Current:    -1, Snapshots: []snapshot{}, SnapshotLog: []logged{}, MetadataLog: []json.RawMessage{},
		filesOf: map[int64][]File{}, manifestOf: map[int64][]string{},
	}, nil
}

func (m *metadata) index() int64 {
	n, err := strconv.ParseInt(m.Properties[indexProperty], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (m *metadata) files() []File { return m.filesOf[m.Current] }

// load reads the newest metadata of a place with its files. Whatever is wrong with it is errDamaged.
// An empty place has none: fs.ErrNotExist.
func load(p place, origin string) (*metadata, error) {
	entries, err := p.list("metadata")
	if err != nil {
		return nil, err
	}
	var newest int64
	for name := range entries {
		if n, ok := metadataNumber(path.Base(name)); ok {
			newest = max(newest, n)
		}
	}
	if newest == 0 {
		return nil, fs.ErrNotExist
	}
	name := metadataName(newest)
	bad := func(why string, err error) error {
		if Away(err) {
			return err
		}
		return fmt.Errorf("table: metadata/%s %w: %s: %w", name, errDamaged, why, err)
	}
	data, err := p.read("metadata/" + name)
	if err != nil {
		return nil, bad("read", err)
	}
	m := &metadata{number: newest, filesOf: map[int64][]File{}, manifestOf: map[int64][]string{}}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, bad("JSON", err)
	}
	if m.Version != 2 || m.Properties[formProperty] != form || m.Properties[originProperty] != origin || m.index() < 0 {
		return nil, bad("content", errors.New("it is of another form or another log"))
	}
	if m.Current == -1 {
		return m, nil
	}
	i := slices.IndexFunc(m.Snapshots, func(s snapshot) bool { return s.ID == m.Current })
	if i < 0 {
		return nil, bad("content", errors.New("it names no current snapshot"))
	}
	// Earlier snapshots are for readers that hold one; none of an earlier process is kept.
	m.Snapshots = []snapshot{m.Snapshots[i]}
	m.SnapshotLog = []logged{{m.Snapshots[0].At, m.Current}}
	files, manifests, err := readSnapshot(p, m.Snapshots[0])
	if err != nil {
		return nil, bad("manifests", err)
	}
	m.filesOf[m.Current], m.manifestOf[m.Current] = files, manifests
	if total := m.Snapshots[0].Summary["total-records"]; total != strconv.FormatInt(sumRows(files), 10) {
		return nil, bad("manifests", errors.New("they do not name all rows"))
	}
	if sumRows(files) > m.index() {
		return nil, bad("manifests", errors.New("they name more rows than the log has events"))
	}
	return m, nil
}

func sumRows(files []File) int64 {
	var n int64
	for i := range files {
		n += files[i].Rows
	}
	return n
}

func metadataName(n int64) string { return fmt.Sprintf("v%d.metadata.json", n) }

func metadataNumber(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(name, "v"), ".metadata.json")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ok && err == nil && n > 0
}

// readSnapshot reads which files a snapshot holds. Paths are taken by what stands below the table's
// folder, because a data folder may be moved.
func readSnapshot(p place, s snapshot) ([]File, []string, error) {
	names := []string{"metadata/" + path.Base(s.List)}
	list, err := p.read(names[0])
	if err != nil {
		return nil, nil, err
	}
	manifests, err := iceberg.ReadManifestList(bytes.NewReader(list))
	if err != nil {
		return nil, nil, err
	}
	var out []File
	for _, m := range manifests {
		name := "metadata/" + path.Base(m.FilePath())
		names = append(names, name)
		data, err := p.read(name)
		if err != nil {
			return nil, nil, err
		}
		entries, err := iceberg.ReadManifest(m, bytes.NewReader(data), true)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			f, err := fileOf(e)
			if err != nil {
				return nil, nil, err
			}
			out = append(out, f)
		}
	}
	return out, names, nil
}

func fileOf(e iceberg.ManifestEntry) (File, error) {
	d := e.DataFile()
	f := File{Rows: d.Count(), Size: d.FileSizeBytes(), sequence: e.SequenceNum(), snapshot: e.SnapshotID()}
	if _, rest, ok := strings.Cut(d.FilePath(), "/data/"+dayDir); ok && !strings.Contains(rest, "..") {
		f.Name = "data/" + dayDir + rest
	} else {
		return f, errors.New("a file stands outside the table")
	}
	low, high := d.LowerBoundValues(), d.UpperBoundValues()
	for _, b := range []struct {
		to   *int64
		from []byte
	}{{&f.First, low[seqColumn]}, {&f.Last, high[seqColumn]}, {&f.From, low[timeColumn]}, {&f.To, high[timeColumn]}} {
		l, err := iceberg.LiteralFromBytes(iceberg.PrimitiveTypes.Int64, b.from)
		if err != nil {
			return f, err
		}
		*b.to = int64(l.(iceberg.Int64Literal))
	}
	f.LeastCredential, f.MostCredential = string(low[credentialColumn]), string(high[credentialColumn])
	f.Day = int32(floorDiv(f.From, 86_400_000_000))
	return f, nil
}

// entry is how a manifest names a file.
func (f *File) entry(location string, current int64) (iceberg.ManifestEntry, error) {
	b, err := iceberg.NewDataFileBuilder(daySpec, iceberg.EntryContentData, location+"/"+f.Name, iceberg.ParquetFile,
		map[int]any{dayField: f.Day}, map[int]string{}, map[int]int{}, f.Rows, f.Size)
	if err != nil {
		return nil, err
	}
	bounds := func(seq, at int64, credential string) (map[int][]byte, error) {
		out := map[int][]byte{credentialColumn: []byte(credential)}
		var errs [2]error
		out[seqColumn], errs[0] = iceberg.Int64Literal(seq).MarshalBinary()
		out[timeColumn], errs[1] = iceberg.Int64Literal(at).MarshalBinary()
		return out, errors.Join(errs[:]...)
	}
	low, err := bounds(f.First, f.From, f.LeastCredential)
	if err != nil {
		return nil, err
	}
	high, err := bounds(f.Last, f.To, f.MostCredential)
	if err != nil {
		return nil, err
	}
	d := b.LowerBoundValues(low).UpperBoundValues(high).SortOrderID(1).Build()
	if f.snapshot == current {
		return iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &current, nil, nil, d), nil
	}
	return iceberg.NewManifestEntry(iceberg.EntryStatusEXISTING, &f.snapshot, &f.sequence, &f.sequence, d), nil
}

// next is the metadata after a commit of these files. Nothing of it is on the disk yet.
func (m *metadata) next(files []File, index int64, at time.Time, operation string) *metadata {
	n := *m
	n.number, n.Sequence, n.Updated = m.number+1, m.Sequence+1, max(at.UnixMilli(), m.Updated)
	n.Properties = map[string]string{}
	for k, v := range m.Properties {
		n.Properties[k] = v
	}
	n.Properties[indexProperty] = strconv.FormatInt(index, 10)
	id := n.Sequence
	var size int64
	for i := range files {
		if files[i].snapshot == 0 {
			files[i].snapshot, files[i].sequence = id, n.Sequence
		}
		size += files[i].Size
	}
	s := snapshot{ID: id, Sequence: n.Sequence, At: n.Updated, Summary: map[string]string{
		"operation": operation, "total-records": strconv.FormatInt(sumRows(files), 10), "total-data-files": strconv.Itoa(len(files)),
		"total-files-size": strconv.FormatInt(size, 10), "total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0",
	}}
	if m.Current > 0 {
		s.Parent = m.Current
	}
	// A commit that is tried again never writes over what an earlier try, or another writer, may have committed.
	s.List = fmt.Sprintf("%s/metadata/snap-%d-%s.avro", m.Location, id, uuid.NewString())
	n.Current, n.Refs = id, map[string]ref{"main": {id, "branch"}}
	n.Snapshots = append(slices.Clone(m.Snapshots), s)
	n.SnapshotLog = append(slices.Clone(m.SnapshotLog), logged{s.At, id})
	n.filesOf, n.manifestOf = map[int64][]File{id: files}, map[int64][]string{}
	for k, v := range m.filesOf {
		if k != id {
			n.filesOf[k], n.manifestOf[k] = v, m.manifestOf[k]
		}
	}
	return &n
}

// expire drops snapshots that are neither the newest few nor young, and returns what then no
// snapshot needs any more, as names below the table's folder.
func (m *metadata) expire(keep int, after time.Time) []string {
	var out []string
	drop := 0
	for drop < len(m.Snapshots)-1 && (len(m.Snapshots)-drop > keep || m.Snapshots[drop].At < after.UnixMilli()) {
		drop++
	}
	if drop == 0 {
		return nil
	}
	needed := map[string]bool{}
	for _, s := range m.Snapshots[drop:] {
		for i := range m.filesOf[s.ID] {
			needed[m.filesOf[s.ID][i].Name] = true
		}
	}
	for _, s := range m.Snapshots[:drop] {
		for i := range m.filesOf[s.ID] {
			if name := m.filesOf[s.ID][i].Name; !needed[name] {
				needed[name] = true
				out = append(out, name)
			}
		}
		out = append(out, m.manifestOf[s.ID]...)
		delete(m.filesOf, s.ID)
		delete(m.manifestOf, s.ID)
	}
	m.Snapshots = slices.Clone(m.Snapshots[drop:])
	m.SnapshotLog = slices.Clone(m.SnapshotLog[min(drop, len(m.SnapshotLog)):])
	return out
}

// write makes a commit durable: the manifest, the list of manifests, the metadata, and last its
// name. A crash before that: the earlier metadata is the newest and what it names is all there. The
// name is given by a link, which fails when another process gave it.
func (m *metadata) write(p place) error {
	var manifest, list bytes.Buffer
	id := m.Current
	s := m.Snapshots[len(m.Snapshots)-1]
	files := m.filesOf[id]
	entries := make([]iceberg.ManifestEntry, 0, len(files))
	for i := range files {
		e, err := files[i].entry(m.Location, id)
		if err != nil {
			return fmt.Errorf("table: manifest: %w", err)
		}
		entries = append(entries, e)
	}
	names := []string{"metadata/" + path.Base(s.List)}
	var manifests []iceberg.ManifestFile
	if len(entries) > 0 {
		name := "metadata/files" + strings.TrimPrefix(path.Base(s.List), "snap")
		names = append(names, name)
		mf, err := iceberg.WriteManifest(m.Location+"/"+name, &manifest, 2, daySpec, icebergSchema, id, entries)
		if err != nil {
			return fmt.Errorf("table: manifest: %w", err)
		}
		manifests = append(manifests, mf)
		if err := p.write(name, manifest.Bytes()); err != nil {
			return err
		}
	}
	var parent *int64
	if s.Parent != 0 {
		parent = &s.Parent
	}
	if err := iceberg.WriteManifestList(2, &list, id, parent, &s.Sequence, 0, manifests); err != nil {
		return fmt.Errorf("table: list of manifests: %w", err)
	}
	if err := p.write(names[0], list.Bytes()); err != nil {
		return err
	}
	m.manifestOf[id] = names
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("table: metadata: %w", err)
	}
	if err := p.create("metadata/"+metadataName(m.number), text); err != nil {
		return err
	}
	// A hint for other engines. It may lag behind by a commit.
	return p.hint("metadata/"+hintName, []byte(strconv.FormatInt(m.number, 10)))
}
