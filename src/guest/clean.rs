//! Cleaning a guest that becomes a template.

use super::mount::{functions, release};
use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;

/// `phoenix-clean`: takes out of a guest what its clones must not have.
///
/// Unmounts the volumes of phoenix's block in `/etc/fstab`, frees their mount points, and removes that; removes
/// phoenix's own files, the scripts on the guest's own disk among them, cloud-init's state, the ssh host keys, the
/// machine id and what DHCP servers know a machine by. Without cloud-init nothing would make new host keys for the
/// clones, so its absence is an error; one that has no drive switches itself off. What is gone already is no error: it
/// may run twice. Until the guest boots, a mark says that cloud-init has lost its memory.
pub(super) const CLEAN: &str = concat!(
    functions!(),
    release!(),
    r##"if ! command -v cloud-init >/dev/null 2>&1; then
  say "cloud-init is not installed: clones would have no ssh host keys"
  exit 7
fi
for off in /etc/cloud/cloud-init.disabled /run/cloud-init/disabled; do
  if [ -e "$off" ]; then
    say "cloud-init is switched off ($off): clones would have no ssh host keys"
    exit 7
  fi
done
awk '/^# BEGIN phoenix/ { inside = 1; next } /^# END phoenix/ { inside = 0; next } inside { print $2 }' /etc/fstab |
  sort -r |
  while read -r target; do
    if [ -n "$(current)" ]; then
      umount -- "$target"
    fi
    release
    rewrite ''
  done
if [ -s /var/lib/phoenix/own-disk ]; then
  own=$(cat /var/lib/phoenix/own-disk)
  rm -rf -- "$own/.phoenix_scripts" "$own/.phoenix_logs"
  rmdir -- "$own" 2>/dev/null || true
fi
rm -rf -- /var/lib/phoenix
: >/run/phoenix-cleaned
cloud-init clean --logs >/dev/null
rm -f -- /etc/ssh/ssh_host_* /var/lib/systemd/credential.secret
rm -f -- /var/lib/dhcp/*.leases /var/lib/dhcpcd/*.lease* /var/lib/dhcpcd/duid /etc/dhcpcd.duid
rm -f -- /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/secret_key
: >/etc/machine-id
if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then
  ln -sf /etc/machine-id /var/lib/dbus/machine-id
fi
sync
echo cleaned
"##
);

/// `phoenix-cleaned`: fails if something of phoenix's is in the guest again since [`CLEAN`].
pub(super) const CLEANED: &str = r"if [ -e /run/phoenix-cleaned ] && [ ! -e /var/lib/phoenix ] && ! grep -q '^# BEGIN phoenix' /etc/fstab; then
  exit 0
fi
exit 8
";

/// Reads what [`CLEANED`] said.
pub(super) fn read_cleaned(exit: &GuestExit) -> Result<(), GuestProblem> {
    match exit.code {
        Some(0) => Ok(()),
        Some(8) => Err(GuestProblem {
            what: "the guest is no longer clean: another run is at work in it, or it has booted again".to_owned(),
            hint: Some("apply again: it continues from what it finds, and cleans it once more".to_owned()),
        }),
        _ => Err(unexpected("looking whether it is clean", exit)),
    }
}

/// Reads what [`CLEAN`] said.
pub(super) fn read(exit: &GuestExit) -> Result<(), GuestProblem> {
    if exit.code == Some(0) {
        return Ok(());
    }
    let mut problem = unexpected("cleaning", exit);
    problem.hint = if exit.err.contains("busy") {
        Some("something in the guest uses a volume: `lsof` there shows what; end it, then apply again".to_owned())
    } else if exit.code == Some(7) {
        Some("it needs cloud-init in its image, and a cloud-init drive: a `user_config` brings one".to_owned())
    } else {
        None
    };
    Err(problem)
}
