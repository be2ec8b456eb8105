//! `cargo xtask interop`: what takes too long for the tests.

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::install;
use crate::steps::{cargo, run};

#[derive(Subcommand)]
pub(crate) enum Interop {
    /// 1 GB each way between each browser and the peer, over loopback: compared, timed, and with what it takes
    Long(LongOptions),
}

#[derive(Args)]
pub(crate) struct LongOptions {
    /// One browser alone: chromium or firefox
    #[arg(long)]
    browser: Option<String>,
    /// Bytes each way [default: 1000000000]
    #[arg(long)]
    bytes: Option<u64>,
    /// Bytes of each message [default: 65536]
    #[arg(long)]
    message: Option<u64>,
    /// Have each browser flood itself as well, to compare with
    #[arg(long)]
    reference: bool,
    /// Install nothing: say what is missing and stop
    #[arg(long)]
    no_install: bool,
}

/// Builds the program, and runs it.
pub(crate) fn interop(root: &Path, Interop::Long(options): &Interop) -> Result<()> {
    install::interop_tools(!options.no_install)?;
    let mut command = cargo();
    let program = ["run", "--quiet", "--release", "--locked", "--package", "interop", "--bin", "long_run", "--", "run"];
    command.args(program).args(options.words()).current_dir(root);
    run(&mut command)
}

impl LongOptions {
    /// As the program itself takes them.
    fn words(&self) -> Vec<String> {
        let Self { browser, bytes, message, reference, .. } = self;
        let number = |number: &Option<u64>| number.map(|number| number.to_string());
        let options = [("--browser", browser.clone()), ("--bytes", number(bytes)), ("--message", number(message))];
        let given = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
        reference.then(|| "--reference".to_owned()).into_iter().chain(given.flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_not_given_are_left_to_the_program() {
        let nothing = LongOptions { browser: None, bytes: None, message: None, reference: false, no_install: true };
        assert!(nothing.words().is_empty());
        let options = LongOptions { browser: Some("firefox".to_owned()), bytes: Some(5), reference: true, ..nothing };
        assert_eq!(options.words(), ["--reference", "--browser", "firefox", "--bytes", "5"]);
    }
}
