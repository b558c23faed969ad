#!/usr/bin/env bash
# Prints the Python to build an environment with. Without an argument: python3.11 first (the oldest version supported, so
# nothing newer slips into the code), then any newer one. With an argument such as 3.12: that version or nothing; 3.14t is
# the free-threaded build of a version.
set -euo pipefail

wanted="${1:-}"
oldest="3.11"

# A name on PATH proves nothing: it may be a version manager's shim for a version that is not there, or a system Python
# without the parts of the standard library that build environments.
usable() {
    "$1" - "$wanted" "$oldest" >/dev/null 2>&1 <<'PY'
import sys, sysconfig, ensurepip, venv
wanted, oldest = sys.argv[1:]
free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
have = "%d.%d" % sys.version_info[:2] + "t" * free
ok = have == wanted if wanted else not free and sys.version_info[:2] >= tuple(map(int, oldest.split(".")))
sys.exit(0 if ok and sys.implementation.name == "cpython" else 1)
PY
}

candidates() {
    local version versions=("$oldest" 3.12 3.13 3.14)
    if [ -n "$wanted" ]; then versions=("$wanted"); fi
    for version in "${versions[@]}"; do
        type -ap "python$version" || true
        # pyenv keeps versions that its shims show only when they are activated.
        compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/${version%t}.*/bin/python$version" | sort -rV || true
    done
    type -ap python3 || true
    type -ap python || true
}

while read -r candidate; do
    if usable "$candidate"; then
        # The real program and not a shim, so that the environment does not change when the shim's target does.
        "$candidate" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done < <(candidates)

if [ -n "$wanted" ]; then
    echo "no CPython $wanted with the venv module was found" >&2
else
    echo "DynamORM needs CPython >= $oldest with the venv module (on Debian: apt-get install python3 python3-venv)." >&2
    echo "Found: $(python3 --version 2>&1 || echo 'no python3 at all')" >&2
fi
exit 1
