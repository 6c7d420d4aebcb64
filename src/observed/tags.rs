//! Tags.

/// Tags as Proxmox stores them: lower case, sorted, each once. They may be parted by `,`, `;` or white space.
#[must_use]
pub fn normal_tags(text: &str) -> Vec<String> {
    let parting = |c: char| c == ',' || c == ';' || c.is_whitespace();
    let mut tags: Vec<String> = text.split(parting).filter(|t| !t.is_empty()).map(str::to_lowercase).collect();
    tags.sort();
    tags.dedup();
    tags
}
