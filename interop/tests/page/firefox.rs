//! The page in Firefox. Its driver takes scripts only, so they press the page's buttons.

use anyhow::{Result, ensure};
use interop::{Browser, BrowserKind, HostCandidates};
use serde_json::Value;

use crate::support::start_server;

const USE: &str = "
    const find = (selector) => document.querySelector(selector);
    const wait = async (condition, what) => {
        const end = performance.now() + 120_000;
        while (!condition()) {
            if (performance.now() > end) throw new Error(`no ${what}: ${document.body.innerText}`);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    };
    await wait(() => find('#summary[data-state=connected]'), 'connection');
    find('#text').value = 'Hello from Firefox';
    find('#send').click();
    await wait(() => find('#messages .peer'), 'echo');
    const files = new DataTransfer();
    files.items.add(new File([], 'empty'));
    files.items.add(new File([Uint8Array.from({ length: 1_000_003 }, (_, index) => index >> 3)], 'large'));
    find('#file').files = files.files;
    find('#file').dispatchEvent(new Event('change'));
    await wait(() => document.querySelectorAll('.transfer[data-state=identical]').length === 2, 'files');
    find('#amount').value = '10000000';
    find('#flood').click();
    await wait(() => find('#flood-up-result[data-state]') && find('#flood-down-result[data-state]'), 'floods');
    await wait(() => find('#browser-address').textContent !== '–' && find('#peer-rtt').textContent !== '–', 'pair');
    await wait(() => find('#sctp-extensions').textContent !== '–', 'SCTP extensions');
    const text = (selector) => find(selector).textContent;
    return {
        extensions: text('#sctp-extensions'), encryption: text('#peer-encryption'),
        up: text('#flood-up-result'), down: text('#flood-down-result'), echo: text('#messages .peer'),
        pair: ['browser-type', 'browser-address', 'browser-rtt', 'peer-type', 'peer-address', 'peer-rtt'].map((id) => text(`#${id}`)),
    };";

async fn works(query: &str) -> Result<()> {
    let server = start_server()?;
    let browser = Browser::start(BrowserKind::Firefox, HostCandidates::MulticastDns).await?;
    browser.open(&format!("{}{query}", server.url())).await?;
    let seen = browser.run(USE, Value::Null).await?;
    ensure!(seen["echo"].as_str().is_some_and(|echo| echo.starts_with("Hello from Firefox")), "{seen:#}");
    let says = |name: &str, words: &str| seen[name].as_str().is_some_and(|text| text.starts_with(words));
    ensure!(says("extensions", "partial reliability, stream resets") && says("encryption", "DTLS 1."), "{seen:#}");
    for way in ["up", "down"] {
        ensure!(seen[way].as_str().is_some_and(|result| result.contains(" MB/s (10.0 MB in ")), "{seen:#}");
    }
    drop(browser);
    server.stop()
}

#[tokio::test]
async fn chat_files_and_floods_work_when_firefox_offers() -> Result<()> {
    works("").await
}

#[tokio::test]
async fn chat_files_and_floods_work_when_the_peer_offers_to_firefox() -> Result<()> {
    works("?offer=peer").await
}
