//! The phoenix command.

fn main() {}
