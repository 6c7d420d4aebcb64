//! Reading the command line, and telling what stands on it from what stands in the environment.

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};

use super::Args;
use super::places::Places;
use crate::cli::connect::Named;
use crate::cli::load::Given;
use crate::plan::document::TargetOrigin;

impl Args {
    /// Reads the command line.
    pub(in crate::cli) fn of_this_process() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        let mut deepest = &matches;
        while let Some((_, below)) = deepest.subcommand() {
            deepest = below;
        }
        let of_environment = deepest.value_source("target") == Some(ValueSource::EnvVariable);
        let args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut Self::command()))?;
        Ok(Self { target_of_environment: of_environment, ..args })
    }

    /// The target that was named, and where.
    pub(in crate::cli) fn named(&self) -> Option<Named> {
        let origin = if self.target_of_environment { TargetOrigin::Environment } else { TargetOrigin::CommandLine };
        self.target.clone().map(|text| Named { text, origin })
    }

    /// Where the files of the config are; its secrets are not needed.
    pub(in crate::cli) fn given(&self) -> Given {
        let Places { features_dir, secrets_dir } = &self.places;
        Given { features_dir: features_dir.clone(), secrets_dir: secrets_dir.clone(), needs_secrets: false }
    }
}
