package app

import (
	"context"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/postgres"
	"github.com/tocsin-ir/tocsin/ledger"
)

// openPostgres opens the store at a URL. Each installation has a schema of its own when it is a
// drill, so that a drill on a shared server touches nothing else; production uses one schema that
// its nodes share.
func openPostgres(ctx context.Context, o Options, in Installation) (ledger.Store, error) {
	schema := "tocsin"
	if in.Env == "drill" {
		schema = "tocsin_drill_" + strings.ToLower(in.ID)
	}
	return postgres.Open(ctx, o.Store, postgres.Options{Schema: schema, Log: o.Log})
}
