//! Resource mappings: `/etc/pve/mapping/{pci,usb,directory}.cfg`.
//!
//! A section is the name of a mapping on a line of its own, without a kind before it, then indented lines, of which
//! `map` is a property string with `node`, once for each device or directory. The digest that the API gave of a
//! recorded mapping is that of such a text.

use std::collections::{BTreeMap, BTreeSet};

use crate::observed::PropertyString;

/// The mappings of one file: the nodes that each has an entry for.
pub(in crate::backend) fn parse(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with([' ', '\t']) {
            let name = line.trim().to_owned();
            found.entry(name.clone()).or_default();
            current = Some(name);
        } else if let Some(("map", value)) = line.trim().split_once([' ', '\t'])
            && let Some(nodes) = current.as_ref().and_then(|name| found.get_mut(name))
        {
            nodes.extend(PropertyString::parse(value).get("node").map(str::to_owned));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_mapping_has_the_nodes_of_its_entries() {
        // The first is the text whose digest was recorded.
        let text = "labdir\n\tmap node=pve1,path=/srv/labdir\n\ngpu\n\tdescription map node=no\n\
                    \tmap id=10de:1eb0,iommugroup=20,node=pve1,path=0000:01:00.0\n\
                    \tmap id=10de:1eb0,node=pve2,path=0000:02:00.0\n\tmdev 1\nempty\n";
        let nodes: Vec<(String, Vec<String>)> =
            parse(text).into_iter().map(|(name, nodes)| (name, nodes.into_iter().collect())).collect();
        let expected = [("empty", vec![]), ("gpu", vec!["pve1", "pve2"]), ("labdir", vec!["pve1"])];
        let expected = expected.map(|(name, nodes)| (name.to_owned(), nodes.into_iter().map(str::to_owned).collect()));
        assert_eq!(nodes, expected);
        assert!(parse("\tmap node=a\n").is_empty() && parse("").is_empty());
    }
}
