//! What a test does in the page, whatever peer is on the other side: the peer of a `demo::Server`, or one that behaves like it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Browser;

/// Bytes of a flood.
const FLOOD_BYTES: u64 = 20_000_000;
/// Sizes of messages, the limits of packets, buffers and 16-bit lengths among them.
const SIZES: [u32; 14] =
    [0, 1, 2, 1_199, 1_200, 1_201, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 100_000, 204_800];

/// Makes sure that the connection runs over UDP to an address of the peer's host. Firefox goes on calling it peer-reflexive where a check was faster than the candidate.
///
/// # Errors
/// It does not.
pub async fn is_direct(browser: &Browser) -> Result<()> {
    let pair = browser.run("return interop.selectedPair()", Value::Null).await?;
    let is_host = ["host", "prflx"].into_iter().any(|kind| pair["remote"]["candidateType"] == kind);
    ensure!(pair["local"]["protocol"] == "udp" && is_host, "{pair}");
    Ok(())
}

/// Sends messages of each size as text and as binary, and compares what comes back.
///
/// # Errors
/// Something else came back, or nothing.
pub async fn echo_all_sizes(browser: &Browser) -> Result<()> {
    let script = "
        const chat = await interop.open('chat');
        for (const size of parameters) {
            await chat.echo('text', size);
            await chat.echo('binary', size);
        }
        for (const size of parameters.toReversed()) await chat.echo('binary', size);";
    browser.run(script, json!(SIZES)).await.map(drop)
}

/// Sends 20 MB to the peer, then asks it for as much.
///
/// # Errors
/// Something was lost or came out of order.
pub async fn flood_each_way(browser: &Browser) -> Result<()> {
    for (direction, script) in [
        ("to the peer", "return (await interop.open('sink')).flood(parameters, 16384)"),
        ("to the browser", "return (await interop.open('flood')).takeFlood(parameters, 16384)"),
    ] {
        let outcome = browser.run(script, json!(FLOOD_BYTES)).await?;
        ensure!(outcome["received"] == FLOOD_BYTES && outcome["inOrder"] == true, "{direction}: {outcome}");
    }
    Ok(())
}

/// Closes one of three channels, has the peer close another, and uses the third and a new one.
///
/// # Errors
/// A channel did not close on both sides, or one that should live on did not.
pub async fn close_channels_from_either_side(browser: &Browser) -> Result<()> {
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
    browser.run(script, Value::Null).await.map(drop)
}

/// Waits until the channel "chat" is closed, and returns how many milliseconds that took.
///
/// # Errors
/// It stays open.
pub async fn until_chat_is_closed(browser: &Browser) -> Result<f64> {
    let script = "
        const began = performance.now();
        await within(interop.channels.get('chat').closed, 'close of chat');
        return performance.now() - began;";
    browser.run(script, Value::Null).await?.as_f64().context("a time is a number")
}
