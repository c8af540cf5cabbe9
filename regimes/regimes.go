// Package regimes holds the catalogue of notification law that the binary ships. Facts in our own
// words, not legal advice.
package regimes

import (
	"embed"
	"sync"

	"github.com/tocsin-ir/tocsin/regime"
)

//go:embed *.yaml
var files embed.FS

// Catalogue is the shipped catalogue, read once. Data that cannot be read is a fault of the build,
// which its test finds: it panics.
var Catalogue = sync.OnceValue(func() *regime.Catalogue {
	c, err := regime.Load(files)
	if err != nil {
		panic(err)
	}
	return c
})
