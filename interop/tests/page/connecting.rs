//! Connecting, the chat, what the page shows of the states and the path.

use anyhow::{Result, ensure};
use fantoccini::key::Key;
use serde_json::json;

use crate::support::{Page, start_server};

/// Writes a message, sends it with the Enter key, and waits until it comes back as the given entry of the chat.
async fn chat(page: &Page, text: &str, entry: usize) -> Result<()> {
    page.write("#text:enabled", &format!("{text}{}", Key::Enter)).await?;
    let echo = page.text(&format!("#messages .peer:nth-child({entry})")).await?;
    ensure!(echo.starts_with(text), "echoed: {echo:?}");
    Ok(())
}

async fn states_are_shown(page: &Page) -> Result<()> {
    for (name, state) in
        [("signaling", "stable"), ("ice-gathering", "complete"), ("connection", "connected"), ("channel", "open")]
    {
        for side in ["browser", "peer"] {
            page.find(&format!("#{side}-{name} [data-state={state}]")).await?;
        }
    }
    for side in ["browser", "peer"] {
        page.find(&format!("#{side}-ice-connection :is([data-state=connected], [data-state=completed])")).await?;
    }
    page.find("#problem[hidden]").await.map(drop)
}

/// Waits until the cell has been filled in, and returns its text.
async fn cell(page: &Page, id: &str) -> Result<String> {
    let filled = "
        for (;;) {
            const { textContent } = document.getElementById(parameters);
            if (textContent !== '–') return textContent;
            await new Promise((resolve) => requestAnimationFrame(resolve));
        }";
    let text = page.chromium().run(filled, json!(id)).await?;
    Ok(text.as_str().unwrap_or_default().to_owned())
}

async fn pair_is_shown(page: &Page) -> Result<()> {
    for side in ["browser", "peer"] {
        let kind = cell(page, &format!("{side}-type")).await?;
        ensure!(["host", "prflx", "srflx"].contains(&kind.as_str()), "{side}: {kind}");
        let address = cell(page, &format!("{side}-address")).await?;
        let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        ensure!(port.is_some_and(|port| port != 0), "{side}: {address}");
        ensure!(cell(page, &format!("{side}-protocol")).await? == "UDP");
        let round_trip = cell(page, &format!("{side}-rtt")).await?;
        let milliseconds =
            round_trip.trim_start_matches("< ").strip_suffix(" ms").and_then(|number| number.parse::<f64>().ok());
        ensure!(milliseconds.is_some_and(|milliseconds| milliseconds >= 0.0), "{side}: {round_trip}");
    }
    Ok(())
}

async fn agreement_is_shown(page: &Page) -> Result<()> {
    for side in ["browser", "peer"] {
        let encryption = cell(page, &format!("{side}-encryption")).await?;
        ensure!(encryption.starts_with("DTLS 1.") && encryption.contains("TLS_"), "{side}: {encryption}");
        let size = cell(page, &format!("{side}-message-size")).await?;
        ensure!(size.ends_with(" kB"), "{side}: {size}");
    }
    let set_up = cell(page, "sctp-set-up").await?;
    ensure!(set_up.contains(" streams each way"), "{set_up}");
    let extensions = cell(page, "sctp-extensions").await?;
    ensure!(extensions.starts_with("partial reliability, stream resets"), "{extensions}");
    Ok(())
}

/// Opens the page with this query, uses it, and connects again with the other side's offer.
async fn chat_states_and_pair(query: &str, other: &str, pictures: &str) -> Result<()> {
    let server = start_server()?;
    let page = Page::open(&format!("{}{query}", server.url())).await?;
    chat(&page, "Hello, peer!", 3).await?;
    chat(&page, "Ünïcödé — 🦀 <b>not bold</b>", 5).await?;
    states_are_shown(&page).await?;
    pair_is_shown(&page).await?;
    agreement_is_shown(&page).await?;
    page.screenshot(&format!("{pictures}-connected")).await?;

    page.click(&format!("input[name=offer][value={other}]")).await?;
    page.click("#again").await?;
    page.connected().await?;
    let words = if other == "peer" { "Rust peer made the offer" } else { "browser made the offer" };
    let note = page.text("#messages li:last-child").await?;
    ensure!(note.contains(words), "{note}");
    chat(&page, "once more", 8).await?;
    states_are_shown(&page).await?;
    pair_is_shown(&page).await?;
    let address = page.chromium().client().current_url().await?;
    ensure!(address.query() == Some(&format!("offer={other}")), "{address} is what a reload would load");

    page.click("#close").await?;
    page.find("#summary[data-state=closed]").await?;
    page.find("#text:disabled").await?;
    page.click("#again").await?;
    page.connected().await?;
    page.is_content().await?;
    drop(page);
    server.stop()
}

#[tokio::test]
async fn what_is_typed_comes_back_and_states_and_pair_show_when_the_browser_offers_and_then_the_peer() -> Result<()> {
    chat_states_and_pair("", "peer", "browser-offers").await
}

#[tokio::test]
async fn what_is_typed_comes_back_and_states_and_pair_show_when_the_peer_offers_and_then_the_browser() -> Result<()> {
    chat_states_and_pair("?offer=peer", "browser", "peer-offers").await
}

#[tokio::test]
async fn it_fits_a_narrow_display_and_a_dark_one() -> Result<()> {
    let server = start_server()?;
    let page = Page::open(&server.url()).await?;
    chat(&page, "Hello, peer!", 3).await?;
    pair_is_shown(&page).await?;
    agreement_is_shown(&page).await?;
    page.screenshot("light").await?;
    page.execute("document.documentElement.style.colorScheme = 'dark'", Vec::new()).await?;
    page.screenshot("dark").await?;
    page.execute("document.documentElement.style.colorScheme = ''", Vec::new()).await?;
    page.chromium().client().set_window_size(360, 2300).await?;
    let overflow = "return document.documentElement.scrollWidth - innerWidth";
    let overflow = page.execute(overflow, Vec::new()).await?;
    ensure!(overflow.as_i64().is_some_and(|pixels| pixels <= 0), "{overflow} pixels stick out");
    page.screenshot("narrow").await?;
    drop(page);
    server.stop()
}

#[tokio::test]
async fn it_is_plain_where_webrtc_is_missing() -> Result<()> {
    let server = start_server()?;
    let page = Page::open(&server.url()).await?;
    page.connected().await?;
    page.execute("delete window.RTCPeerConnection", Vec::new()).await?;
    page.click("#again").await?;
    let problem = page.problem().await?;
    ensure!(problem.contains("no WebRTC"), "{problem}");
    drop(page);
    server.stop()
}
