//! The frame of every page.

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

use super::escape::text;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page. The title is a plain value, the body is markup.
pub(super) fn page(title: &str, body: &str) -> String {
    let hash = |content: &str| BASE64.encode(&Sha256::digest(content.as_bytes()));
    // Only what stands in these two files may run or style anything, even if some value should ever get out of its
    // place.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let title = text(title);
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta http-equiv="Content-Security-Policy" content="{policy}" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<meta name="referrer" content="no-referrer" />
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
{body}<footer>Made by phoenix {}. This page needs no network.</footer>
<script>{SCRIPT}</script>
</body>
</html>
"#,
        env!("CARGO_PKG_VERSION")
    )
}

/// One row of the list of facts under the heading; the value is markup.
pub(super) fn fact(name: &str, value: &str) -> String {
    format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")
}

/// A count as a chip of a colour; none where there is nothing to count.
pub(super) fn chip(class: &str, sign: &str, n: usize, word: &str) -> String {
    if n == 0 {
        return String::new();
    }
    format!("<li class=\"{class}\"><b>{sign} {}</b> {word}</li>\n", crate::ui::layout::number(n))
}
