//! What the browsers have in common, and one type for tests that are the same in each.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{Chromium, Firefox};

/// What tests in one binary run under: one browser at a time, since two would share the processor and spoil each other's deadlines.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What scripts find in the page.
pub(crate) const HELPERS: &str = include_str!("browser.js");

/// What the browser says about its own addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostCandidates {
    /// Its addresses, loopback included: it has the permission to use a microphone.
    Addresses,
    /// Names that end in `.local`, as browsers do by default. The peer learns the addresses from the checks that arrive.
    MulticastDns,
}

/// The browsers that the tests know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrowserKind {
    /// Debian's Chromium.
    Chromium,
    /// Debian's Firefox ESR.
    Firefox,
}

/// A headless browser with a fresh profile. It ends when this is dropped.
pub enum Browser {
    /// A Chromium.
    Chromium(Chromium),
    /// A Firefox.
    Firefox(Box<Firefox>),
}

impl Browser {
    /// Starts a browser, as soon as no other test uses one.
    ///
    /// # Errors
    /// The browser is not installed (the error says what to do), or does not start.
    pub async fn start(kind: BrowserKind, candidates: HostCandidates) -> Result<Self> {
        Ok(match kind {
            BrowserKind::Chromium => Self::Chromium(Chromium::start(candidates).await?),
            BrowserKind::Firefox => Self::Firefox(Box::new(Firefox::start(candidates).await?)),
        })
    }

    /// Loads a page and gives it the helpers of `browser.js`.
    ///
    /// # Errors
    /// The page cannot be loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        match self {
            Self::Chromium(chromium) => chromium.open(url).await,
            Self::Firefox(firefox) => firefox.open(url).await,
        }
    }

    /// Runs the body of an asynchronous function in the page, and returns what it returns. `parameters` is its argument.
    ///
    /// # Errors
    /// The function throws; the error has its words, and what had happened on the connection until then.
    pub async fn run(&self, body: &str, parameters: Value) -> Result<Value> {
        match self {
            Self::Chromium(chromium) => chromium.run(body, parameters).await,
            Self::Firefox(firefox) => firefox.run(body, parameters).await,
        }
    }
}

/// A promise in JavaScript for what becomes of a function with this body: see [`value_of`].
pub(crate) fn asynchronous_function(body: &str) -> String {
    format!(
        "(async () => {{ {body} }})().then(
             (value) => ({{ value: value ?? null }}),
             (error) => ({{ error: `${{error.message}}`, log: window.interop?.log ?? [] }}),
         )"
    )
}

/// What an [`asynchronous_function`] has returned or thrown.
pub(crate) fn value_of(mut outcome: Value) -> Result<Value> {
    if let Some(error) = outcome.get("error").and_then(Value::as_str) {
        bail!("{error}; log: {:#}", outcome["log"]);
    }
    Ok(outcome["value"].take())
}

/// Where a program of the tests lies.
pub(crate) fn on_path(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()).with_context(|| {
        format!(
            "{program} is not installed. Run `cargo xtask test`, which installs it when root on Debian, or install it yourself (Debian package {package}). \
             `cargo xtask test --skip-interop` leaves these tests out"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_command_that_installs_it() {
        let error = on_path("no-such-browser", "no-such-package").unwrap_err().to_string();
        assert!(error.contains("no-such-browser") && error.contains("cargo xtask test"), "{error}");
    }
}
