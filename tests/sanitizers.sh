#!/usr/bin/env bash
# The cell's codec, lock and reference counts under AddressSanitizer (`address`), and under an interpreter that checks itself and
# counts references (`debug`, which PYTHON_DEBUG names). The environment says the rest: PYTHON, CALLBOARD_CELL, CARGO_TARGET_DIR.
# The interpreter itself is a stock one under AddressSanitizer: what our code does to its objects is seen, and what its own
# code does inside of them is not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"

# AddressSanitizer itself gives up where memory runs out, and that is what test_failures.py is about.
# The debug interpreter runs it.
address=(codec codec_keys codec_hostile pipe calls async actions lock refusals capabilities syscalls references)
debug=("${address[@]}" failures)

under_address() {
    local host runtime
    runtime="$(realpath "$(cc -print-file-name=libasan.so)" 2>/dev/null)" && [ -f "$runtime" ] || {
        echo "the C compiler has no shared AddressSanitizer: apt-get install gcc" >&2
        exit 1
    }
    host="$(rustc -vV | sed -n 's/^host: //p')"
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR="$target/asan" \
        cargo build -p callboard-cell --locked --target "$host"
    export CALLBOARD_CELL="$target/asan/$host/debug/libcallboard_cell.so"
    # Objects of their own blocks, so that each is guarded; no signal handlers, since the cell has its own.
    export PYTHONMALLOC=malloc
    export ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:quarantine_size_mb=16:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0"
    # A freed block that is written to: whoever does not see this would see nothing else either.
    local wrong='import ctypes, ctypes.util as u; c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p
p = c.malloc(64); c.free(ctypes.c_void_p(p)); ctypes.memset(p, 1, 64)'
    if LD_PRELOAD="$runtime" "$PYTHON" -c "$wrong" 2>/dev/null; then
        echo "AddressSanitizer is not in force" >&2
        exit 1
    fi
    for suite in "${address[@]}"; do
        echo "AddressSanitizer: $suite"
        LD_PRELOAD="$runtime" "$PYTHON" "python/tests/test_$suite.py"
    done
}

under_debug() {
    local count='import sys; sys.exit(not hasattr(sys, "gettotalrefcount"))'
    if [ -z "${PYTHON_DEBUG:-}" ] || ! "$PYTHON_DEBUG" -c "$count"; then
        echo "PYTHON_DEBUG names no interpreter that counts references: apt-get install python3-dbg, and PYTHON_DEBUG=/usr/bin/python3-dbg" >&2
        exit 1
    fi
    # Packages without parts in C, from the environment of the other suites.
    PYTHONPATH="$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    export PYTHONPATH
    for suite in "${debug[@]}"; do
        echo "debug interpreter: $suite"
        "$PYTHON_DEBUG" -W ignore::DeprecationWarning "python/tests/test_$suite.py"
    done
}

case "${1:-}" in
address) under_address ;;
debug) under_debug ;;
*) echo "usage: sanitizers.sh address | debug" >&2 && exit 2 ;;
esac
