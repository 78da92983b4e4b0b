#!/bin/sh
# Compiles every test program anew: build.sh [CLANG] [FOLDER]. The results are kept in the repository, so that tests need no compiler.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
clang=${1:-clang-19}
out=${2:-$here/objects}
strip=$(echo "$clang" | sed 's/clang/llvm-strip/')
mkdir -p "$out"
cd "$here"
for source in *.bpf.c refused/*.bpf.c; do
	object="$out/$(basename "$source" .bpf.c).o"
	"$clang" -target bpf -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu -O2 -g -Wall -Wno-missing-declarations -fdebug-compilation-dir=. -c "$source" -o "$object"
	"$strip" -g "$object"
done
