//! What the snippets of phoenix on a node hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{DataText, content_digest};

/// What a snippet was seen to hold. Of one with secrets the text is not kept, and a saved observation has nothing of
/// it: its name says what it is to hold.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum SnippetSeen {
    /// This text.
    Text(String),
    /// A text with secrets, by its SHA-256; `None`: not known.
    Sealed(Option<String>),
}

impl SnippetSeen {
    /// The text of a snippet; `has_secrets`: as its name says.
    #[must_use]
    pub fn of(text: String, has_secrets: bool) -> Self {
        if has_secrets { Self::Sealed(Some(content_digest(text.as_bytes()))) } else { Self::Text(text) }
    }

    /// One of which a write that was killed left a part, and no file of its name. It holds no text that can be desired:
    /// an empty one is none.
    #[must_use]
    pub fn in_part(has_secrets: bool) -> Self {
        if has_secrets { Self::Sealed(Some(String::new())) } else { Self::Text(String::new()) }
    }

    /// The text, where it can be shown.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Sealed(_) => None,
        }
    }

    /// Whether it is this text, as far as that is known.
    #[must_use]
    pub fn holds(&self, text: &DataText) -> bool {
        match self {
            Self::Text(seen) => !text.has_secrets() && seen == text.shown(),
            Self::Sealed(None) => true,
            Self::Sealed(Some(seen)) => {
                text.expanded().is_none_or(|expanded| *seen == content_digest(expanded.as_bytes()))
            }
        }
    }
}

impl From<Option<String>> for SnippetSeen {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Sealed(None), Self::Text)
    }
}

impl From<SnippetSeen> for Option<String> {
    fn from(seen: SnippetSeen) -> Self {
        match seen {
            SnippetSeen::Text(text) => Some(text),
            SnippetSeen::Sealed(_) => None,
        }
    }
}

impl fmt::Debug for SnippetSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            // A digest without salt would be guessed from.
            Self::Sealed(_) => f.write_str("Sealed"),
        }
    }
}
