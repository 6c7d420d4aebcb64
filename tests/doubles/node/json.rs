//! JSON as Perl prints it for people: three spaces, and one before the colon.

use serde_json::Value;

/// A value over several lines.
pub(crate) fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text.push('\n');
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    let (items, ends): (Vec<(String, &Value)>, _) = match value {
        Value::Array(items) => (items.iter().map(|item| (String::new(), item)).collect(), ['[', ']']),
        Value::Object(items) => {
            (items.iter().map(|(key, item)| (format!("{} : ", Value::from(key.as_str())), item)).collect(), ['{', '}'])
        }
        plain => return text.push_str(&plain.to_string()),
    };
    text.push(ends[0]);
    for (n, (key, item)) in items.iter().enumerate() {
        text.push_str(if n == 0 { "\n" } else { ",\n" });
        text.push_str(&"   ".repeat(depth + 1));
        text.push_str(key);
        write(item, depth + 1, text);
    }
    if !items.is_empty() {
        text.push('\n');
        text.push_str(&"   ".repeat(depth));
    }
    text.push(ends[1]);
}
