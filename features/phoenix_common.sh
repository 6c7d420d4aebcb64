# shellcheck shell=bash
# phoenix_common.sh - what feature scripts share. Source it, do not run it:
#
#   set -Eeuo pipefail
#   . "${BASH_SOURCE[0]%/*}/phoenix_common.sh"
#   phoenix_begin my_feature
#   phoenix_require_debian_family
#   phoenix_install curl jq
#
# Rules of the house:
#   * every line goes to stdout, plain; after a failure the last line starts with "FAILED" and says why;
#   * a step looks first and acts only where something is missing, so a second run changes nothing;
#   * somebody else's apt run is waited for. It is never ended, and lock files are never removed.
#
# PHOENIX_ROOT (default: empty) stands before every path below /etc that is read or written here. Leave it
# unset in a guest; it is there so that the scripts can be tried without one.

PHOENIX_ROOT="${PHOENIX_ROOT:-}"

# One run spends at most this long on waiting for apt's locks, and tries a failing mirror at most so often.
PHOENIX_LOCK_SECONDS="${PHOENIX_LOCK_SECONDS:-900}"
PHOENIX_LOCK_STEP=5
PHOENIX_APT_TRIES=4

phoenix_feature=''
phoenix_why=''
phoenix_tmp=''
phoenix_lists_fresh=no
phoenix_refresh_failures=0
phoenix_lock_waited=0

export DEBIAN_FRONTEND=noninteractive
# needrestart would restart services (the guest agent among them) behind the feature's back.
export NEEDRESTART_SUSPEND=1
# Messages of apt are compared below.
export LC_ALL=C

# phoenix_log TEXT...: one line of the log of the run.
phoenix_log() {
    printf '%s: %s\n' "${phoenix_feature:-phoenix}" "$*"
}

# phoenix_fail TEXT...: ends the feature; TEXT becomes part of the last line.
phoenix_fail() {
    phoenix_why="$*"
    exit 1
}

phoenix_on_error() {
    # The innermost failure is the telling one: later calls of the trap only see it pass by.
    if [[ -z ${phoenix_why} ]]; then
        phoenix_why="line $2 of ${3##*/}: '$4' ended with exit code $1"
    fi
}

phoenix_on_exit() {
    local code=$1
    if [[ -n ${phoenix_tmp} ]]; then
        rm -rf -- "${phoenix_tmp}"
    fi
    if ((code != 0)); then
        printf 'FAILED: %s: %s\n' "${phoenix_feature:-phoenix}" "${phoenix_why:-exit code ${code}}"
    fi
}

# phoenix_begin NAME: traps, scratch directory, and the checks every feature needs.
phoenix_begin() {
    phoenix_feature=$1
    trap 'phoenix_on_error "$?" "${LINENO}" "${BASH_SOURCE[0]}" "${BASH_COMMAND}"' ERR
    trap 'phoenix_on_exit "$?"' EXIT
    if [[ $(id -u) != 0 ]]; then
        phoenix_fail 'must run as root'
    fi
    phoenix_tmp=$(mktemp -d)
}

# phoenix_require_debian_family: goes on in Debian, Ubuntu and what calls itself like one of them.
phoenix_require_debian_family() {
    local release="${PHOENIX_ROOT}/etc/os-release" id like name
    if [[ ! -r ${release} ]]; then
        phoenix_fail 'not supported: without /etc/os-release the distribution is unknown (Debian or Ubuntu is needed)'
    fi
    # A subshell, since the file is a list of shell assignments.
    # shellcheck source=/dev/null
    id=$(. "${release}" && printf '%s' "${ID:-}")
    # shellcheck source=/dev/null
    like=$(. "${release}" && printf '%s' "${ID_LIKE:-}")
    # shellcheck source=/dev/null
    name=$(. "${release}" && printf '%s' "${PRETTY_NAME:-${ID:-unknown}}")
    case " ${id} ${like} " in
        *' debian '* | *' ubuntu '*) phoenix_log "guest runs ${name}" ;;
        *) phoenix_fail "not supported: this guest runs ${name}; the feature knows Debian and Ubuntu" ;;
    esac
    command -v apt-get >/dev/null || phoenix_fail "not supported: ${name} without apt-get"
    command -v systemctl >/dev/null || phoenix_fail "not supported: ${name} without systemd"
}

# phoenix_installed PACKAGE: whether dpkg has it, completely.
phoenix_installed() {
    local status
    status=$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) || return 1
    [[ ${status} == installed ]]
}

# phoenix_candidate PACKAGE: prints the version apt would install; fails if it knows none.
phoenix_candidate() {
    local version
    version=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p')
    [[ -n ${version} && ${version} != '(none)' ]] || return 1
    printf '%s\n' "${version}"
}

# Leaves out lines that say the same as the one before: while apt waits, it says so every second.
phoenix_squeeze() {
    local line last=''
    while IFS= read -r line || [[ -n ${line} ]]; do
        if [[ ${line} != "${last}" ]]; then
            printf '%s\n' "${line}"
        fi
        last=${line}
    done
}

# phoenix_apt ARGUMENT...: apt-get that waits for whoever holds its locks, within the budget of this run.
# DPkg::Lock::Timeout covers dpkg's own lock; for the package lists and the download cache apt gives up at
# once, so that is waited for here.
phoenix_apt() {
    local output="${phoenix_tmp}/apt" code started repaired=no
    while true; do
        code=0
        started=${SECONDS}
        apt-get -y -q \
            -o "DPkg::Lock::Timeout=$((PHOENIX_LOCK_SECONDS - phoenix_lock_waited))" \
            -o Acquire::Retries=3 \
            -o Dpkg::Use-Pty=0 \
            -o Dpkg::Options::=--force-confdef \
            -o Dpkg::Options::=--force-confold \
            "$@" </dev/null 2>&1 | tee "${output}" | phoenix_squeeze || code=$?
        if ((code == 0)); then
            return 0
        fi
        if grep -q -e '^E: Could not get lock' -e '^E: Unable to lock' -e '^E: Unable to acquire' "${output}"; then
            phoenix_lock_waited=$((phoenix_lock_waited + SECONDS - started + PHOENIX_LOCK_STEP))
            if ((phoenix_lock_waited >= PHOENIX_LOCK_SECONDS)); then
                phoenix_fail "apt's lock is still held after ${PHOENIX_LOCK_SECONDS} seconds: $(phoenix_last_error)"
            fi
            phoenix_log "apt's lock is held by another package manager, waiting for it (up to ${PHOENIX_LOCK_SECONDS} seconds)"
            sleep "${PHOENIX_LOCK_STEP}"
        elif [[ ${repaired} == no ]] && grep -q '^E: dpkg was interrupted' "${output}"; then
            phoenix_log 'an earlier installation was cut off, finishing it first'
            repaired=yes
            dpkg --force-confdef --force-confold --configure -a </dev/null 2>&1 || true
        else
            return "${code}"
        fi
    done
}

# The complaint of the apt-get that ran last.
phoenix_last_error() {
    { grep '^E: ' "${phoenix_tmp}/apt" || tail -n 1 "${phoenix_tmp}/apt"; } | head -n 1
}

# phoenix_refresh_lists: fetches the package lists, if this run has not yet. A mirror that goes on failing is told, not
# fatal: what is installed next decides whether the lists at hand are good enough.
phoenix_refresh_lists() {
    while [[ ${phoenix_lists_fresh} == no ]]; do
        if ((phoenix_refresh_failures >= PHOENIX_APT_TRIES)); then
            phoenix_log 'package lists could not be refreshed, going on with those at hand'
            return 0
        fi
        if phoenix_apt -o APT::Update::Error-Mode=any update; then
            phoenix_lists_fresh=yes
        else
            phoenix_refresh_failures=$((phoenix_refresh_failures + 1))
            phoenix_log "package lists: failure ${phoenix_refresh_failures} of ${PHOENIX_APT_TRIES}: $(phoenix_last_error)"
            sleep $((phoenix_refresh_failures * 5))
        fi
    done
}

# phoenix_install PACKAGE...: installs those that are missing. Nothing missing: apt is not called at all.
phoenix_install() {
    local package try missing=()
    for package in "$@"; do
        phoenix_installed "${package}" || missing+=("${package}")
    done
    if ((${#missing[@]} == 0)); then
        phoenix_log "packages: nothing to do, installed already: $*"
        return 0
    fi
    phoenix_log "packages: installing ${missing[*]}"
    for ((try = 1; try <= PHOENIX_APT_TRIES; try++)); do
        phoenix_refresh_lists
        if phoenix_apt install --no-install-recommends "${missing[@]}"; then
            phoenix_log "packages: installed ${missing[*]}"
            return 0
        fi
        phoenix_log "packages: failure ${try} of ${PHOENIX_APT_TRIES}: $(phoenix_last_error)"
        if ((try < PHOENIX_APT_TRIES)); then
            # Lists that have aged name files that are gone from the mirror.
            phoenix_lists_fresh=no
            sleep $((try * 5))
        fi
    done
    phoenix_fail "apt-get could not install ${missing[*]}: $(phoenix_last_error)"
}

# phoenix_write PATH: puts stdin into PATH (below PHOENIX_ROOT) if its content differs. Whether it did is told by
# the variable phoenix_written (yes or no). The file is replaced whole, so a crash leaves the old or the new one.
phoenix_write() {
    local path=$1 target="${PHOENIX_ROOT}$1" fresh
    phoenix_written=no
    cat >"${phoenix_tmp}/content"
    if cmp -s -- "${phoenix_tmp}/content" "${target}"; then
        return 0
    fi
    mkdir -p -- "${target%/*}"
    fresh=$(mktemp -- "${target%/*}/.phoenix.XXXXXX")
    cat -- "${phoenix_tmp}/content" >"${fresh}"
    chmod 0644 -- "${fresh}"
    mv -f -- "${fresh}" "${target}"
    # Read by the scripts that source this file.
    # shellcheck disable=SC2034
    phoenix_written=yes
    phoenix_log "${path}: written"
}

# phoenix_context_string KEY: prints the first string value of KEY in vm_context.json, wherever it stands; for plain
# values such as names (no escapes), without jq. Prints nothing if there is none.
phoenix_context_string() {
    local context="${PHOENIX_CONTEXT:-}" space='[[:space:]]*'
    [[ -r ${context} ]] || return 0
    { grep -o "\"$1\"${space}:${space}\"[^\"\\\\]*\"" -- "${context}" || true; } | sed -n '1s/^.*"\([^"]*\)"$/\1/p'
}
