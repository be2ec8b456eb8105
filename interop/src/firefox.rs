//! A headless Firefox, driven over WebDriver BiDi: it needs no program in between.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::browser::{HELPERS, HostCandidates, ONE_AT_A_TIME, asynchronous_function, on_path, value_of};

/// How long Firefox may take for an answer. Scripts have shorter limits, and say what they waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);

/// No first pages, no telemetry, no updates: nothing but the tests' own traffic.
const PREFERENCES: &str = r#"
user_pref("app.normandy.enabled", false);
user_pref("app.update.auto", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("remote.active-protocols", 1);
user_pref("services.settings.server", "data:,none");
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
"#;
/// As if the page had the permission to use a microphone, on a machine with loopback alone too.
const PREFERENCES_FOR_ADDRESSES: &str = r#"
user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("media.peerconnection.ice.loopback", true);
"#;

/// A headless Firefox with a fresh profile. It is killed when this is dropped.
pub struct Firefox {
    session: Mutex<Session>,
    // Dropped in this order: the browser must be gone before its profile goes, and both before the next test starts one.
    _process: Process,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The WebDriver session: commands one after another.
struct Session {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    commands: u64,
    /// The tab that everything happens in.
    context: String,
}

/// Firefox itself, with a process group of its own: its children would otherwise live on for a moment, and say farewell to their peers.
struct Process {
    child: Child,
    /// Read to its end by a thread, since a Firefox that can no longer write there would stand still.
    errors: Option<BufReader<ChildStderr>>,
}

impl Firefox {
    /// Starts a browser, as soon as no other test uses one.
    ///
    /// # Errors
    /// The browser is not installed (the error says what to do), or does not start.
    pub async fn start(candidates: HostCandidates) -> Result<Self> {
        let turn = ONE_AT_A_TIME.lock().await;
        let profile = TempDir::with_prefix("interop-profile-")?;
        let mut preferences = PREFERENCES.to_owned();
        if candidates == HostCandidates::Addresses {
            preferences.push_str(PREFERENCES_FOR_ADDRESSES);
        }
        std::fs::write(profile.path().join("user.js"), preferences)?;
        let mut process = Process::start(profile.path())?;
        let session = Session::new(&process.announced_url()?).await?;
        Ok(Self { session: Mutex::new(session), _process: process, _profile: profile, _turn: turn })
    }

    /// Loads a page and gives it the helpers of `browser.js`.
    ///
    /// # Errors
    /// The page cannot be loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        let mut session = self.session.lock().await;
        let context = session.context.clone();
        let page = json!({ "context": context, "url": url, "wait": "complete" });
        session.command("browsingContext.navigate", page).await?;
        let helpers = json!({ "expression": HELPERS, "awaitPromise": false, "target": { "context": context } });
        no_exception(&session.command("script.evaluate", helpers).await?)
    }

    /// Runs the body of an asynchronous function in the page, and returns what it returns. `parameters` is its argument.
    ///
    /// # Errors
    /// The function throws; the error has its words, and what had happened on the connection until then.
    pub async fn run(&self, body: &str, parameters: Value) -> Result<Value> {
        let mut session = self.session.lock().await;
        // Values travel as JSON text: the protocol's own form of them tells more than the tests want to know.
        let call = json!({
            "functionDeclaration": format!(
                "async (text) => {{ const parameters = JSON.parse(text); return JSON.stringify(await {}); }}",
                asynchronous_function(body),
            ),
            "arguments": [{ "type": "string", "value": parameters.to_string() }],
            "awaitPromise": true,
            "target": { "context": session.context },
        });
        let outcome = session.command("script.callFunction", call).await?;
        no_exception(&outcome)?;
        let text = outcome["result"]["value"].as_str().context("a script returns text")?;
        value_of(serde_json::from_str(text)?)
    }

    /// What the window shows, as PNG in base 64.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn screenshot(&self) -> Result<String> {
        let mut session = self.session.lock().await;
        let context = json!({ "context": session.context });
        let picture = session.command("browsingContext.captureScreenshot", context).await?;
        picture["data"].as_str().map(str::to_owned).context("a picture is text in base 64")
    }
}

impl Session {
    async fn new(url: &str) -> Result<Self> {
        let (socket, _) = connect_async(format!("{url}/session")).await.context("cannot connect to Firefox")?;
        let mut session = Self { socket, commands: 0, context: String::new() };
        session.command("session.new", json!({ "capabilities": {} })).await?;
        let tabs = session.command("browsingContext.getTree", json!({})).await?;
        session.context = tabs["contexts"][0]["context"].as_str().context("Firefox has a tab")?.to_owned();
        Ok(session)
    }

    /// Sends a command, and waits for its result. Events in between are passed over.
    async fn command(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.commands += 1;
        let id = self.commands;
        let command = json!({ "id": id, "method": method, "params": parameters });
        self.socket.send(Message::text(command.to_string())).await?;
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, self.answer(id)).await;
        let mut answer = answered.with_context(|| format!("{method}: no answer"))??;
        if answer["type"] != "success" {
            bail!("{method}: {}: {}", answer["error"], answer["message"]);
        }
        Ok(answer["result"].take())
    }

    async fn answer(&mut self, id: u64) -> Result<Value> {
        while let Some(message) = self.socket.next().await {
            if let Message::Text(text) = message? {
                let answer: Value = serde_json::from_str(&text)?;
                if answer["id"] == id {
                    return Ok(answer);
                }
            }
        }
        bail!("Firefox has ended")
    }
}

/// An exception outside the asynchronous function: the script itself is wrong.
fn no_exception(outcome: &Value) -> Result<()> {
    if outcome["type"] == "exception" {
        bail!("{}", outcome["exceptionDetails"]["text"]);
    }
    Ok(())
}

impl Process {
    fn start(profile: &Path) -> Result<Self> {
        let program = on_path("firefox-esr", "firefox-esr").or_else(|_| on_path("firefox", "firefox-esr"))?;
        let mut child = Command::new(program)
            .args(["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile"])
            .arg(profile)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start Firefox")?;
        let errors = BufReader::new(child.stderr.take().context("Firefox has an error output")?);
        Ok(Self { child, errors: Some(errors) })
    }

    /// Where it listens: `ws://127.0.0.1:40123`.
    fn announced_url(&mut self) -> Result<String> {
        let mut errors = self.errors.take().context("Firefox announces itself once")?;
        let url = announced_url(&mut errors)?;
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Ok(url)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing here can be mended: the browser's files lie in a temporary profile.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _killed = group.map(|group| kill_process_group(group, Signal::KILL));
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn announced_url(errors: &mut impl BufRead) -> Result<String> {
    const ANNOUNCEMENT: &str = "WebDriver BiDi listening on ";
    for line in errors.lines() {
        if let Some((_, url)) = line?.split_once(ANNOUNCEMENT) {
            return Ok(url.trim().to_owned());
        }
    }
    bail!("Firefox ended without saying where it listens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_announcement() {
        let mut errors: &[u8] =
            b"*** You are running in headless mode.\nWebDriver BiDi listening on ws://127.0.0.1:40123\n";
        assert_eq!(announced_url(&mut errors).unwrap(), "ws://127.0.0.1:40123");
    }

    #[test]
    fn a_browser_that_ends_at_once_is_reported() {
        let mut errors: &[u8] = b"Error: no display\n";
        assert!(announced_url(&mut errors).unwrap_err().to_string().contains("ended"));
    }
}
