#!/usr/bin/env bash
# Starts the demo and walks a person's way through it in Chromium.
#   tests/journey/run.sh [OUTDIR]      screenshots go to OUTDIR (target/journey)
set -euo pipefail
cd "$(dirname "$0")/../.."

out="${1:-target/journey}"
log="$(mktemp)"

fail() {
  echo "journey: $1" >&2
  sed 's/^/demo: /' "$log" >&2
  exit 1
}

[ -d tests/journey/node_modules ] || fail "playwright-core isn't installed: npm ci in tests/journey"
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || fail "Chromium isn't installed: apt-get install chromium"

# A group of its own, so that what make has started ends with it.
setsid make -s demo >"$log" 2>&1 &
demo=$!
trap 'kill -- "-$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -f "$log"' EXIT

# It prints one address and the demo's users, each with the password behind the name.
address='' person=''
for _ in $(seq 3000); do
  kill -0 "$demo" 2>/dev/null || fail 'the demo ended by itself'
  address="$(grep -oE 'http://(localhost|127\.0\.0\.1):[0-9]+' "$log" | head -n 1 || true)"
  person="$(grep -oE 'ada[^a-z]+lovelace-1843' "$log" | head -n 1 || true)"
  [ -n "$address" ] && [ -n "$person" ] && break
  sleep 0.2
done
[ -n "$address" ] || fail 'the demo printed no address'
[ -n "$person" ] || fail 'the demo printed no user'

node tests/journey/journey.mjs "$address" ada lovelace-1843 "$out" || fail 'see above; what the demo said:'
