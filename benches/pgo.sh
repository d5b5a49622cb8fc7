#!/usr/bin/env bash
# A release build guided by a profile: builds one that counts its own steps, makes it do what the bench
# measures, and builds again with what it counted. Ends with the path of the result.
#
#   benches/pgo.sh [SECONDS]      seconds of each kind of request, 5 unless given
#
# llvm-profdata must be of the LLVM that rustc has; Debian's llvm-22 is, for 1.95.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-5}
host=$(rustc -vV | sed -n 's/^host: //p')
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
work=$PWD/target/pgo

profdata=''
for candidate in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" "llvm-profdata-$llvm"; do
  command -v "$candidate" >/dev/null && profdata=$candidate && break
done
if [ -z "$profdata" ]; then
  echo "missing: llvm-profdata of LLVM $llvm; on Debian: apt-get install llvm-$llvm" >&2
  exit 1
fi

# The programs that do the exercise are built as always.
cargo bench --bench compare --no-run

rm -rf "$work/raw" && mkdir -p "$work/raw"
# With --target the flags are for the program alone, not for what builds it.
RUSTFLAGS="-Cprofile-generate=$work/raw" \
  cargo build --release --target "$host" --target-dir "$work/counting"
cargo bench --bench compare -- train --vestibule "$work/counting/$host/release/vestibule" --seconds "$seconds"
"$profdata" merge -o "$work/merged.profdata" "$work/raw"

RUSTFLAGS="-Cprofile-use=$work/merged.profdata" \
  cargo build --release --target "$host" --target-dir "$work/guided"
echo "$work/guided/$host/release/vestibule"
