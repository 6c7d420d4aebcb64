//! Tags.

/// The tags of a text as they stand there. They may be parted by `,`, `;` or white space.
pub fn tags_of(text: &str) -> impl Iterator<Item = &str> {
    let parting = |c: char| c == ',' || c == ';' || c.is_whitespace();
    text.split(parting).filter(|tag| !tag.is_empty())
}

/// Tags as Proxmox stores them: lower case, sorted, each once.
#[must_use]
pub fn normal_tags(text: &str) -> Vec<String> {
    let mut tags: Vec<String> = tags_of(text).map(str::to_lowercase).collect();
    tags.sort();
    tags.dedup();
    tags.shrink_to_fit();
    tags
}
