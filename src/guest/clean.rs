//! Cleaning a guest that becomes a template.

use super::mount::functions;
use super::{GuestProblem, unexpected};
use crate::hypervisor::GuestExit;

/// `phoenix-clean`: takes out of a guest what its clones must not have.
///
/// Unmounts the volumes of phoenix's block in `/etc/fstab` and removes that; removes phoenix's own files, cloud-init's
/// state, the ssh host keys and the machine id. Without cloud-init nobody would make new host keys for the clones, so its
/// absence is an error. What is gone already is no error: it may run twice.
pub(super) const CLEAN: &str = concat!(
    functions!(),
    r##"if ! command -v cloud-init >/dev/null 2>&1; then
  say "cloud-init is not installed: clones would have no ssh host keys"
  exit 7
fi
if [ -e /etc/cloud/cloud-init.disabled ]; then
  say "cloud-init is switched off (/etc/cloud/cloud-init.disabled): clones would have no ssh host keys"
  exit 7
fi
awk '/^# BEGIN phoenix/ { inside = 1; next } /^# END phoenix/ { inside = 0; next } inside { print $2 }' /etc/fstab |
  sort -r |
  while read -r target; do
    if [ -n "$(current)" ]; then
      umount -- "$target"
    fi
    rewrite ''
  done
rm -rf -- /var/lib/phoenix
cloud-init clean --logs >/dev/null
rm -f -- /etc/ssh/ssh_host_*
rm -f -- /var/lib/dhcp/*.leases /var/lib/systemd/credential.secret
: >/etc/machine-id
if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then
  ln -sf /etc/machine-id /var/lib/dbus/machine-id
fi
sync
echo cleaned
"##
);

/// Reads what [`CLEAN`] said.
pub(super) fn read(exit: &GuestExit) -> Result<(), GuestProblem> {
    if exit.code == Some(0) {
        return Ok(());
    }
    let mut problem = unexpected("cleaning", exit);
    problem.hint = if exit.err.contains("busy") {
        Some("something in the guest uses a volume: `lsof` there tells what; end it, then apply again".to_owned())
    } else if exit.code == Some(7) {
        Some("build the template from a cloud image, which has cloud-init".to_owned())
    } else {
        None
    };
    Err(problem)
}
