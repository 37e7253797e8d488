#!/usr/bin/env bash
# benchmarks/gpu.py in one command, on a machine that nothing can be fetched from.
#
# benchmarks/gpu.sh OUT [BUDGET_S [WHEELS]] [-- OPTIONS OF gpu.py]
#
# Installs the wheels of a folder (.whl beside benchmarks, if not given), where there are any, into a temporary folder,
# and runs gpu.py on this source tree. All of it takes at most BUDGET_S seconds (210, if not given).
set -euo pipefail
began=$(date +%s)
root=$(cd "$(dirname "$0")/.." && pwd)
given=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do given+=("$1"); shift; done
[ $# -eq 0 ] || shift
out=${given[0]:?usage: benchmarks/gpu.sh OUT [BUDGET_S [WHEELS]] [-- OPTIONS]}
budget=${given[1]:-210}
wheels=${given[2]:-$root/.whl}
python=${PYTHON:-python3}
mkdir -p "$out"
export PYTHONPATH="$root"
if compgen -G "$wheels/*.whl" > /dev/null; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    if "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$wheels"/*.whl; then
        export PYTHONPATH="$root:$site"
    else
        echo "The wheels in $wheels could not be installed; going on without them."
    fi
fi
left=$((budget - $(date +%s) + began))
# gpu.py ends by itself, a little earlier; what hangs is ended from here, and what was measured is in OUT.
PYTHONUNBUFFERED=1 timeout --kill-after=3 "$((left - 3))" \
    "$python" "$root/benchmarks/gpu.py" --out "$out" --until "$((began + budget - 8))" "$@" 2>&1 | tee "$out/gpu.log"
