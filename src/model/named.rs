//! Enums whose variants have names: each listed once.

/// Defines an enum whose variants have names: the enum, the list of all of them, and the name of each. serde spells
/// them as people read them.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident, $(#[$said:meta])* $method:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every one, in order.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            $(#[$said])*
            #[must_use]
            pub const fn $method(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.$method())
            }
        }
    };
}

pub(super) use named;
