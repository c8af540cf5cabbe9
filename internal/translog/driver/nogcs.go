//go:build !gcp

package driver

import (
	"context"
	"errors"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

// openGCS says how to get a program that has it: the clients of GCS and Spanner are a fifth of the
// program, and few need them.
func (Place) openGCS(context.Context) (translog.Storage, error) {
	return nil, errors.New("this program was built without GCS and Spanner: build it with go build -tags gcp ./cmd/tocsin")
}
