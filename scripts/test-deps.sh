#!/usr/bin/env bash
# Installs what the tests need, as root on Debian; elsewhere it names what is missing.
# Go modules and npm packages need no root and are fetched everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."

have() { command -v "$1" >/dev/null 2>&1; }
for tool in go gcc node npm make git; do
  have "$tool" || { echo "missing: $tool is assumed on the machine" >&2; exit 1; }
done

# A PostgreSQL that is named, answers on this machine, or can be started from its programs.
postgresql() {
  [ -n "${TOCSIN_TEST_POSTGRES:-}" ] || have initdb || ls /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb >/dev/null 2>&1 ||
    (exec 3<>/dev/tcp/127.0.0.1/5432) 2>/dev/null
}

need=()
have chromium || have chromium-browser || have google-chrome || need+=(chromium)
have pdftotext || need+=(poppler-utils)
have python3 || need+=(python3)
have php || need+=(php-cli)
have ruby || need+=(ruby)
have zsh || need+=(zsh)
have fish || need+=(fish)
ls {/usr,/usr/local,/opt/homebrew}/share/bash-completion/bash_completion 2>/dev/null | grep -q . || need+=(bash-completion)
postgresql || need+=(postgresql)
# Tests start a MariaDB of their own from its programs.
[ -n "${TOCSIN_TEST_MYSQL:-}" ] || [ -x /usr/sbin/mariadbd ] || have mariadbd || need+=(mariadb-server)

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

go mod download
git ls-files --cached --others --exclude-standard -- '*package-lock.json' | while read -r lock; do
  [ -f "$lock" ] || continue
  dir=$(dirname "$lock")
  # npm writes this file last; one older than the lock belongs to other versions.
  [ "$dir/node_modules/.package-lock.json" -nt "$lock" ] || (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --silent)
done
