//! The scripts that read a node.

/// Shell function `place PATH`: where it lies when all links are followed, whether or not it exists, ended by a NUL.
macro_rules! place {
    () => {
        r#"place() {
  realpath -mz -- "$1" 2>/dev/null || printf '\0'
}
"#
    };
}

/// Shell function `tasks ROOT NODE`: the running tasks as the node itself notes them, which is what its API reads: a
/// line with the UPID, and of a clone the first line of its log, which alone names what it makes. Where nothing is
/// noted, the API is asked.
macro_rules! tasks {
    () => {
        r#"tasks() {
  noted=$(cat -- "$1/var/log/pve/tasks/active" 2>/dev/null) || {
    pvesh get "/nodes/$2/tasks" --source active --output-format json
    return
  }
  printf '%s\n' "$noted" | while read -r upid _ ended; do
    # What ended says when.
    case $upid in UPID:*) [ -z "$ended" ] || continue ;; *) continue ;; esac
    line=''
    case $upid in *:qmclone:*)
      start=${upid#UPID:*:*:*:}
      start=${start%%:*}
      line=$(cat -- "$1/var/log/pve/tasks/${start#"${start%?}"}/$upid" 2>/dev/null | head -n 1) ;;
    esac
    printf '%s %s\n' "$upid" "$line"
  done
}
"#
    };
}

/// `phoenix-tasks ROOT`: the name of the node, its running tasks, and the programs that copy disks.
pub(in crate::backend::qm) const TASKS: &str = concat!(
    "set -u\n",
    tasks!(),
    r#"read -r node <"$1/proc/sys/kernel/hostname" || exit 1
echo "${node%%.*}"
tasks "$1" "${node%%.*}" || exit 1
echo
echo processes
ps -eo args= | grep -e '[q]emu-img convert' -e '[i]mport-from=' || true
"#
);

/// `phoenix-places ROOT`: prints where each directory on standard input lies, one a line there, and then the mounts.
pub(in crate::backend::qm) const PLACES: &str = concat!(
    "set -u\n",
    place!(),
    r#"while IFS= read -r path; do
  place "$path"
done
cat "$1/proc/self/mountinfo" 2>/dev/null
exit 0
"#
);

/// `phoenix-observe PVE ROOT NODE…`: prints a tar archive with the answers. Standard input are directories, one a line,
/// whose entries are counted and whose places are printed. The nodes are those of which the bridges are asked; `any`:
/// all.
///
/// One call of the API, one of `ip`, `ps` and `tar` each, however many VMs there are; three more where a node lacks the
/// files that tell what its API reads from them: pid files, the list of running tasks, the list of all VMs. In a
/// cluster of several nodes two more, and one for each node whose bridges are asked.
pub(in crate::backend::qm) const SCRIPT: &str = concat!(
    "set -u\n",
    place!(),
    tasks!(),
    r#"pve=$1 root=$2
shift 2
wanted=$*
read -r node <"$root/proc/sys/kernel/hostname" || exit 1
node=${node%%.*}
t=$(mktemp -d) || exit 1
trap 'rm -rf "$t"' EXIT
echo "$node" >"$t/hostname"
ask() {
  ${4-} pvesh get "$2" $3 --output-format json >"$t/$1.json" 2>"$t/$1.err" || echo "$?" >"$t/$1.failed"
}
ask storage "/nodes/$node/storage" "" &
{ tasks "$root" "$node" >"$t/tasks.json" 2>"$t/tasks.err" || echo "$?" >"$t/tasks.failed"; } &
if cat -- "$pve/.vmlist" >"$t/vmlist" 2>/dev/null; then
  ( cd -- "$pve/nodes" && grep -sHE -e '^(name|hostname|template): |^\[' -- */qemu-server/*.conf */lxc/*.conf ) >"$t/named" 2>/dev/null
else
  rm -f -- "$t/vmlist"
  ask resources /cluster/resources "--type vm" &
fi
cat "$pve/.members" >"$t/members" 2>/dev/null
cluster=''
if [ "$(grep -o '"online":' "$t/members" | wc -l)" -gt 1 ]; then
  cluster=1
  ask cluster /cluster/resources "" &
  ask cluster-tasks /cluster/tasks "" &
  for other in "$pve"/nodes/*/; do
    other=${other%/}
    other=${other##*/}
    case " $wanted " in *" any "* | *" $other "*) ;; *) continue ;; esac
    [ "$other" != "$node" ] && grep -q "\"$other\": *{[^}]*\"online\": *1" "$t/members" || continue
    # One that takes the call and never answers keeps the others waiting no longer than this.
    ask "network-$other" "/nodes/$other/network" "--type any_bridge" "timeout -k 2 20" &
  done
fi
pids=$root/var/run/qemu-server
if [ -d "$pids" ]; then
  set -- /dev/null
  for file in "$pids"/*.pid; do
    { read -r pid <"$file"; } 2>/dev/null || continue
    case $pid in '' | *[!0-9]*) continue ;; esac
    set -- "$@" "$root/proc/$pid/cmdline"
    vm=${file##*/}
    echo "$pid:${vm%.pid}"
  done >"$t/pids"
  grep -azsxHE '/var/run/qemu-server/[0-9]+\.pid' "$@" | tr '\0' '\n' >"$t/qemus"
else
  ask qemu "/nodes/$node/qemu" "" &
fi
cat "$root/proc/meminfo" >"$t/meminfo"
grep -c '^processor' "$root/proc/cpuinfo" >"$t/cpus"
ps -eo args= 2>/dev/null | grep -e '[q]emu-img convert' -e '[i]mport-from=' >"$t/copying"
for bridge in "$root"/sys/class/net/*/bridge; do
  [ -d "$bridge" ] || continue
  bridge=${bridge%/bridge}
  echo "${bridge##*/}"
done >"$t/bridges"
ip -o -4 addr show >"$t/addresses" 2>/dev/null
cat "$pve/pve-root-ca.pem" >"$t/root-ca" 2>/dev/null
cat "$pve/storage.cfg" >"$t/storage.cfg" 2>/dev/null
# phoenix's own snippets, on storages that are directories of the node: what a server has may not answer.
awk '
  function tell() { if (kind ~ /^(dir|btrfs):$/ && holds && path ~ /^\//) print id, path "/" dir }
  /^[a-z]+:/ { tell(); kind = $1; id = $2; holds = 0; path = ""; dir = "snippets"; next }
  $1 == "path" { path = $0; sub(/^[ \t]*path[ \t]+/, "", path); sub(/[ \t\/]+$/, "", path) }
  $1 == "content" { holds = ("," $2 ",") ~ /,snippets,/ }
  $1 == "content-dirs" {
    n = split($2, pairs, ",")
    for (i = 1; i <= n; i++) if (sub(/^snippets=/, "", pairs[i])) { dir = pairs[i]; gsub(/^\/+|\/+$/, "", dir) }
  }
  END { tell() }
' "$t/storage.cfg" | while read -r id dir; do
  for file in "$root$dir"/phoenix-*.yaml "$root$dir"/.phoenix-*.yaml.new; do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    name=${file##*/}
    mkdir -p "$t/snippets/$id" || continue
    # Of one that was written in part and has no other of its name, that it is there.
    case $name in .*)
      name=${name#.}
      name=${name%.new}
      [ -e "$root$dir/$name" ] || [ -L "$root$dir/$name" ] || : >"$t/snippets/$id/$name"
      continue ;;
    esac
    # Secrets stand in those with a second dot: no word of them leaves the node.
    case $name in
      *.*.yaml) sha256sum <"$file" >"$t/snippets/$id/$name" ;;
      *) head -c 65537 -- "$file" >"$t/snippets/$id/$name" ;;
    esac
  done
done
grep -s '^pool:' "$pve/user.cfg" >"$t/pools"
for kind in pci usb directory; do
  [ ! -f "$pve/mapping/$kind.cfg" ] || cat "$pve/mapping/$kind.cfg" >"$t/mapping-$kind" || exit 1
done
[ ! -e "$pve/ha/resources.cfg" ] || cat "$pve/ha/resources.cfg" >"$t/ha" || [ ! -e "$pve/ha/resources.cfg" ] || exit 1
cat "$pve/ha/manager_status" >"$t/ha-status" 2>/dev/null
cat "$root/etc/exports" >"$t/exports" 2>/dev/null
for file in "$root"/etc/exports.d/*.exports; do
  [ -f "$file" ] && cat "$file" >"$t/${file##*/}"
done
while IFS= read -r path; do
  place "$path" >&3
  [ -d "$path" ] || continue
  count=$(ls -A -- "$path" 2>/dev/null | wc -l)
  [ "$count" -eq 0 ] || printf '%s %s\n' "$count" "$path"
done >"$t/directories" 3>"$t/places"
cat "$root/proc/self/mountinfo" >>"$t/places" 2>/dev/null
allow=$root/etc/phoenix
if [ -e "$allow/allow.json" ] || [ -L "$allow/allow.json" ]; then
  { id -u; stat -c '%u %f' -- "$allow" "$allow/allow.json"; } >"$t/allow.guarded"
  [ ! -f "$allow/allow.json" ] || [ -L "$allow/allow.json" ] || head -c 1048577 -- "$allow/allow.json" >"$t/allow.json"
fi
command -v exportfs >"$t/exportfs" 2>/dev/null
wait
[ -d "$pve/qemu-server/" ] || { echo "$pve/qemu-server cannot be read: is this a Proxmox VE node, is pve-cluster running, and are you root?" >&2; exit 3; }
set --
if [ -n "$cluster" ]; then
  for dir in "$pve"/nodes/*/qemu-server; do
    other=${dir%/qemu-server}
    other=${other##*/}
    [ -d "$dir" ] && [ "$other" != "$node" ] && set -- "$@" "$other/qemu-server"
  done
fi
[ $# -eq 0 ] || set -- -C "$pve/nodes" "$@"
tar -cf - -C "$t" . -C "$pve/qemu-server/" . "$@"
status=$?
# A configuration that changes while it is read is told by tar with 1; its digest tells us in time.
[ "$status" -le 1 ] || exit "$status"
exit 0
"#
);
