//! Browsers and `demo stdio`: with candidates one by one or inside the descriptions, and what each notices when the other is suddenly gone.

use anyhow::{Result, ensure};
use interop::{Browser, BrowserKind, HostCandidates, ScriptedPeer};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stdio_peer");

/// Opens the channel "echo" from whichever side offers, and sends a few messages there and back.
async fn connect(browser: &Browser, offer: &str, trickle: bool, arguments: &[&str]) -> Result<ScriptedPeer> {
    let role = if offer == "peer" { "offerer" } else { "answerer" };
    let peer = ScriptedPeer::start(PROGRAM, &[&["--role", role], arguments].concat()).await?;
    browser.open(peer.url()).await?;
    let script = "
        await interop.connect(parameters);
        const echo = await interop.open('echo');
        for (const size of [0, 1, 1200, 65_536]) {
            await echo.echo('text', size);
            await echo.echo('binary', size);
        }";
    browser.run(script, json!({ "offer": offer, "label": "echo", "trickle": trickle })).await?;
    Ok(peer)
}

/// RFC 8838 §4: whoever does not trickle, the other side works with what is in the description.
async fn connects_whoever_trickles(kind: BrowserKind) -> Result<()> {
    let browser = Browser::start(kind, HostCandidates::MulticastDns).await?;
    for offer in ["browser", "peer"] {
        for browser_trickles in [true, false] {
            for peer_trickles in ["yes", "no"] {
                let arguments = ["--trickle", peer_trickles];
                let mut peer = connect(&browser, offer, browser_trickles, &arguments).await?;
                peer.command(&json!({ "cmd": "close" })).await?;
                let done = peer.event("done").await?;
                ensure!(done["ok"] == true, "{offer} {browser_trickles} {peer_trickles}: {done}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn chromium_connects_whoever_offers_and_whoever_trickles() -> Result<()> {
    connects_whoever_trickles(BrowserKind::Chromium).await
}

#[tokio::test]
async fn firefox_connects_whoever_offers_and_whoever_trickles() -> Result<()> {
    connects_whoever_trickles(BrowserKind::Firefox).await
}

/// RFC 7675 §5.1: consent that is not renewed expires.
#[tokio::test]
async fn chromium_misses_a_peer_that_is_killed() -> Result<()> {
    let browser = Browser::start(BrowserKind::Chromium, HostCandidates::MulticastDns).await?;
    let mut peer = connect(&browser, "browser", true, &[]).await?;
    peer.kill().await?;
    let states = browser.run("return interop.statesUntil('failed')", Value::Null).await?;
    ensure!(states == json!(["disconnected", "failed"]), "{states}");
    Ok(())
}

#[tokio::test]
async fn the_peer_misses_a_browser_that_is_killed_and_says_so() -> Result<()> {
    let browser = Browser::start(BrowserKind::Firefox, HostCandidates::MulticastDns).await?;
    let mut peer = connect(&browser, "browser", true, &[]).await?;
    // Firefox is killed when it is dropped: it can say nothing more.
    drop(browser);
    for state in ["disconnected", "failed"] {
        peer.until(state, |event| event["event"] == "state" && event["ice"] == state).await?;
    }
    let report = peer.event("ice-report").await?;
    ensure!(report["pairs"].as_array().is_some_and(|pairs| !pairs.is_empty()), "{report}");
    let done = peer.event("done").await?;
    ensure!(done["ok"] == false && done["reason"] == "ICE has failed", "{done}");
    Ok(())
}
