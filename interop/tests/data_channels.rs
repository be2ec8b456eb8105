//! Data channels between a browser and the Rust peer: whoever offers, whether the browser tells its addresses or not.

use anyhow::{Result, ensure};
use demo::{Options, Server};
use interop::{Browser, BrowserKind, HostCandidates, scripts};
use serde_json::{Value, json};

/// What a test is run with.
#[derive(Clone, Copy, Debug)]
struct Case {
    kind: BrowserKind,
    offerer: &'static str,
    candidates: HostCandidates,
}

/// A browser that is connected to a peer of its own server.
struct Connected {
    browser: Browser,
    server: Server,
}

impl Connected {
    async fn new(Case { kind, offerer, candidates }: Case) -> Result<Self> {
        let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
        let browser = Browser::start(kind, candidates).await?;
        browser.open(&format!("{}page.css", server.url())).await?;
        // Firefox has a preference for that.
        let media = kind == BrowserKind::Chromium && candidates == HostCandidates::Addresses;
        browser.run("await interop.connect(parameters)", json!({ "offer": offerer, "media": media })).await?;
        Ok(Self { browser, server })
    }

    fn end(self) -> Result<()> {
        drop(self.browser);
        self.server.stop()
    }
}

/// The browser tells the kind of candidates that the test is about, and the connection runs between host candidates.
async fn connects(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    let local = connected.browser.run("return interop.localCandidates", Value::Null).await?;
    let lines: Vec<&str> = local.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let hidden = lines.iter().filter(|line| line.contains(".local ")).count();
    let expected = if case.candidates == HostCandidates::MulticastDns { lines.len() } else { 0 };
    ensure!(!lines.is_empty() && hidden == expected, "{case:?}: {lines:?}");
    scripts::is_direct(&connected.browser).await?;
    connected.end()
}

async fn messages_come_back_intact(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    scripts::echo_all_sizes(&connected.browser).await?;
    connected.end()
}

async fn twenty_megabytes_each_way_arrive_complete_and_in_order(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    scripts::flood_each_way(&connected.browser).await?;
    connected.end()
}

async fn a_channel_closes_from_either_side_while_others_live_on(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    scripts::close_channels_from_either_side(&connected.browser).await?;
    connected.end()
}

/// The browser hears it from the peer: without a word, it would take ICE half a minute to notice (RFC 7675 §5.1).
async fn closing_the_connection_closes_its_channels(case: Case) -> Result<()> {
    let Connected { browser, server } = Connected::new(case).await?;
    browser.run("await (await interop.open('chat')).echo('text', 1)", Value::Null).await?;
    server.stop()?;
    let milliseconds = scripts::until_chat_is_closed(&browser).await?;
    ensure!(milliseconds < 5_000.0, "the channel closed after {milliseconds} ms");
    Ok(())
}

macro_rules! in_every_case {
    ($($behaviour:ident)+) => {
        $(mod $behaviour {
            use interop::BrowserKind::{Chromium, Firefox};
            use interop::HostCandidates::{Addresses, MulticastDns};

            use super::Case;

            #[tokio::test]
            async fn when_chromium_offers_with_addresses() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Chromium, offerer: "browser", candidates: Addresses }).await
            }

            #[tokio::test]
            async fn when_the_peer_offers_to_a_chromium_with_addresses() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Chromium, offerer: "peer", candidates: Addresses }).await
            }

            #[tokio::test]
            async fn when_chromium_offers_with_names() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Chromium, offerer: "browser", candidates: MulticastDns }).await
            }

            #[tokio::test]
            async fn when_the_peer_offers_to_a_chromium_with_names() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Chromium, offerer: "peer", candidates: MulticastDns }).await
            }

            #[tokio::test]
            async fn when_firefox_offers_with_addresses() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Firefox, offerer: "browser", candidates: Addresses }).await
            }

            #[tokio::test]
            async fn when_firefox_offers_with_names() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Firefox, offerer: "browser", candidates: MulticastDns }).await
            }

            #[tokio::test]
            async fn when_the_peer_offers_to_a_firefox_with_addresses() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Firefox, offerer: "peer", candidates: Addresses }).await
            }

            #[tokio::test]
            async fn when_the_peer_offers_to_a_firefox_with_names() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Firefox, offerer: "peer", candidates: MulticastDns }).await
            }
        })+
    };
}

in_every_case! {
    connects
    messages_come_back_intact
    twenty_megabytes_each_way_arrive_complete_and_in_order
    a_channel_closes_from_either_side_while_others_live_on
    closing_the_connection_closes_its_channels
}
