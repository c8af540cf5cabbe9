#!/usr/bin/env bash
# Checks that need no run: format, vet, staticcheck, generated files, and a build without cgo.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

sources() { git ls-files --cached --others --exclude-standard -- "$1" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

bad=$(sources '*.go' | xargs gofmt -l)
[ -z "$bad" ] || { echo "not formatted, run make fmt: $bad" >&2; exit 1; }
go build ./...
go vet ./...
go vet -tags gcp ./internal/translog/driver
go tool staticcheck ./...

# Generated templates are committed, so that go build needs nothing else; they must not drift from
# their source. What is compared is the tree before and after, so that it also holds before a commit.
if [ -n "$(sources '*.templ')" ]; then
  before=$(mktemp -d)
  trap 'rm -rf "$before"' EXIT
  sources '*_templ.go' | xargs tar -cf "$before/templates.tar"
  go tool templ generate >"$before/said" 2>&1 || { cat "$before/said" >&2; exit 1; }
  drift=$(tar --compare -f "$before/templates.tar" 2>/dev/null | grep -v -e 'Mod time' -e 'Mode differs' || true)
  [ -z "$drift" ] || { echo "generated templates differed from their source, and are right now; commit them:" >&2; echo "$drift" >&2; exit 1; }
fi
