//! What browsers and the peer agree on for DTLS and SCTP, as both tell it. What the connection needs is asserted; the rest is printed.

use anyhow::{Context, Result, ensure};
use interop::{Browser, BrowserKind, HostCandidates, ScriptedPeer};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stdio_peer");

/// The least number of streams that is of use, and the least message size: what both sides may count on if `a=max-message-size` is absent (RFC 8841 §6.1).
const MIN_STREAMS: u64 = 256;
const MIN_MESSAGE_SIZE: u64 = 65_536;

/// What the browser knows. Not every one tells of its transport.
const BROWSER_SIDE: &str = "
    const stats = [...(await interop.pc.getStats()).values()];
    const { tlsVersion, dtlsCipher } = stats.find(({ type }) => type === 'transport') ?? {};
    const describes = ({ sdp }) => sdp.includes('a=sctp-init:');
    return {
        name: navigator.userAgent.match(/(Firefox|HeadlessChrome|Chrome)\\/[0-9.]+/)[0],
        tlsVersion: tlsVersion ?? null,
        dtlsCipher: dtlsCipher ?? null,
        describesSctp: describes(interop.pc.localDescription) && describes(interop.pc.remoteDescription),
        maxMessageSize: interop.pc.sctp.maxMessageSize,
        maxChannels: interop.pc.sctp.maxChannels,
    };";

#[expect(clippy::print_stdout, reason = "what is negotiated is for whoever asks for the output of the test")]
async fn agree(kind: BrowserKind) -> Result<()> {
    let browser = Browser::start(kind, HostCandidates::MulticastDns).await?;
    for offer in ["browser", "peer"] {
        let role = if offer == "peer" { "offerer" } else { "answerer" };
        let mut peer = ScriptedPeer::start(PROGRAM, &["--role", role]).await?;
        browser.open(peer.url()).await?;
        let connect = "await interop.connect(parameters); await (await interop.open('echo')).echo('text', 9)";
        browser.run(connect, json!({ "offer": offer, "label": "echo" })).await?;
        let seen = browser.run(BROWSER_SIDE, Value::Null).await?;
        peer.command(&json!({ "cmd": "stats", "id": 1 })).await?;
        let stats = peer.until("statistics", |event| event["what"] == "getStats").await?;
        let (transport, sctp) = (&stats["transport"], &stats["sctp"]);
        println!("{}, offer by {offer}: {}", seen["name"].as_str().context("a name")?, in_words(&stats));

        ensure!(transport["tlsVersion"] == "FEFC" || transport["tlsVersion"] == "FEFD", "{stats}");
        ensure!(transport["dtlsCipher"].as_str().is_some_and(|name| name.starts_with("TLS_")), "{stats}");
        for field in ["tlsVersion", "dtlsCipher"] {
            let same = |told: &str| transport[field].as_str().is_some_and(|ours| ours.eq_ignore_ascii_case(told));
            ensure!(seen[field].as_str().is_none_or(same), "{field}: {seen} {stats}");
        }
        for needed in ["partialReliability", "streamResets"] {
            ensure!(sctp[needed] == true, "{needed}: {stats}");
        }
        let set_up = if seen["describesSctp"] == true { "descriptions" } else { "handshake" };
        ensure!(sctp["setUp"] == set_up, "{seen} {stats}");
        for streams in ["outboundStreams", "inboundStreams"] {
            ensure!(sctp[streams].as_u64().is_some_and(|count| count >= MIN_STREAMS), "{stats}");
        }
        for size in [&stats["maxMessageSize"], &seen["maxMessageSize"]] {
            ensure!(size.as_u64().is_some_and(|size| size >= MIN_MESSAGE_SIZE), "{seen} {stats}");
        }
        peer.command(&json!({ "cmd": "close" })).await?;
        peer.event("done").await?;
    }
    Ok(())
}

fn in_words(stats: &Value) -> String {
    let (transport, sctp) = (&stats["transport"], &stats["sctp"]);
    let or_no = |name: &str| if sctp[name] == true { "yes" } else { "no" };
    format!(
        "DTLS {} {}, the peer is its {}; SCTP by {}, streams {} out {} in; interleaving {}, zero checksum {}, partial reliability {}, stream resets {}; messages of up to {} bytes",
        transport["tlsVersion"],
        transport["dtlsCipher"],
        transport["dtlsRole"],
        sctp["setUp"],
        sctp["outboundStreams"],
        sctp["inboundStreams"],
        or_no("interleaving"),
        or_no("zeroChecksum"),
        or_no("partialReliability"),
        or_no("streamResets"),
        stats["maxMessageSize"],
    )
}

#[tokio::test]
async fn chromium_and_the_peer_tell_the_same_of_dtls_and_have_the_extensions_that_channels_need() -> Result<()> {
    agree(BrowserKind::Chromium).await
}

#[tokio::test]
async fn firefox_and_the_peer_tell_the_same_of_dtls_and_have_the_extensions_that_channels_need() -> Result<()> {
    agree(BrowserKind::Firefox).await
}
