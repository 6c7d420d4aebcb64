//! The real binary: as its users meet it (`cli`), and broken at every step (`loops`).

mod cli;
mod loops;
mod world;
