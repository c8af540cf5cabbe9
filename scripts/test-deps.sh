#!/usr/bin/env bash
# Installs what the tests need, as root on Debian; elsewhere it names what is missing.
# Go modules and npm packages need no root and are fetched everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."

need=()
have() { command -v "$1" >/dev/null 2>&1; }
have chromium || have chromium-browser || have google-chrome || need+=(chromium)
have pdftotext || need+=(poppler-utils)
have psql && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need+=(postgresql)

if [ ${#need[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && have apt-get; then
    echo "installing for the tests: ${need[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
  else
    echo "missing for the tests: ${need[*]}" >&2
    echo "install them (on Debian: sudo apt-get install ${need[*]}) and run make test again" >&2
    exit 1
  fi
fi

for tool in go gcc node npm make; do
  have "$tool" || { echo "missing: $tool is assumed on the machine" >&2; exit 1; }
done
go mod download
for lock in $(git ls-files '*package-lock.json'); do
  dir=$(dirname "$lock")
  [ -d "$dir/node_modules" ] || (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --silent)
done
