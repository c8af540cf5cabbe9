package keyring

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
)

// Keys that are not held in memory any more are the same keys.
func TestKeysInMemoryAreBounded(t *testing.T) {
	r, err := Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.most = 500
	before, err := r.Key("pseudonym", "m_0")
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, r.most+10)
	for i := range ids {
		ids[i] = fmt.Sprint("m_", i)
	}
	if err := r.Prepare("pseudonym", ids...); err != nil {
		t.Fatal(err)
	}
	if n := len(r.keys); n > r.most {
		t.Errorf("%d keys are held in memory, at most %d may be", n, r.most)
	}
	if after, err := r.Lookup("pseudonym", "m_0"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key of m_0 is another one, %v", err)
	}
}
