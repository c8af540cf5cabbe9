// Package mint makes the secrets that Tocsin hands out: invitation codes, people's tokens and
// machines' keys. Each is 32 random bytes and is shown once; only its SHA-256 is kept (org.Hash).
package mint

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"log/slog"
	"strings"
)

// The prefixes say what a secret is for, so that a scanner that finds one in a repository can say
// whose door it opens.
const (
	Code  = "tsc_join_"
	Token = "tsc_token_"
	Key   = "tsc_key_"
)

// Secret is a secret and the id that may be shown in its place.
type Secret struct {
	ID    string
	value string
}

// Reveal gives the secret itself. It is called once, where the secret is handed out.
func (s Secret) Reveal() string { return s.value }

func (s Secret) String() string       { return "[redacted]" }
func (s Secret) GoString() string     { return "[redacted]" }
func (s Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON keeps a secret out of anything that is encoded by accident.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// New makes a secret. crypto/rand cannot fail on the systems Go supports.
func New(prefix string) Secret {
	var raw [32]byte
	rand.Read(raw[:])
	return from(prefix, raw[:])
}

func from(prefix string, raw []byte) Secret {
	value := prefix + base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte("id\x00" + value))
	id := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
	return Secret{ID: strings.TrimPrefix(strings.TrimSuffix(prefix, "_"), "tsc_") + "-" + id, value: value}
}

// Press makes the same secret again for the same idempotency key of the same caller, so that a
// client that lost the answer can ask again. It forgets when the process ends: after that the
// caller is told that the secret was shown before, and makes another.
type Press struct{ key [32]byte }

// NewPress makes a press with a key of its own.
func NewPress() *Press {
	p := &Press{}
	rand.Read(p.key[:])
	return p
}

// Make makes the secret of one request. Without an idempotency key it is random.
func (p *Press) Make(prefix, caller, request string) Secret {
	if request == "" {
		return New(prefix)
	}
	mac := hmac.New(sha256.New, p.key[:])
	for _, part := range []string{prefix, caller, request} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return from(prefix, mac.Sum(nil))
}
