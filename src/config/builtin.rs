//! The feature scripts that come with phoenix.

/// The features built in: name and script.
pub const FEATURES: &[(&str, &str)] = &[
    ("base_setup", include_str!("../../features/base_setup.sh")),
    ("install_docker", include_str!("../../features/install_docker.sh")),
];

/// Where what is built in comes from, as people read it; no path of a script is without a directory.
pub(super) const FROM: &str = "built-in";

/// File name of the utilities that lie beside every script.
pub const COMMON_FILE: &str = "phoenix_common.sh";

/// The utilities built in, used where the scripts directory has none.
pub const COMMON: &str = include_str!("../../features/phoenix_common.sh");
