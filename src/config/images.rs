//! The rules for images that VMs and further disks are made from.

use super::imports::owner_of;
use super::owner::{Owner, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawCloudImage, RawVm};
use super::rule::text;
use super::spans::Place;
use super::{codes, lexis};

/// Applies the rules to every `cloud_image`, and to every image that a further disk is made from.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        image(owner, vm, problems);
        problems.since(before, vm.vm_id);
    }
}

fn image(owner: Owner<'_>, vm: &RawVm, problems: &mut Problems) {
    for (slot, disk) in vm.disks.iter().flatten() {
        let Some(import) = disk.as_ref().and_then(|disk| disk.import_from.as_ref()) else { continue };
        let image = import.image();
        // That is refused for what it is.
        if image.source.as_deref().is_some_and(|source| owner_of(source).is_some()) {
            continue;
        }
        source(&image, |key| owner.value(&format!("disks/{slot}/import_from{}", import.place_of(key))), problems);
    }
    let Some(image) = &vm.cloud_image else { return };
    source(image, |key| owner.value(&format!("cloud_image/{key}")), problems);
    if vm.template_name.is_some() {
        let what = "a VM is made from a template or from an image, not from both";
        problems.push(
            Problem::new(codes::TEMPLATE_AND_IMAGE, what, owner.value("cloud_image"))
                .also(owner.value("template_name"), "the template")
                .hint("take `template_name` or `cloud_image` out"),
        );
    }
}

/// Whether the source of an image is a volume of content `iso`, from which Proxmox imports nothing (recorded).
fn is_iso(source: &str) -> bool {
    let (storage, name) = source.split_once(':').unwrap_or_default();
    !storage.contains('/') && name.starts_with("iso/")
}

/// Applies the rules to the source of an image and its digest. `place`: where a key of it stands.
fn source(image: &RawCloudImage, place: impl Fn(&str) -> Place, problems: &mut Problems) {
    let at = || place("source");
    if image.source.as_ref().is_some_and(|source| source.contains("://") && source.contains('@')) {
        // Not repeated: it may be a password.
        let what = "a URL with a name or password cannot be an image: everyone who can read the file would have it";
        problems.push(Problem::new(codes::BAD_IMAGE, what, at()).hint("offer the image where no login is needed"));
    } else if let Some(source) = image.source.as_deref().filter(|source| is_iso(source)) {
        let what = format!("{} cannot be an image: Proxmox makes no disk from a file of content `iso`", shown(source));
        let hint = "put it into content `import`, with a name that ends in `.qcow2` or `.raw`, and name that \
                    (`STORAGE:import/NAME.qcow2`); what is to lie in a CD drive stands in `cdrom`";
        problems.push(Problem::new(codes::BAD_IMAGE, what, at()).hint(hint));
    } else {
        text(image.source.as_deref(), (codes::BAD_IMAGE, "cannot be an image"), lexis::image, at, problems);
    }
    let sha256 = || place("sha256");
    text(image.sha256.as_deref(), (codes::BAD_IMAGE, "cannot be a SHA-256"), lexis::sha256, sha256, problems);
    let sha512 = || place("sha512");
    text(image.sha512.as_deref(), (codes::BAD_IMAGE, "cannot be a SHA-512"), lexis::sha512, sha512, problems);
    if image.sha256.is_some() && image.sha512.is_some() {
        let problem = Problem::new(codes::BAD_IMAGE, "an image has one digest, not two", sha512());
        problems.push(problem.also(sha256(), "the other").hint("take `sha256` or `sha512` out"));
    }
    if image.source.as_ref().is_some_and(|source| source.starts_with("https://"))
        && image.sha256.is_none()
        && image.sha512.is_none()
    {
        let what = "an image from a URL needs its `sha256` or `sha512`";
        problems.push(
            Problem::new(codes::IMAGE_WITHOUT_DIGEST, what, at())
                .hint("it is published beside the image, in a file like `SHA256SUMS` or `SHA512SUMS`"),
        );
    }
}
