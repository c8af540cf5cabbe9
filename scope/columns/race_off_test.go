//go:build !race

package columns_test

import (
	"errors"
	"testing"

	"github.com/tocsin-ir/tocsin/scope/columns"
)

// tables is how many tables are made and counted: as many as rapid draws.
const tables = 1 << 30

// So many values that the files have no dictionary for all of them, and so many customers that they do not fit the memory.
// promise: INV-2
func TestColumnsWithoutADictionaryAreCountedToo(t *testing.T) {
	const rows = 20_000
	dir, files := written(t, rows)
	a, err := columns.Count(everything(files), columns.Options{Dir: dir, Spill: dir, Memory: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Parts) != 1 || a.Parts[0].Events != rows || a.Parts[0].AtLeast || a.Customers["m_1"] != rows*40 || len(a.In) != 10 {
		t.Errorf("%+v, %d customers, %d addresses", a.Parts, a.Customers["m_1"], len(a.In))
	}
	if _, err := columns.Count(everything(files), columns.Options{Dir: dir, Spill: dir, Memory: 1 << 20}); !errors.Is(err, columns.ErrMemory) {
		t.Errorf("sums beyond the memory: %v", err)
	}
}
