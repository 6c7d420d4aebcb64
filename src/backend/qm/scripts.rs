//! The scripts that look at one thing of a node.

/// `phoenix-vm PVE ROOT VMID`: a mark with the names of the node that the VM is on and of its pool; if the HA manager
/// looks after it, `ha: KEY VALUE;…|STATUS` with how it is to look after the VM and the manager's status; the power
/// state, and the configuration.
///
/// A VM of the node itself runs if the process in its pid file is its QEMU (recorded: `-pidfile
/// /var/run/qemu-server/VMID.pid`). `qm status` would say the same and take a second; it is asked only where there is
/// no directory for pid files. Of a VM of another node, that one is asked, unless it is not online: then nothing of it
/// runs, as far as can be told. A VM that is moved meanwhile is looked for again.
pub(super) const VM: &str = r#"set -u
own="$1/qemu-server/$3.conf" pids="$2/var/run/qemu-server"
[ -d "$1/qemu-server/" ] || { echo "$1/qemu-server cannot be read" >&2; exit 3; }
read -r node <"$2/proc/sys/kernel/hostname" || exit 1
node=${node%%.*}
pool=$(awk -F: -v vm="$3" '$1 == "pool" && index("," $4 ",", "," vm ",") { print $2; exit }' "$1/user.cfg" 2>/dev/null)
ha=''
if [ -f "$1/ha/resources.cfg" ]; then
  ha=$(awk -v vm="$3" '
    /^[^ \t#]/ { own = sub(/^vm:[ \t]*/, "") && $1 == vm; if (own) said = "state started"; next }
    own && $1 ~ /^(state|max_restart|max_relocate)$/ { said = said ";" $1 " " $2 }
    END { print said }' "$1/ha/resources.cfg") || { [ ! -e "$1/ha/resources.cfg" ] || exit 1; }
fi
if [ -n "$ha" ]; then
  ha="ha: $ha|$(cat -- "$1/ha/manager_status" 2>/dev/null | tr -d '\n')
"
fi
for _ in 1 2 3; do
  moved=''
  if [ -f "$own" ]; then
    if [ -d "$pids" ]; then
      state='status: stopped'
      if read -r pid <"$pids/$3.pid" && [ -n "$pid" ] &&
        tr '\0' '\n' <"$2/proc/$pid/cmdline" | grep -qxF "/var/run/qemu-server/$3.pid"; then
        state='status: running'
      fi 2>/dev/null
    else
      state=$(qm status "$3" 2>/dev/null) || state='status: unknown'
    fi
    # It may have moved since.
    text=$(cat -- "$own" 2>/dev/null && echo end) || { moved=1; continue; }
    printf 'found %s %s\n%s%s\n%s' "$node" "$pool" "$ha" "$state" "${text%end}"
    exit
  fi
  there=''
  for conf in "$1"/nodes/*/qemu-server/"$3.conf"; do
    if [ -f "$conf" ]; then there=$conf; fi
  done
  on=${there%/qemu-server/*}
  on=${on##*/}
  [ -n "$on" ] && [ "$on" != "$node" ] || continue
  moved=1
  state='elsewhere: stopped'
  if cat -- "$1/.members" 2>/dev/null | grep -q "\"$on\": *{[^}]*\"online\": *1"; then
    current=$(pvesh get "/nodes/$on/qemu/$3/status/current" --output-format json)
    status=$?
    if [ "$status" -ne 0 ]; then
      [ ! -f "$there" ] || exit "$status"
      continue
    fi
    state="current: $current"
  fi
  text=$(cat -- "$there" 2>/dev/null && echo end) || continue
  printf 'found %s %s\n%s%s\n%s' "$on" "$pool" "$ha" "$state" "${text%end}"
  exit
done
[ -z "$moved" ] || { echo "VM $3 is being moved" >&2; exit 1; }
exit 0
"#;

/// `phoenix-volumes VMID`: the volumes of a VMID on every storage that takes VM disks. Backups bear VMIDs, too, and are
/// in no one's way.
pub(super) const VOLUMES: &str = r#"set -u
storages=$(pvesm status --content images) || exit 1
printf '%s\n' "$storages" | while read -r storage type status rest; do
  [ "$status" = active ] || continue
  pvesm list "$storage" --content images --vmid "$1" || exit 1
done
"#;

/// `phoenix-isos STORAGE…`: the ISO images on these storages.
pub(super) const ISOS: &str = r#"set -u
for storage do
  pvesm list "$storage" --content iso || exit 1
done
"#;

/// `phoenix-volumes-of VMID STORAGE…`: the volumes on these storages: a call for each, however many VMs are asked
/// about; of all VMs if there is no VMID.
pub(super) const VOLUMES_OF: &str = r#"set -u
vm=$1
shift
for storage do
  pvesm list "$storage" --content images ${vm:+--vmid "$vm"} || exit 1
done
"#;
