//! What tests share.

use std::env;

/// Whether `program` can be run here. If not, says which package brings it, and the test returns without a verdict:
///
/// ```ignore
/// if !support::need("shellcheck", "shellcheck") {
///     return;
/// }
/// ```
///
/// With `PHOENIX_REQUIRE_ALL=1`, as in CI, a missing program is a failure instead.
#[expect(clippy::print_stdout, reason = "whoever runs the tests shall see what was not tested")]
pub(crate) fn need(program: &str, package: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|directory| directory.join(program).is_file()) {
        return true;
    }
    let missing = format!("{program} is not installed (apt-get install {package})");
    assert!(env::var_os("PHOENIX_REQUIRE_ALL").is_none_or(|value| value != "1"), "{missing}");
    println!("SKIPPED: {missing}");
    false
}
