// Package policies holds the policies the binary ships.
package policies

import "embed"

// FS has one file for each policy, named by its id with hyphens: pickandpack.yaml, shopify-app.yaml.
//
//go:embed *.yaml
var FS embed.FS
