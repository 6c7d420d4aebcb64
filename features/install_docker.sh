#!/usr/bin/env bash
# install_docker - Docker Engine with Compose, on Debian and Ubuntu:
#   1. which Docker: the one that is there; else `docker-ce` if this guest's apt already knows it (Docker's own
#      repository was added in the template); else the distribution's `docker.io`. No repository is added and no key
#      is fetched: what apt trusts is the administrator's decision. A Docker that did not come from a package and
#      answers is left as it is;
#   2. Compose and Buildx come along where they are to be had (Compose from version 2 on); it is said where not;
#   3. a new installation keeps container logs small (/etc/docker/daemon.json, only if there is none);
#   4. at boot Docker starts after the NFS mounts of /etc/fstab, so that containers find their data;
#   5. the login user may use Docker (group `docker`), the service starts at boot, and `docker info` answers.
# Images and containers stay in /var/lib/docker, on the guest's own disk. A running Docker is never restarted.

set -Eeuo pipefail

# shellcheck source-path=SCRIPTDIR source=phoenix_common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/phoenix_common.sh"

docker_answers() {
    timeout 30 docker info >/dev/null 2>&1
}

# Whether a package is there or could be.
available() {
    phoenix_installed "$1" || phoenix_candidate "$1" >/dev/null
}

# Prints the package that brings Compose 2, if there is one.
compose_package() {
    local version
    if available docker-compose-v2; then
        printf 'docker-compose-v2\n'
    elif version=$(phoenix_candidate docker-compose); then
        # In older releases the package of this name is version 1, which nobody maintains any more.
        version=${version#*:}
        version=${version%%[!0-9]*}
        if ((${version:-0} >= 2)); then
            printf 'docker-compose\n'
        fi
    fi
}

# install_packages ENGINE: the engine and what belongs to it; only what is missing.
install_packages() {
    local engine=$1 package compose packages=("$1") wanted=()
    if [[ ${engine} == docker-ce ]]; then
        wanted=(docker-buildx-plugin)
        compose=docker-compose-plugin
    else
        # Where the kernel has AppArmor on, Docker needs its parser to start a container. Newer releases have the
        # docker command in a package of its own.
        wanted=(apparmor docker-cli docker-buildx)
        compose=$(compose_package)
    fi
    for package in "${wanted[@]}"; do
        if available "${package}"; then
            packages+=("${package}")
        fi
    done
    if docker compose version >/dev/null 2>&1; then
        phoenix_log 'Compose: installed already'
    elif [[ -n ${compose} ]] && available "${compose}"; then
        packages+=("${compose}")
    else
        phoenix_log 'notice: apt here knows no package of Docker Compose 2; going on without it'
    fi
    phoenix_install "${packages[@]}"
}

limit_logs() {
    if [[ -e ${PHOENIX_ROOT}/etc/docker/daemon.json ]]; then
        phoenix_log '/etc/docker/daemon.json: there already, left as it is'
        return 0
    fi
    phoenix_write /etc/docker/daemon.json <<'END'
{
  "log-driver": "json-file",
  "log-opts": { "max-file": "3", "max-size": "10m" }
}
END
}

ensure_docker() {
    if docker_answers; then
        phoenix_log "already installed: Docker $(docker version --format '{{.Server.Version}}')"
    fi
    if phoenix_installed docker-ce; then
        install_packages docker-ce
    elif phoenix_installed docker.io; then
        install_packages docker.io
    elif docker_answers; then
        phoenix_log 'this Docker did not come from a package, left as it is'
    else
        phoenix_refresh_lists
        # Before the packages, so that the first start of the service reads it.
        limit_logs
        if phoenix_candidate docker-ce >/dev/null; then
            phoenix_log "taking docker-ce: apt here knows Docker's own repository"
            install_packages docker-ce
        else
            phoenix_log "taking docker.io, the distribution's own: apt here knows no docker-ce"
            install_packages docker.io
        fi
    fi
}

order_after_mounts() {
    local mounts mount units=()
    # Mounts with `nofail` are not waited for at boot by anybody who does not ask. This asks for order alone: with
    # the NFS server away Docker still starts. It takes effect at the next boot.
    mounts=$(findmnt --fstab --types nfs,nfs4 --noheadings --raw --output TARGET 2>/dev/null) || true
    if [[ -z ${mounts} ]]; then
        return 0
    fi
    while IFS= read -r mount; do
        units+=("$(systemd-escape --path --suffix=mount -- "$(printf '%b' "${mount}")")")
    done <<<"${mounts}"
    phoenix_write /etc/systemd/system/docker.service.d/phoenix-mounts.conf <<END
[Unit]
After=${units[*]}
END
    if [[ ${phoenix_written} == yes ]]; then
        systemctl daemon-reload
    fi
}

ensure_service() {
    if ! systemctl cat docker.service >/dev/null 2>&1; then
        phoenix_log 'notice: there is no docker.service here, so its start at boot is not looked after'
        return 0
    fi
    if [[ $(systemctl is-enabled docker.service 2>/dev/null) == enabled ]]; then
        phoenix_log 'service: enabled already'
    else
        systemctl enable docker.service
        phoenix_log 'service: enabled'
    fi
    if systemctl is-active --quiet docker.service; then
        phoenix_log 'service: running already'
    else
        # If it does not start, the check at the end tells why.
        systemctl start docker.service || true
        phoenix_log 'service: was not running, start asked for'
    fi
}

# The user cloud-init was told to make, else the first ordinary user, else the first who may use sudo.
login_user() {
    local user
    user=$(phoenix_context_string username)
    if [[ -z ${user} ]] || ! getent passwd "${user}" >/dev/null; then
        user=$(getent passwd 1000 | cut -d : -f 1) || true
    fi
    if [[ -z ${user} ]]; then
        user=$(getent group sudo | cut -d : -f 4 | cut -d , -f 1) || true
    fi
    printf '%s\n' "${user}"
}

ensure_group() {
    local user
    user=$(login_user)
    if [[ -z ${user} ]]; then
        phoenix_log 'notice: this guest has no login user to add to the group docker'
    elif [[ " $(id -nG -- "${user}") " == *' docker '* ]]; then
        phoenix_log "group docker: ${user} is in it already"
    else
        getent group docker >/dev/null || groupadd --system docker
        usermod --append --groups docker -- "${user}"
        phoenix_log "group docker: ${user} added (from the next login on)"
    fi
}

wait_for_docker() {
    local try tries=30
    for ((try = 1; try <= tries; try++)); do
        if docker_answers; then
            return 0
        fi
        sleep 2
    done
    phoenix_log 'docker info does not answer; the last lines of the service:'
    journalctl --unit=docker.service --lines=15 --no-pager 2>&1 || true
    phoenix_fail "Docker is installed, but 'docker info' does not answer after ${tries} tries"
}

phoenix_begin install_docker
phoenix_log "VM ${1:-${PHOENIX_VM_ID:-?}} (${PHOENIX_VM_NAME:-unnamed})"
phoenix_require_debian_family
ensure_docker
order_after_mounts
ensure_service
ensure_group
wait_for_docker
phoenix_log "done: Docker $(docker version --format '{{.Server.Version}}')"
