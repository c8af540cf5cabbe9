#!/usr/bin/env bash
# Runs targets of the Makefile one after the other, says how long each took, and goes on after one
# that failed, so that one run shows everything that is wrong.
#   steps.sh TARGET...
set -uo pipefail
cd "$(dirname "$0")/.."

report=() failed=() began=$SECONDS
for step in "$@"; do
  printf '== make %s\n' "$step"
  from=$SECONDS outcome=ok
  "${MAKE:-make}" --no-print-directory "$step" || { outcome=FAILED; failed+=("$step"); }
  report+=("$(printf '%-10s %5d s  %s' "$step" $((SECONDS - from)) "$outcome")")
  # Without what the tests need nothing after it means anything.
  [ "$outcome" = ok ] || [ "$step" != test-deps ] || break
done
printf '== %d s in all\n' $((SECONDS - began))
printf '%s\n' "${report[@]}"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}; make NAME runs one again" >&2; exit 1; }
