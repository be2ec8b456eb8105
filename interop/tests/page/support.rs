//! The page, its server, and what a person does with them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use demo::{Options, Server};
use fantoccini::actions::{Actions, InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use interop::{Chromium, HostCandidates};
use serde_json::{Value, json};

/// How long to wait for what the page has to show. A check list that fails takes 40 s of it (RFC 8863).
const LIMIT: Duration = Duration::from_secs(120);
/// More stops than the page has, for the Tab key.
const MAX_STOPS: usize = 60;

/// Keeps what the browser and the page's scripts complain about. Violations of the content security policy are reported from the very beginning.
const LISTEN_FOR_COMPLAINTS: &str = "
    window.complaints = [];
    const complain = (text) => window.complaints.push(String(text));
    for (const level of ['error', 'warn']) console[level] = (...words) => complain(`${level}: ${words.join(' ')}`);
    addEventListener('error', ({ message }) => complain(`uncaught: ${message}`));
    addEventListener('unhandledrejection', ({ reason }) => complain(`unhandled: ${reason}`));
    new ReportingObserver((reports) => reports.forEach((report) => complain(JSON.stringify(report))), { buffered: true }).observe();";

/// What was kept, and whatever the page has loaded from elsewhere or without success.
const COMPLAINTS: &str = "
    const bad = performance.getEntriesByType('resource').filter(({ name, responseStatus }) => !name.startsWith(location.origin) || responseStatus !== 200);
    return [...window.complaints, ...bad.map(({ name, responseStatus }) => `${name}: ${responseStatus}`)];";

/// A server on a free port.
pub(crate) fn start_server() -> Result<Server> {
    Server::start(&Options { port: Some(0), ..Options::default() })
}

/// The page in a headless Chromium. Both end when this is dropped.
pub(crate) struct Page {
    chromium: Chromium,
}

impl Page {
    /// Starts a browser, and opens the page in it.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let chromium = Chromium::start(HostCandidates::MulticastDns).await?;
        chromium.client().set_window_size(1280, 1320).await?;
        let page = Self { chromium };
        page.go(url).await?;
        Ok(page)
    }

    /// The browser, for all that a person does not do.
    pub(crate) fn chromium(&self) -> &Chromium {
        &self.chromium
    }

    fn client(&self) -> &Client {
        self.chromium.client()
    }

    /// Loads an address.
    pub(crate) async fn go(&self, url: &str) -> Result<()> {
        self.client().goto(url).await?;
        self.client().execute(LISTEN_FOR_COMPLAINTS, Vec::new()).await?;
        Ok(())
    }

    /// Waits for an element.
    pub(crate) async fn find(&self, selector: &str) -> Result<Element> {
        match self.client().wait().at_most(LIMIT).for_element(Locator::Css(selector)).await {
            Ok(element) => Ok(element),
            Err(error) => {
                let shown = self.client().find(Locator::Css("body")).await?.text().await?;
                Err(error).with_context(|| format!("no {selector}; the page shows: {shown}"))
            }
        }
    }

    /// Waits for an element, and returns its text.
    pub(crate) async fn text(&self, selector: &str) -> Result<String> {
        Ok(self.find(selector).await?.text().await?)
    }

    /// Waits until the page is connected.
    pub(crate) async fn connected(&self) -> Result<()> {
        self.find("#summary[data-state=connected]").await.map(drop)
    }

    /// Waits until the page says what is wrong, and returns that with the advice and the details.
    pub(crate) async fn problem(&self) -> Result<String> {
        self.find("#problem:not([hidden])").await?;
        // The details are folded up, and text that is not shown is no text to WebDriver.
        self.client().execute("document.getElementById('problem-more').open = true", Vec::new()).await?;
        self.text("#problem").await
    }

    /// Clicks at an element once it is there.
    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        Ok(self.find(selector).await?.click().await?)
    }

    /// Writes into an element once it is there; for a file input, chooses the file of that path.
    pub(crate) async fn write(&self, selector: &str, text: &str) -> Result<()> {
        Ok(self.find(selector).await?.send_keys(text).await?)
    }

    /// Presses a key wherever the focus is.
    pub(crate) async fn press(&self, key: impl Into<char>) -> Result<()> {
        let value = key.into();
        let actions =
            KeyActions::new("keyboard".to_owned()).then(KeyAction::Down { value }).then(KeyAction::Up { value });
        Ok(self.client().perform_actions(Actions::from(actions)).await?)
    }

    /// Presses Tab until this element has the focus, and makes sure that each stop on the way can be seen.
    pub(crate) async fn tab_to(&self, selector: &str) -> Result<()> {
        const FOCUS: &str = "
            const { activeElement } = document;
            const { outlineStyle, outlineWidth } = getComputedStyle(activeElement);
            const isSeen = activeElement === document.body || (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2);
            return [activeElement.matches(arguments[0]), isSeen, activeElement.outerHTML.slice(0, 200)];";
        for _ in 0..MAX_STOPS {
            self.press(Key::Tab).await?;
            let stop = self.client().execute(FOCUS, vec![selector.into()]).await?;
            ensure!(stop[1] == true, "the focus cannot be seen on {}", stop[2]);
            if stop[0] == true {
                return Ok(());
            }
        }
        anyhow::bail!("the Tab key does not lead to {selector}")
    }

    /// Makes sure that nothing has been complained about since the page was loaded.
    pub(crate) async fn is_content(&self) -> Result<()> {
        let complaints = self.client().execute(COMPLAINTS, Vec::new()).await?;
        ensure!(complaints == json!([]), "{complaints:#}");
        Ok(())
    }

    /// Runs a script that waits for nothing.
    pub(crate) async fn execute(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self.client().execute(script, arguments).await?)
    }

    /// Keeps what the page looks like, for people to see.
    pub(crate) async fn screenshot(&self, name: &str) -> Result<()> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join(format!("{name}.png")), self.client().screenshot().await?)?)
    }
}
