package egress

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a value that never prints: every way of formatting, logging or encoding it gives
// "[redacted]". The zero value is no secret.
//
// The value is behind a pointer because fmt cannot call methods of an unexported field: a struct
// that holds a Secret in one prints an address instead.
type Secret struct{ value *string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal gives the value, for the place where it is put to use.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.Reveal() == "" }

const redacted = "[redacted]"

func (Secret) String() string { return redacted }

// GoString hides the value.
func (Secret) GoString() string { return redacted }

// Format hides the value under every verb; %x of a string would show it.
func (Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) }

// LogValue hides the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the value from every encoder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
