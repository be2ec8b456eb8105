//! Data channels between a browser and the Rust peer: whoever offers, whether the browser tells its addresses or not.

use anyhow::{Result, ensure};
use demo::{Options, Server};
use interop::{Browser, BrowserKind, HostCandidates};
use serde_json::{Value, json};

/// Bytes of a flood, each way.
const FLOOD_BYTES: u64 = 20_000_000;

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

    async fn run(&self, body: &str, parameters: Value) -> Result<Value> {
        self.browser.run(body, parameters).await
    }

    fn end(self) -> Result<()> {
        drop(self.browser);
        self.server.stop()
    }
}

/// The browser tells the kind of candidates that the test is about, and the connection runs between host candidates.
async fn connects(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    let local = connected.run("return interop.localCandidates", Value::Null).await?;
    let lines: Vec<&str> = local.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let hidden = lines.iter().filter(|line| line.contains(".local ")).count();
    let expected = if case.candidates == HostCandidates::MulticastDns { lines.len() } else { 0 };
    ensure!(!lines.is_empty() && hidden == expected, "{case:?}: {lines:?}");
    let pair = connected.run("return interop.selectedPair()", Value::Null).await?;
    ensure!(pair["local"]["protocol"] == "udp" && pair["remote"]["candidateType"] == "host", "{pair}");
    connected.end()
}

/// Each size as text and as binary, the limits of packets, buffers and 16-bit lengths among them.
async fn messages_come_back_intact(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    let sizes = [0, 1, 2, 1199, 1200, 1201, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 100_000, 204_800];
    let script = "
        const chat = await interop.open('chat');
        for (const size of parameters) {
            await chat.echo('text', size);
            await chat.echo('binary', size);
        }
        for (const size of parameters.toReversed()) await chat.echo('binary', size);";
    connected.run(script, json!(sizes)).await?;
    connected.end()
}

async fn twenty_megabytes_each_way_arrive_complete_and_in_order(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    let to_the_peer = "return (await interop.open('sink')).flood(parameters.bytes, 16384)";
    let outcome = connected.run(to_the_peer, json!({ "bytes": FLOOD_BYTES })).await?;
    ensure!(outcome["received"] == FLOOD_BYTES && outcome["inOrder"] == true, "to the peer: {outcome}");
    let to_the_browser = "return (await interop.open('flood')).takeFlood(parameters.bytes, 16384)";
    let outcome = connected.run(to_the_browser, json!({ "bytes": FLOOD_BYTES })).await?;
    ensure!(outcome["received"] == FLOOD_BYTES && outcome["inOrder"] == true, "to the browser: {outcome}");
    connected.end()
}

async fn a_channel_closes_from_either_side_while_others_live_on(case: Case) -> Result<()> {
    let connected = Connected::new(case).await?;
    let script = "
        const [chat, first, second] = [await interop.open('chat'), await interop.open('first'), await interop.open('second')];
        for (const channel of [chat, first, second]) await channel.echo('text', 10);
        first.channel.close();
        await within(first.closed, 'close of first');
        await interop.peerChannel('first', 'closed');
        await second.echo('text', 10);
        second.send('please-close');
        await within(second.closed, 'close of second');
        await interop.peerChannel('second', 'closed');
        await chat.echo('text', 10);
        const again = await interop.create('first').opened();
        await again.echo('binary', 10);
        await chat.echo('binary', 10);";
    connected.run(script, Value::Null).await?;
    connected.end()
}

/// The browser hears it from the peer: without a word, it would take ICE half a minute to notice (RFC 7675 §5.1).
async fn closing_the_connection_closes_its_channels(case: Case) -> Result<()> {
    let Connected { browser, server } = Connected::new(case).await?;
    browser.run("await (await interop.open('chat')).echo('text', 1)", Value::Null).await?;
    server.stop()?;
    let script = "
        const began = performance.now();
        await within(interop.channels.get('chat').closed, 'close of chat');
        return performance.now() - began;";
    let milliseconds = browser.run(script, Value::Null).await?;
    ensure!(milliseconds.as_f64().is_some_and(|waited| waited < 5_000.0), "the channel closed after {milliseconds} ms");
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
            async fn when_firefox_offers_with_names() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Firefox, offerer: "browser", candidates: MulticastDns }).await
            }

            #[tokio::test]
            async fn when_the_peer_offers_to_a_firefox_with_addresses() -> anyhow::Result<()> {
                super::$behaviour(Case { kind: Firefox, offerer: "peer", candidates: Addresses }).await
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
