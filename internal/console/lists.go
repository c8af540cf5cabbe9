package console

import (
	"cmp"
	"encoding/csv"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/scope/sheet"
)

// listing is a list that is shown by pages: which page, of how many, and what it was filtered by.
type listing struct {
	Path        string
	Name        string     // of the list's beginning in the address, where a page has several lists; "": skip
	Values      url.Values // as the form gave them, without the page
	Skip, Shown int
	Size, Of    int
}

// listed reads which page of a list is asked for. fields are the names of its filters: whatever
// else stands in the address is left out of the links.
func listed(r *http.Request, size int, fields ...string) listing {
	l := listing{Path: r.URL.Path, Values: url.Values{}, Skip: skipOf(r), Size: size}
	for _, name := range fields {
		if v := strings.TrimSpace(r.URL.Query().Get(name)); v != "" && len(v) <= maxFilter {
			l.Values.Set(name, v)
		}
	}
	return l
}

// maxFilter bounds one filter.
const maxFilter = 200

// as is the address of the same list in another form, such as a file.
func (l listing) as(path string) string {
	if q := l.Values.Encode(); q != "" {
		return path + "?" + q
	}
	return path
}

// page is the address of the page that begins after so many rows.
func (l listing) page(skip int) string {
	v := url.Values{}
	for name := range l.Values {
		v.Set(name, l.Values.Get(name))
	}
	if skip > 0 {
		v.Set(cmp.Or(l.Name, "skip"), strconv.Itoa(skip))
	}
	path := listing{Values: v}.as(l.Path)
	if l.Name != "" {
		path += "#" + l.Name
	}
	return path
}

// another is a further list of the same page with the same filters: name is its beginning in the address, and its place on the page.
func (l listing) another(r *http.Request, name string, size int) listing {
	return listing{Path: l.Path, Name: name, Values: l.Values, Skip: skipAs(r, name), Size: size}
}

// pageOf cuts the page out of all rows.
func pageOf[T any](l *listing, all []T) []T {
	l.Of = len(all)
	l.Skip = min(l.Skip, len(all))
	rows := all[l.Skip:min(l.Skip+l.Size, len(all))]
	l.Shown = len(rows)
	return rows
}

// placed is the permanent place of a line, when it has one.
func placed(id string) templ.Attributes {
	if id == "" {
		return nil
	}
	return templ.Attributes{"id": id}
}

// serveCSV serves a table as a file.
func serveCSV(w http.ResponseWriter, name string, header []string, rows [][]string) error {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	out := csv.NewWriter(w)
	_ = out.Write(header) // a failed write means that the reader is gone
	for _, row := range rows {
		for i := range row {
			row[i] = sheet.Inert(row[i])
		}
		_ = out.Write(row)
	}
	out.Flush()
	return nil
}
