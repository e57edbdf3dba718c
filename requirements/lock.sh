#!/bin/sh
# Renews both lock files: exact versions with hashes, for every Python from 3.11 on and for Linux and macOS.
# Usage: lock.sh PYTHON        the resolver (uv) lives in a temporary environment and is no dependency of ours
set -eu

python=$1
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

"$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv
index=${PIP_INDEX_URL:-$("$tools/bin/python" -m pip config get global.index-url 2>/dev/null || true)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"

compile() {
    "$tools/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate "$@" pyproject.toml
}
compile --output-file requirements/runtime.lock
compile --extra dev --constraints requirements/runtime.lock --output-file requirements/dev.lock
