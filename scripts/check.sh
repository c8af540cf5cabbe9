#!/usr/bin/env bash
# Checks that need no run: format, vet, staticcheck, generated files, and a build without cgo.
set -euo pipefail
cd "$(dirname "$0")/.."

bad=$(gofmt -l $(git ls-files '*.go'))
[ -z "$bad" ] || { echo "not formatted, run make fmt: $bad" >&2; exit 1; }
go vet ./...
go tool staticcheck ./...

# Generated templates are committed, so that go build needs nothing else; they must not drift.
if git ls-files '*.templ' | grep -q .; then
  go tool templ generate >/dev/null 2>&1
  drift=$(git status --porcelain -- '*_templ.go')
  [ -z "$drift" ] || { echo "generated templates differ from their source, run make generate:" >&2; echo "$drift" >&2; exit 1; }
fi
CGO_ENABLED=0 go build -o /dev/null ./cmd/tocsin-verify
