package mint_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/mint"
)

// promise: PRO-12
func TestSecretIsNeverPrinted(t *testing.T) {
	s := mint.New(mint.Token)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "secret", s)
	encoded, err := json.Marshal(map[string]any{"secret": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), log.String(), string(encoded)} {
		if strings.Contains(out, s.Reveal()) {
			t.Errorf("the secret stands in %q", out)
		}
	}
	if strings.Contains(s.Reveal(), s.ID) || len(s.Reveal()) < 43 {
		t.Errorf("id %s, secret of %d bytes", s.ID, len(s.Reveal()))
	}
}

func TestPressRepeatsOnlyTheSameRequest(t *testing.T) {
	p := mint.NewPress()
	first := p.Make(mint.Key, "person:lena", "k1")
	for name, other := range map[string]mint.Secret{
		"another caller":  p.Make(mint.Key, "person:omar", "k1"),
		"another request": p.Make(mint.Key, "person:lena", "k2"),
		"another purpose": p.Make(mint.Code, "person:lena", "k1"),
		"another process": mint.NewPress().Make(mint.Key, "person:lena", "k1"),
		"shifted border":  p.Make(mint.Key, "person:lenak", "1"),
	} {
		if other.Reveal() == first.Reveal() {
			t.Errorf("%s got the same secret", name)
		}
	}
	if p.Make(mint.Key, "person:lena", "k1").Reveal() != first.Reveal() {
		t.Error("the same request got another secret")
	}
	one, other := p.Make(mint.Key, "person:lena", ""), p.Make(mint.Key, "person:lena", "")
	if one.Reveal() == other.Reveal() {
		t.Error("two requests without a key got the same secret")
	}
}
