package accesslog

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
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

// Receipts of batches that the table has not yet are kept for who sends them again. A table that falls
// behind makes the door busy; it does not fill the memory.
func TestReceiptsThatWaitForTheTableDoNotFillTheMemory(t *testing.T) {
	sp, err := spool.Open(t.TempDir(), 0, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	s := &Store{o: Options{Backlog: 1 << 30}, spool: sp, queue: make(chan *batch, 1), answered: map[string]seenBatch{}}
	for _, name := range []string{"app\x00k1", "app\x00k1", "app\x00k2"} {
		s.keepAnswer(name, seenBatch{receipt: make([]byte, maxAnswered/2)})
	}
	if err := s.send(t.Context(), &batch{}); !errors.Is(err, ErrBusy) {
		t.Errorf("with two receipts of half the bound each: %v", err)
	}
	s.forgetAnswer("app\x00k1")
	if err := s.send(t.Context(), &batch{}); err != nil {
		t.Errorf("when the table has the first of them: %v", err)
	}
	if s.forgetAnswer("app\x00k2"); s.answers != 0 {
		t.Errorf("%d bytes are counted of no receipts", s.answers)
	}
}
