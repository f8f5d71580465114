#!/usr/bin/env bash
# Builds the fuzzers and runs each for as many seconds as FUZZ_SECONDS says (60). What they find stays in target/fuzz/found, and
# a finding is a failure; what they have learnt stays in target/fuzz/corpus for the next run. Needs no nightly compiler:
# the coverage passes are rustc's stable ones, and AddressSanitizer comes with the toolchain.
# run.sh NAME… runs only those; run.sh NAME FILE tries one input again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
repository="$(cd ../.. && pwd)"
work="${CARGO_TARGET_DIR:-$repository/target}/fuzz"
seconds="${FUZZ_SECONDS:-60}"
host="$(rustc -vV | sed -n 's/^host: //p')"
all=(wire frame envelope syntax page codec)

command -v c++ >/dev/null || { echo "libFuzzer is built with a C++ compiler: apt-get install g++" >&2; exit 1; }

python="${PYTHON:-python3}"
# The codec's fuzzer has the interpreter in it.
folder="$("$python" -c 'import sysconfig as s; print(s.get_config_var("LIBDIR") if s.get_config_var("Py_ENABLE_SHARED") else "")')"
if [ -z "$folder" ]; then
    echo "$python has no shared library to be built into a program: apt-get install python3-dev, and PYTHON=/usr/bin/python3" >&2
    exit 1
fi
executable="$("$python" -c 'import sys; print(sys.executable)')"

build() {
    RUSTC_BOOTSTRAP=1 PYO3_PYTHON="$executable" CARGO_TARGET_DIR="$work" CARGO_INCREMENTAL=0 RUSTFLAGS="-Zsanitizer=address
        -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares" \
        cargo build --locked --bins --target "$host"
}

# Runs a fuzzer; the rest are its arguments.
run() {
    local name="$1" home
    shift
    home="$("$python" -c 'import sys; print(sys.base_prefix)')"
    # Python keeps what it has until the end and longer; leaks are looked for by python/tests/test_references.py.
    ASAN_OPTIONS="detect_leaks=0:abort_on_error=1" PYTHONHOME="$home" PYTHONMALLOC=malloc \
        LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
        "$work/$host/debug/$name" "$@"
}

seeds() {
    case "$1" in
    wire) echo seeds/wire ;;
    frame) echo "$repository/protocol/golden" ;;
    envelope) echo "$repository/protocol/golden seeds/envelope" ;;
    syntax | page) echo "seeds/page $repository/actors/src/cli/demo" ;;
    codec) echo "$repository/protocol/golden seeds/envelope" ;;
    esac
}

build
if [ "$#" -eq 2 ] && [ -f "$2" ]; then
    run "$1" "$2"
    exit
fi
for name in "${@:-${all[@]}}"; do
    dictionary="json.dict" longest=4096
    # Large pages are slow and nothing but many small ones.
    case "$name" in syntax | page) dictionary="syntax.dict" longest=1024 ;; esac
    mkdir -p "$work/corpus/$name" "$work/found"
    echo "fuzzing $name for $seconds s"
    # shellcheck disable=SC2046 # folders of this repository
    if ! run "$name" "$work/corpus/$name" $(seeds "$name") -dict="$dictionary" -max_total_time="$seconds" \
        -max_len=$longest -timeout=30 -rss_limit_mb=4096 -artifact_prefix="$work/found/$name-" \
        -print_final_stats=1 >"$work/$name.log" 2>&1; then
        tail -n 40 "$work/$name.log" >&2
        echo "$name has found something: try it again with tests/fuzz/run.sh $name FILE" >&2
        exit 1
    fi
    grep -E '^stat::(number_of_executed_units|new_units_added)|DONE' "$work/$name.log"
done
