# shellcheck shell=bash
# Shared by the scripts beside it: where the project is, and a virtual environment that matches its lock file.
#
#   . "$(dirname -- "${BASH_SOURCE[0]}")/lib/venv.sh"
#   venv_ready dev        # or: runtime
#
# Sets PROJECT (the project's folder) and VENV (its .venv, or $STANDBY_VENV). venv_ready does nothing
# when the environment already matches; otherwise it installs exactly what the lock file names, hashes
# checked. Two scripts started at once wait for each other.

PROJECT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"
VENV="${STANDBY_VENV:-$PROJECT/.venv}"
readonly PROJECT VENV

say() { printf '%s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
    exit 1
}

# Succeeds when $1 is a Python that this project runs on.
python_fits() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Prints the first Python 3.11 or newer: $STANDBY_PYTHON, python3, or a versioned name.
find_python() {
    local candidate
    if [[ -n "${STANDBY_PYTHON:-}" ]]; then
        python_fits "$STANDBY_PYTHON" ||
            die "STANDBY_PYTHON=$STANDBY_PYTHON is not a working Python 3.11 or newer"
        printf '%s\n' "$STANDBY_PYTHON"
        return
    fi
    for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
        if python_fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.11 or newer was found (python3 is $(python3 --version 2>&1 || true)).
  Debian, Ubuntu: sudo apt-get install python3 python3-venv
  Fedora:         sudo dnf install python3
  elsewhere:      install one from your packages or pyenv, then name it: STANDBY_PYTHON=/path/to/python3.11"
}

# Prints what the environment was made from: any change in it means that it must be brought up to date.
venv_fingerprint() {
    sha256sum -- "$PROJECT/$1" "$PROJECT/pyproject.toml" | cut -d ' ' -f 1
    printf '%s\n' "$PROJECT"
}

venv_matches() {
    local kind="$1" lock="$2"
    [[ -f "$VENV/.standby-$kind" ]] &&
        [[ "$(<"$VENV/.standby-$kind")" == "$(venv_fingerprint "$lock")" ]] &&
        python_fits "$VENV/bin/python"
}

venv_install() {
    local lock="$1" python
    if ! python_fits "$VENV/bin/python"; then
        python="$(find_python)"
        say "making $VENV with $("$python" --version)"
        "$python" -m venv --clear "$VENV" ||
            die "$python could not make a virtual environment in $VENV.
  On Debian and Ubuntu its module comes apart: sudo apt-get install python3-venv"
    fi
    say "installing from $lock"
    local -a pip=("$VENV/bin/python" -m pip --disable-pip-version-check -qq install)
    "${pip[@]}" --require-hashes -r "$PROJECT/$lock" ||
        die "installing from $lock failed (pip's own words are above).
  Without a network, or behind a proxy, pip needs to be told of one (PIP_PROXY, PIP_INDEX_URL) or of a
  folder with the wheels (PIP_NO_INDEX=1 PIP_FIND_LINKS=/path/to/wheels). What is installed already stays as it was."
    "${pip[@]}" --no-deps --no-build-isolation -e "$PROJECT" ||
        die "installing Standby itself into $VENV failed (pip's own words are above)"
}

# venv_ready dev | runtime: afterwards $VENV holds what the kind's lock file names, and the standby command.
venv_ready() {
    local kind="$1" lock
    case "$kind" in
        dev) lock=requirements-dev.lock ;;
        runtime) lock=requirements.lock ;;
        *) die "venv_ready: '$kind' is neither dev nor runtime" ;;
    esac
    # What the development lock installs includes everything that the runtime lock does.
    if venv_matches dev requirements-dev.lock || venv_matches "$kind" "$lock"; then
        return
    fi
    command -v flock >/dev/null || die "flock is missing: it comes with the package util-linux"
    # The project's folder itself is the lock, so that no file is left behind. The brackets keep the
    # open descriptor from whatever a script starts later.
    (
        flock --wait 900 9 || die "another script has been installing into $VENV for 15 minutes: is it stuck?"
        if ! venv_matches "$kind" "$lock"; then
            rm -f -- "$VENV"/.standby-*
            venv_install "$lock"
            venv_fingerprint "$lock" >"$VENV/.standby-$kind"
        fi
    ) 9<"$PROJECT"
}
