#!/usr/bin/env bash
# Breaks the gateway in each of the ways described here, and lets the golden invariant find it: within a
# minute, and by a rule. A mutant that lives, or a patch that no longer fits the source, is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch="$PWD/target/mutants"
tree="$scratch/tree"
patches=("$PWD"/tests/mutants/*.patch)
[ "$#" -eq 0 ] || patches=("${@/#/$PWD/tests/mutants/}")

# The unbroken gateway first: what fails with it too proves nothing.
cargo test --profile swift --test golden_invariant --no-run

golden() { # PROGRAM SECONDS
  GOLDEN_VESTIBULE="$1" GOLDEN_SECONDS="$2" timeout 600 \
    cargo test --profile swift --test golden_invariant -- --exact \
    run::no_request_and_no_answer_carries_another_persons_identity >"$scratch/said" 2>&1
}

mkdir -p "$scratch"
echo 'unbroken: 20 s'
golden "$PWD/target/swift/vestibule" 20 || { cat "$scratch/said"; echo 'fails without any mutant' >&2; exit 1; }

survivors=0
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  rm -rf "$tree"
  mkdir -p "$tree"
  cp -R Cargo.toml Cargo.lock rust-toolchain.toml src tests benches "$tree"
  # Outside of any repository `git apply` changes files as `patch` does, but never with fuzz.
  if ! (cd "$tree" && GIT_CEILING_DIRECTORIES="$scratch" git apply "$patch"); then
    echo "$name: the patch no longer fits the source: refresh it"
    survivors=$((survivors + 1))
    continue
  fi
  (cd "$tree" && CARGO_TARGET_DIR="$scratch/target" cargo build --quiet --profile swift --bin vestibule)
  if golden "$scratch/target/swift/vestibule" 60; then
    echo "$name: LIVES"
    survivors=$((survivors + 1))
    continue
  fi
  # A rule must have been broken, and in time.
  if rule=$(grep -m 1 -E '^a (request|response|live session) w.*: \[(memory|cookie|\?) store\]' "$scratch/said") &&
    after=$(grep -m 1 -oE 'after [0-9.]+ s' "$scratch/said") &&
    awk -v after="${after//[!0-9.]/}" 'BEGIN { exit !(after <= 60) }'; then
    echo "$name: killed $after: ${rule:0:160}"
  else
    echo "$name: the test failed, but by no rule, or too late:"
    tail -20 "$scratch/said"
    survivors=$((survivors + 1))
  fi
done
rm -rf "$tree"
if [ "$survivors" -ne 0 ]; then
  echo "$survivors of ${#patches[@]} mutants live" >&2
  exit 1
fi
echo "all ${#patches[@]} mutants killed"
