//! A headless Chromium, driven through its chromedriver.

use anyhow::{Context, Result, bail};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::MutexGuard;

use crate::browser::{HELPERS, HostCandidates, ONE_AT_A_TIME, asynchronous_function, on_path, value_of};
use crate::chromedriver::ChromeDriver;

/// The longest a script may run, in milliseconds. The waits inside have shorter limits, and say what they waited for.
const SCRIPT_TIMEOUT_MILLISECONDS: u64 = 170_000;

const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    // Containers have little shared memory.
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
const ARGUMENTS_FOR_ADDRESSES: [&str; 3] =
    ["--allow-loopback-in-peer-connection", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];

/// A headless Chromium with a fresh profile. It ends when this is dropped.
pub struct Chromium {
    client: Client,
    // Dropped in this order: the browser must be gone before its profile goes, and both before the next test starts one.
    _driver: ChromeDriver,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Chromium {
    /// Starts a browser, as soon as no other test uses one.
    ///
    /// # Errors
    /// The browser or its driver is not installed (the error says what to do), or does not start.
    pub async fn start(candidates: HostCandidates) -> Result<Self> {
        let turn = ONE_AT_A_TIME.lock().await;
        let binary = on_path("chromium", "chromium")?;
        let driver = ChromeDriver::start()?;
        let profile = TempDir::with_prefix("interop-profile-")?;
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        if candidates == HostCandidates::Addresses {
            arguments.extend(ARGUMENTS_FOR_ADDRESSES.map(str::to_owned));
        }
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments, "binary": binary },
            "timeouts": { "script": SCRIPT_TIMEOUT_MILLISECONDS },
        });
        let Value::Object(capabilities) = capabilities else { bail!("capabilities are an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url())
            .await
            .context("cannot start Chromium")?;
        Ok(Self { client, _driver: driver, _profile: profile, _turn: turn })
    }

    /// The WebDriver session, for all that is not a script.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Loads a page and gives it the helpers of `browser.js`.
    ///
    /// # Errors
    /// The page cannot be loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.client.goto(url).await?;
        self.client.execute(HELPERS, Vec::new()).await?;
        Ok(())
    }

    /// Runs the body of an asynchronous function in the page, and returns what it returns. `parameters` is its argument.
    ///
    /// # Errors
    /// The function throws; the error has its words, and what had happened on the connection until then.
    pub async fn run(&self, body: &str, parameters: Value) -> Result<Value> {
        let function = asynchronous_function(body);
        let script = format!("const [parameters, done] = arguments; {function}.then(done);");
        value_of(self.client.execute_async(&script, vec![parameters]).await?)
    }
}
