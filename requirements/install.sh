#!/bin/sh
# Builds a virtual environment from a lock file, by hash, and links the source tree into it.
# Usage: install.sh PYTHON VENV LOCK
set -eu

python=$1
venv=$2
lock=$3

if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Ratchet needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12 ..." >&2
    exit 1
fi
if ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "building $venv with $("$python" --version)" >&2
    if ! "$python" -m venv "$venv"; then
        echo "venv failed; on Debian: apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "installing from $lock" >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"

# A path file and a launcher do what an editable install does, without a build backend from outside the lock.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
pwd > "$site/ratchet-source.pth"
launch() { # NAME MODULE FUNCTION
    cat > "$venv/bin/$1" <<END
#!/bin/sh
exec "$(cd "$venv" && pwd)/bin/python" -c 'import sys; sys.argv[0] = "$1"; from $2 import $3; sys.exit($3())' "\$@"
END
    chmod +x "$venv/bin/$1"
}
launch ratchet ratchet.cli main
launch kubectl-ratchet ratchet.kubectl main
launch kubectl_complete-ratchet ratchet.kubectl complete
