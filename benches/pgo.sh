#!/usr/bin/env bash
# A release build guided by a profile: builds one that counts its own steps, makes it do what the bench
# measures, and builds again with what it counted. The bare proxy of the bench is built likewise, so
# that both can be compared. Everything is built four times.
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

# build FOLDER FLAG: the bench, then the gateway as it is shipped, whose dependencies have other
# features. With --target the flag is for the programs alone, not for what builds them.
build() {
  local cargo=(--target "$host" --target-dir "$work/$1")
  RUSTFLAGS=$2 cargo bench --bench compare --no-run "${cargo[@]}"
  RUSTFLAGS=$2 cargo build --release "${cargo[@]}"
}

# bench FOLDER: the bench in it.
bench() {
  find "$work/$1/$host/release/deps" -name 'compare-*' -type f -executable -printf '%T@ %p\n' |
    sort -n | tail -n 1 | cut -d ' ' -f 2
}

rm -rf "$work/raw" && mkdir -p "$work/raw"
build counting "-Cprofile-generate=$work/raw"
"$(bench counting)" train --vestibule "$work/counting/$host/release/vestibule" --seconds "$seconds"
"$profdata" merge -o "$work/merged.profdata" "$work/raw"
# Cargo sees the name of the profile, not what is in it, and would keep what the last one guided.
rm -rf "$work/guided"
build guided "-Cprofile-use=$work/merged.profdata"

echo "the gateway:                     $work/guided/$host/release/vestibule"
echo "beside a bare proxy of its kind: $(bench guided) --bench"
