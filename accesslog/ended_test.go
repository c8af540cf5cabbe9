package accesslog_test

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/keyring"
)

// While events come in and lists are compared, the pseudonym key of a merchant is destroyed: from when that
// returns nobody is known under it, and what comes later is known under one other key.
//
// promise: PRO-6
func TestADestroyedPseudonymKeyIsUsedByNobodyAfterwards(t *testing.T) {
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	s := newSite(t)
	s.close()
	s.keys = keys
	s.open(t)
	known := func() string {
		t.Helper()
		p, err := s.Pseudonym("m_1", "account", "7")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for round := range 20 {
		if _, err := keys.Key("pseudonym", "m_1"); err != nil {
			t.Fatal(err)
		}
		name, err := s.PseudonymKey("m_1")
		if err != nil || name == "" {
			t.Fatal("no key has a name", err)
		}
		old := known()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					if _, err := s.Pseudonym("m_1", "account", "7"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		if err := s.DestroyKey("m_1", name); err != nil {
			t.Fatal(err)
		}
		if got := known(); got != "" {
			t.Fatalf("round %d: somebody is known under a key that is destroyed, or was kept", round)
		}
		all.Wait()
		if known() != "" {
			t.Fatalf("round %d: a comparison kept the key beyond its end", round)
		}
		if _, err := keys.Key("pseudonym", "m_1"); err != nil {
			t.Fatal(err)
		}
		if now := known(); now == "" || now == old {
			t.Fatalf("round %d: the later key is the one that was destroyed", round)
		}
		if err := s.DestroyKey("m_1", name); err != nil || known() == "" {
			t.Fatalf("round %d: destroying again took the later key: %v", round, err)
		}
	}
	if err := s.DestroyKey("m_2", "00000000000000000000000000000000"); err != nil {
		t.Errorf("of a merchant without a key: %v", err)
	}
	// What belongs to no merchant has a key of its own, which no merchant's name reaches.
	if _, err := keys.Key("pseudonym", "*"); err != nil {
		t.Fatal(err)
	}
	if name, err := s.PseudonymKey("*"); err != nil || name != "" {
		t.Errorf("the key of no merchant has a name: %q, %v", name, err)
	}
}

// slowKeys are keys whose next look is answered late, with what was true when it was asked.
type slowKeys struct {
	*keyring.Ring
	late     atomic.Bool
	read, on chan struct{}
}

func (k *slowKeys) Lookup(purpose, id string) ([]byte, error) {
	key, err := k.Ring.Lookup(purpose, id)
	if k.late.CompareAndSwap(true, false) {
		close(k.read)
		<-k.on
	}
	return key, err
}

// Whoever has read the key at the moment in which it is destroyed does not keep it beyond that.
//
// promise: PRO-6
func TestAKeyThatIsReadWhileItIsDestroyedIsNotKept(t *testing.T) {
	ring, err := keyring.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ring.Close() })
	keys := &slowKeys{Ring: ring, read: make(chan struct{}), on: make(chan struct{})}
	s := newSite(t)
	s.close()
	s.keys = keys
	s.open(t)
	if _, err := keys.Key("pseudonym", "m_1"); err != nil {
		t.Fatal(err)
	}
	name, err := s.PseudonymKey("m_1")
	if err != nil || name == "" {
		t.Fatal("the key has no name", err)
	}
	keys.late.Store(true)
	var all sync.WaitGroup
	all.Go(func() { _, _ = s.Pseudonym("m_1", "account", "7") })
	<-keys.read
	destroyed := make(chan error, 1)
	go func() { destroyed <- s.DestroyKey("m_1", name) }()
	select { // it waits for the reader; one that does not wait has its chance to be wrong
	case err := <-destroyed:
		destroyed <- err
	case <-time.After(200 * time.Millisecond):
	}
	close(keys.on)
	all.Wait()
	if err := <-destroyed; err != nil {
		t.Fatal(err)
	}
	if p, err := s.Pseudonym("m_1", "account", "7"); err != nil || p != "" {
		t.Errorf("somebody is known under a key that is destroyed: %v", err)
	}
}
