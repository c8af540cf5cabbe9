#!/usr/bin/env bash
# Long runs: kills, seeds, sabotages, fuzzing. They are the tests named TestSoak and the fuzz
# targets, so that a new one is found by its name.
#
#   SOAK=sample   (default) what fits into an hour; the sample moves on with the date and the commit
#   SOAK=full     everything, which takes hours
#   SOAK_TURN=N   repeats the sample of another run, which printed it
set -uo pipefail
cd "$(dirname "$0")/.."

export SOAK=${SOAK:-sample}
commit=$(git rev-parse --short=5 HEAD 2>/dev/null || echo 0)
export SOAK_TURN=${SOAK_TURN:-$(($(date -u +%s) / 86400 + 16#$commit))}
if [ "$SOAK" = full ]; then minutes=600 fuzz=300; else minutes=60 fuzz=30; fi
end=$((SECONDS + minutes * 60))
repeat="SOAK=$SOAK SOAK_TURN=$SOAK_TURN make soak"
echo "soak: $SOAK, turn $SOAK_TURN, at most $minutes minutes; again with: $repeat"

report=() failed=0 running=
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; exit 130' INT TERM
# step NAME SECONDS COMMAND...: runs a command for at most so long, and never beyond the end.
step() {
  local name=$1 limit=$2 left=$((end - SECONDS)) from=$SECONDS outcome=ok
  shift 2
  if [ "$left" -lt 60 ]; then report+=("$(printf '%-40s %5s    no time left' "$name" -)") failed=1; return; fi
  [ "$limit" -lt "$left" ] || limit=$left
  echo "== $name (at most $limit s)"
  # The test's own limit comes first, because it tells where it hung.
  timeout --kill-after=30 "$limit" env LIMIT="$((limit - 20))s" bash -c "$*" &
  running=$!
  wait "$running" || { outcome=FAILED failed=1; }
  report+=("$(printf '%-40s %5d s  %s' "$name" $((SECONDS - from)) "$outcome")")
}

# packages with a function whose name begins like this, the drill last.
packages() {
  git ls-files --cached --others --exclude-standard -- '*_test.go' | xargs grep -l "^func $1" 2>/dev/null | xargs -r -n1 dirname | sort -u
}

# fuzzed PACKAGE TARGET: a target that found nothing may still fail at the end of its time, with "context
# deadline exceeded": the tool's workers lose a race with its clock (go.dev/issue/75804, mended in Go 1.27).
# What a target does find is written to a file, and said.
fuzzed() {
  local out status
  out=$(mktemp)
  go test -timeout "$LIMIT" -run '^$' -fuzz "^$2\$" -fuzztime "${fuzz}s" -fuzzminimizetime 10s "$1" 2>&1 | tee "$out"
  status=${PIPESTATUS[0]}
  if [ "$status" != 0 ] && grep -qx ' *context deadline exceeded' "$out" && ! grep -qE 'Failing input written|^panic:|^fatal error:|test timed out' "$out"; then
    echo "soak: $2 found nothing, and its clock ran out in the tool (go.dev/issue/75804)"
    status=0
  fi
  rm -f "$out"
  return "$status"
}
export -f fuzzed
export fuzz

for dir in $(packages Fuzz); do
  for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //'); do
    step "fuzz $dir $target" $((fuzz + 300)) "fuzzed ./$dir $target"
  done
done
for dir in $(packages TestSoak | grep -v '^internal/drill$') $(packages TestSoak | grep '^internal/drill$'); do
  limit=900
  if [ "$dir" = internal/drill ] || [ "$SOAK" = full ]; then limit=36000; fi
  step "soak $dir" $limit "go test -count=1 -timeout \$LIMIT -run '^TestSoak' -v ./$dir"
done

echo "== soak: $SOAK, turn $SOAK_TURN"
printf '%s\n' "${report[@]}"
[ "$failed" = 0 ] || { echo "something failed; again with: $repeat" >&2; exit 1; }
