//! What `doctor` takes.

use clap::Args as ClapArgs;

use super::{Allowing, Output};

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Doctor {
    #[command(flatten)]
    pub(in crate::cli) allowing: Allowing,
    /// human or json; NAME=FILE writes it into a file instead, and may be repeated.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = Output::of_doctor)]
    pub(in crate::cli) format: Vec<Output>,
}
