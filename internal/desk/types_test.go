package desk_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

func TestWhatAnErrorSaysIsWithoutTheWordForItsKind(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w: reason: must not be empty", desk.ErrInvalid), "reason: must not be empty"},
		{fmt.Errorf("choose a file: %w", desk.ErrInvalid), "choose a file"},
		{fmt.Errorf("there is no incident %q: %w", "INC-9", desk.ErrNotFound), `there is no incident "INC-9"`},
		{fmt.Errorf("erasing is for owners: %w", desk.ErrForbidden), "erasing is for owners"},
		{desk.ErrForbidden, "not allowed"},
		{errors.New("a key that is invalid: invalid"), "a key that is invalid: invalid"},
	} {
		if got := desk.Said(c.err); got != c.want {
			t.Errorf("%q is said as %q, not %q", c.err, got, c.want)
		}
	}
}
