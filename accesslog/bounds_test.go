package accesslog

import (
	"fmt"
	"testing"
)

type oneKey struct{}

func (oneKey) Key(string, string) ([]byte, error) { return make([]byte, 32), nil }

// A sender that invents merchants does not fill the memory, and an identifier keeps its pseudonym.
func TestInventedMerchantsDoNotFillTheMemory(t *testing.T) {
	p := pseudonyms{keys: oneKey{}}
	before, err := p.token("m_0", "account", "7")
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxPools + 100 {
		if _, err := p.token(fmt.Sprint("m_", i), "account", "7"); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	p.pools.Range(func(any, any) bool { held++; return true })
	if held > maxPools {
		t.Errorf("%d keyed hashes are held, at most %d may be", held, maxPools)
	}
	if after, err := p.token("m_0", "account", "7"); err != nil || after != before {
		t.Errorf("the pseudonym was %s and is %s, %v", before, after, err)
	}
}
