//! Faces: how values look to people and programs.

pub mod diagnostics;
pub mod text;
