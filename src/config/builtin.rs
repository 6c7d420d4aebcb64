//! The feature scripts that come with phoenix.

/// The features built in: name and script.
pub const FEATURES: &[(&str, &str)] = &[
    ("base_setup", include_str!("../../features/base_setup.sh")),
    ("install_docker", include_str!("../../features/install_docker.sh")),
];

/// File name of the utilities that lie beside every script.
pub const COMMON_FILE: &str = "phoenix_common.sh";

/// The utilities built in, used where the scripts directory has none.
pub const COMMON: &str = include_str!("../../features/phoenix_common.sh");
