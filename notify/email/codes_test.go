package email

import (
	"fmt"
	"net"
	"testing"
)

// A resolver that does not answer is told apart from a name that is not there: the one is to be asked again,
// the other is a mistake in the configuration.
func TestASilentResolverIsNotAMissingName(t *testing.T) {
	for want, err := range map[string]error{
		"dns":      &net.DNSError{Err: "no such host", Name: "smtp.example.com", IsNotFound: true},
		"resolver": &net.DNSError{Err: "i/o timeout", Name: "smtp.example.com", IsTimeout: true, IsTemporary: true},
	} {
		if code, detail := codeOf(fmt.Errorf("dial: %w", err)); code != want || detail != "" {
			t.Errorf("%v is %q %q, want %q", err, code, detail, want)
		}
	}
}
