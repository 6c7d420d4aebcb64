//! What can be typed about the graph.

use clap::{Args as ClapArgs, ValueEnum};

use super::{Allowing, Selecting};

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Graph {
    #[command(flatten)]
    pub(in crate::cli) selecting: Selecting,
    #[command(flatten)]
    pub(in crate::cli) allowing: Allowing,
    /// Language of the graph.
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub(in crate::cli) format: GraphFormat,
    /// Draw the VMs in which nothing changes, too.
    #[arg(long)]
    pub(in crate::cli) all: bool,
}

/// Languages a graph can be printed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum GraphFormat {
    /// Mermaid, as Git servers render it.
    Mermaid,
    /// Graphviz.
    Dot,
}
