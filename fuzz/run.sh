#!/usr/bin/env bash
# Builds the targets, replays their corpora, and fuzzes each for some seconds.
# Usage: fuzz/run.sh SECONDS [TARGET…]; without targets all of them. 0 seconds replay only.
# Seconds are by the clock; what a busy machine made of them is said at the end of each.
set -euo pipefail
TIMEFORMAT='took %R s by the clock, %U s of a processor'
cd "$(dirname "$0")/.."

seconds=${1:?how many seconds each}
shift
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cargo fuzz list)

cargo fuzz build --sanitizer none
triple=$(rustc -vV | sed -n 's/^host: //p')
status=0
for target in "${targets[@]}"; do
  printf '\n== %s\n' "$target"
  # What is found beside the seeds is kept, and is not for the repository.
  found=fuzz/target/corpus/$target
  artifacts=fuzz/artifacts/$target/
  mkdir -p "$found" "$artifacts"
  run=(fuzz/target/"$triple"/release/"$target" -artifact_prefix="$artifacts" -timeout=60 -rss_limit_mb=2048)
  "${run[@]}" -runs=0 fuzz/corpus/"$target" || { status=1; continue; }
  [ "$seconds" -gt 0 ] || continue
  time "${run[@]}" -max_total_time="$seconds" -print_final_stats=1 \
    -dict=fuzz/dictionaries/"$target".dict "$found" fuzz/corpus/"$target" || status=1
done
exit "$status"
