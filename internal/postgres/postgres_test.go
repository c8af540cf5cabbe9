package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/pgtest"
	"github.com/tocsin-ir/tocsin/internal/postgres"
	"github.com/tocsin-ir/tocsin/internal/storetest"
	"github.com/tocsin-ir/tocsin/ledger"
)

func TestMain(m *testing.M) {
	// A child process is given the server by its parent.
	os.Exit(storetest.Main(m, func(schema string) (ledger.Store, error) {
		return place{os.Getenv(pgtest.Variable), schema}.Open()
	}))
}

// place is a schema of the test server.
type place struct{ server, schema string }

func (p place) Open() (ledger.Store, error) {
	return postgres.Open(context.Background(), p.server, postgres.Options{Schema: p.schema})
}

func (p place) OpenPolling(every time.Duration) (ledger.Store, error) {
	return postgres.Open(context.Background(), p.server, postgres.Options{Schema: p.schema, Poll: every})
}

func (p place) Address() string { return p.schema }

// newPlace makes a place whose schema is dropped after the test.
func newPlace(t *testing.T) place {
	t.Helper()
	return place{pgtest.Address(t), pgtest.Schema(t)}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place { return newPlace(t) })
}

func addressed(t *testing.T) storetest.AddressedPlace { return newPlace(t) }

func TestKilled(t *testing.T) { storetest.RunKilled(t, addressed) } // promise: INV-3

func TestSoakKilled(t *testing.T) { storetest.SoakKilled(t, addressed) }

func TestAnAddressWithAPasswordIsRefused(t *testing.T) { // promise: PRO-12
	for _, address := range []string{
		"postgres://u:hunter2@127.0.0.1/test",
		"postgresql://u@127.0.0.1/test?password=hunter2",
		"postgres://127.0.0.1/test?user=u&Password=hunter2",
		"host=127.0.0.1 password=hunter2",
		"postgres://u:hunter2@[::1/test",
	} {
		_, err := postgres.Open(t.Context(), address, postgres.Options{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("opened, or the error tells the password: %v", err)
		}
	}
}

func TestASchemaThatNeedsQuotingIsRefused(t *testing.T) {
	for _, schema := range []string{`a"; DROP SCHEMA public; --`, "A", "1a", strings.Repeat("a", 42)} {
		if _, err := postgres.Open(t.Context(), "postgres://postgres@127.0.0.1/test", postgres.Options{Schema: schema}); err == nil {
			t.Errorf("schema %q was accepted", schema)
		}
	}
}

func TestASchemaHasOneOwner(t *testing.T) {
	p := newPlace(t)
	first, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	opts := postgres.Options{Schema: p.schema, LockWait: 50 * time.Millisecond}
	if _, err := postgres.Open(t.Context(), p.server, opts); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("a second owner got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := postgres.Open(t.Context(), p.server, opts)
	if err != nil {
		t.Fatalf("after the owner has gone: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestNodesThatShareASchemaKeepChainsWhole(t *testing.T) {
	p := newPlace(t)
	var nodes []*postgres.Store
	for range 3 {
		s, err := postgres.Open(t.Context(), p.server, postgres.Options{Schema: p.schema, Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, s)
	}
	keys := &storetest.Keys{}
	var wg sync.WaitGroup
	for n, s := range nodes {
		for range 4 {
			wg.Go(func() {
				for i := range 10 {
					err := s.Update(t.Context(), func(tx ledger.Tx) error {
						_, err := storetest.Append(tx, keys, storetest.Fact(fmt.Sprintf("INC-%d", i%2), i, "m_1"))
						return err
					})
					if err != nil {
						t.Errorf("node %d: %v", n, err)
					}
				}
			})
		}
	}
	wg.Wait()
	records, err := storetest.Verify(t.Context(), nodes[0])
	if err != nil || len(records) != 120 {
		t.Errorf("%d facts, want 120: %v", len(records), err)
	}
}
