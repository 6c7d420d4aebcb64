#!/usr/bin/env bash
# base_setup - what every guest should have, on Debian and Ubuntu:
#   1. packages: ca-certificates, curl, gnupg, jq, nfs-common, qemu-guest-agent;
#   2. the hostname is the VM's name;
#   3. a timezone (Etc/UTC, unless one is set) and a clock that follows the network, where the system can.
# It mounts nothing: that is done before the features run. Safe to run at any time, any number of times.

set -Eeuo pipefail

# shellcheck source-path=SCRIPTDIR source=phoenix_common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/phoenix_common.sh"

set_hostname() {
    local wanted="${PHOENIX_VM_NAME:-}" current
    # The name may be a full domain name; a hostname is its first label, as cloud-init has it.
    wanted=${wanted%%.*}
    if [[ -z ${wanted} ]]; then
        phoenix_log 'hostname: PHOENIX_VM_NAME is not set, left as it is'
        return 0
    fi
    current=$(hostnamectl --static)
    if [[ ${current%%.*} == "${wanted}" ]]; then
        phoenix_log "hostname: ${current}"
        return 0
    fi
    hostnamectl set-hostname -- "${wanted}"
    phoenix_log "hostname: ${current:-(none)} -> ${wanted}"
}

set_clock() {
    local zone
    zone=$(timedatectl show --property=Timezone --value)
    if [[ -z ${zone} || ${zone} == n/a ]]; then
        timedatectl set-timezone Etc/UTC
        zone='Etc/UTC (none was set)'
    fi
    phoenix_log "timezone: ${zone}"
    if [[ $(timedatectl show --property=NTP --value) == yes ]]; then
        phoenix_log 'clock: follows the network'
    elif [[ $(timedatectl show --property=CanNTP --value) == yes ]]; then
        timedatectl set-ntp true
        phoenix_log 'clock: now follows the network'
    else
        phoenix_log 'clock: no time service is installed, left as it is'
    fi
}

phoenix_begin base_setup
phoenix_log "VM ${1:-${PHOENIX_VM_ID:-?}} (${PHOENIX_VM_NAME:-unnamed})"
phoenix_require_debian_family
phoenix_install ca-certificates curl gnupg jq nfs-common qemu-guest-agent
set_hostname
set_clock
phoenix_log 'done'
