//! The built-in features, which editors offer where a feature is named. Any other name is as good.

use serde_json::{Value, json};

use crate::config::builtin;

/// Adds the built-in features to what a schema says of one feature. `examples` is what every editor knows, and
/// `defaultSnippets` what VS Code and others show the words of.
pub(super) fn offer(feature: &mut Value) {
    let Value::Object(feature) = feature else { return };
    let names: Vec<&str> = builtin::FEATURES.iter().map(|(name, _)| *name).collect();
    let snippets: Vec<Value> = builtin::FEATURES
        .iter()
        .map(|(name, script)| json!({ "body": name, "description": words(script).unwrap_or_default() }))
        .collect();
    feature.insert("examples".into(), json!(names));
    feature.insert("defaultSnippets".into(), json!(snippets));
}

/// What a script says of itself in its second line, `# NAME - WHAT:`, as a sentence.
fn words(script: &str) -> Option<String> {
    let (_, what) = script.lines().nth(1)?.split_once(" - ")?;
    let mut letters = what.trim_end_matches(':').chars();
    let first = letters.next()?.to_uppercase();
    Some(format!("Built-in: {}{}.", first, letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::config::builtin;

    #[test]
    fn each_feature_has_words() {
        for (name, script) in builtin::FEATURES {
            assert!(words(script).is_some_and(|words| words.len() > 30), "{name}");
        }
        assert_eq!(words("#!/bin/sh\n# x - a guest's all:\n").as_deref(), Some("Built-in: A guest's all."));
        assert_eq!(words("#!/bin/sh\ntrue\n"), None);
    }
}
