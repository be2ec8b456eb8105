//! The page itself, used as a person uses it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use demo::{Options, Server};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use interop::{Chromium, HostCandidates};
use serde_json::json;

/// How long to wait for what the page has to show.
const LIMIT: Duration = Duration::from_secs(60);

async fn find(client: &Client, selector: &str) -> Result<Element> {
    client.wait().at_most(LIMIT).for_element(Locator::Css(selector)).await.with_context(|| format!("no {selector}"))
}

/// Writes a message and sends it with the Enter key.
async fn chat(client: &Client, text: &str) -> Result<()> {
    let field = find(client, "#text:enabled").await?;
    field.send_keys(text).await?;
    field.send_keys(&Key::Enter.to_string()).await?;
    Ok(())
}

/// Keeps what the page looks like, for people to see.
async fn screenshot(client: &Client, name: &str) -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), client.screenshot().await?)?;
    Ok(())
}

async fn chat_and_states(query: &str, pictures: &str) -> Result<()> {
    let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
    let chromium = Chromium::start(HostCandidates::MulticastDns).await?;
    let client = chromium.client();
    client.set_window_size(1280, 860).await?;
    client.goto(&format!("{}{query}", server.url())).await?;

    for (nth, text) in ["Hello, peer!", "Ünïcödé — 🦀 <b>not bold</b>"].into_iter().enumerate() {
        chat(client, text).await?;
        let echo = find(client, &format!("#messages .peer:nth-child({})", 3 + 2 * nth)).await?;
        ensure!(echo.text().await?.starts_with(text), "echoed: {:?}", echo.text().await?);
    }
    for (name, state) in
        [("signaling", "stable"), ("ice-gathering", "complete"), ("connection", "connected"), ("channel", "open")]
    {
        for side in ["browser", "peer"] {
            find(client, &format!("#{side}-{name} [data-state={state}]")).await?;
        }
    }
    for side in ["browser", "peer"] {
        find(client, &format!("#{side}-ice-connection :is([data-state=connected], [data-state=completed])")).await?;
    }
    find(client, "#problem[hidden]").await?;
    screenshot(client, &format!("{pictures}-connected.png")).await?;

    client.set_window_size(420, 900).await?;
    screenshot(client, &format!("{pictures}-narrow.png")).await?;

    find(client, "#again").await?.click().await?;
    find(client, "#summary[data-state=connected]").await?;
    chat(client, "once more").await?;

    server.stop()?;
    find(client, "#summary[data-state=failed]").await?;
    let advice = find(client, "#problem:not([hidden]) #problem-advice").await?.text().await?;
    ensure!(advice.contains("cargo run --release"), "{advice}");
    client.set_window_size(1280, 860).await?;
    screenshot(client, &format!("{pictures}-stopped.png")).await
}

#[tokio::test]
async fn what_is_typed_comes_back_and_the_states_show_when_the_browser_offers() -> Result<()> {
    chat_and_states("", "browser-offers").await
}

#[tokio::test]
async fn what_is_typed_comes_back_and_the_states_show_when_the_peer_offers() -> Result<()> {
    chat_and_states("?offer=peer", "peer-offers").await
}

#[tokio::test]
async fn the_page_is_plain_where_webrtc_is_missing() -> Result<()> {
    let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
    let chromium = Chromium::start(HostCandidates::MulticastDns).await?;
    let client = chromium.client();
    client.goto(&server.url()).await?;
    find(client, "#summary[data-state=connected]").await?;
    let without = "delete window.RTCPeerConnection; document.getElementById('again').click()";
    client.execute(without, vec![json!(null)]).await?;
    let what = find(client, "#problem:not([hidden]) #problem-what").await?.text().await?;
    ensure!(what.contains("no WebRTC"), "{what}");
    server.stop()
}
