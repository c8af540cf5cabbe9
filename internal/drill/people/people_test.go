package people

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

func TestACommandCutOffByARestartIsGivenAgainUnderTheSameKey(t *testing.T) {
	var mu sync.Mutex // a connection that is cut off orders nothing between its handler and the next
	var keys []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		n := len(keys)
		mu.Unlock()
		switch n {
		case 1:
			panic(http.ErrAbortHandler) // the connection ends without an answer
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			io.WriteString(w, `{"incident":"INC-1","version":3,"reason":"confirmed","facts":[{"id":"01J","kind":"milestone.set","hash":"sha256:00"}]}`)
		}
	}))
	defer s.Close()
	var acked []FactRef
	p := &Person{Token: "t", Server: &Server{Base: func() string { return s.URL }, Client: s.Client(), Acked: func(_ string, f FactRef) { acked = append(acked, f) }, Pause: func(int) time.Duration { return 0 }}}
	out, err := p.Do(context.Background(), "INC-1", "confirm", map[string]string{"reason": "x"})
	if err != nil || out.Reason != "confirmed" {
		t.Fatal(err, out)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(keys) != 3 || keys[0] == "" || keys[0] != keys[1] || keys[1] != keys[2] {
		t.Fatalf("keys %q", keys)
	}
	if len(acked) != 1 || acked[0].ID != "01J" {
		t.Fatalf("acked %+v", acked)
	}
}

func TestARefusalIsNotRepeatedAndListsWhatIsMissing(t *testing.T) {
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, `{"status":409,"reason":"gate_shut","detail":"restore was refused","missing":[{"what":"the fix is not verified"}]}`)
	}))
	defer s.Close()
	p := &Person{Server: &Server{Base: func() string { return s.URL }, Client: s.Client()}}
	_, err := p.Do(context.Background(), "INC-1", "restore", nil)
	r, ok := IsRefused(err)
	if !ok || r.Reason != "gate_shut" || len(r.Missing) != 1 || n != 1 {
		t.Fatal(err, n)
	}
}
