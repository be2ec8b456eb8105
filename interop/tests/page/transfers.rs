//! Files and floods, through the page's own controls.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use demo::Server;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{Page, start_server};

/// SHA-256 of nothing, and of `a` (FIPS 180-4).
const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HASH_OF_A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

async fn start(query: &str) -> Result<(Page, Server)> {
    let server = start_server()?;
    let page = Page::open(&format!("{}{query}", server.url())).await?;
    page.connected().await?;
    Ok((page, server))
}

fn file(content: &[u8]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::with_prefix("for the peer ")?;
    file.write_all(content)?;
    Ok(file)
}

/// Bytes in which no stretch of a block's length repeats.
fn pattern(size: u32) -> Vec<u8> {
    (0..size).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

async fn choose(page: &Page, file: &NamedTempFile) -> Result<()> {
    page.write("#file:enabled", file.path().to_str().context("a path in UTF-8")?).await
}

/// Both hashes of a transfer that has succeeded.
async fn hashes(page: &Page, nth: usize) -> Result<(String, String)> {
    let entry = format!(".transfer:nth-child({nth})[data-state=identical]");
    let sent = page.text(&format!("{entry} dd:nth-of-type(1)")).await?;
    let returned = page.text(&format!("{entry} dd:nth-of-type(2)")).await?;
    Ok((sent, returned))
}

async fn files_come_back(query: &str) -> Result<()> {
    let (page, server) = start(query).await?;
    let files = [file(b"")?, file(b"a")?, file(&pattern(5_000_003))?];
    for (index, file) in files.iter().enumerate() {
        choose(&page, file).await?;
        let (sent, returned) = hashes(&page, index + 1).await?;
        ensure!(sent == returned, "{sent} went, {returned} came back");
        let expected = [HASH_OF_NOTHING, HASH_OF_A].get(index);
        ensure!(expected.is_none_or(|expected| sent == *expected), "{sent}");
        let entry = page.text(&format!(".transfer:nth-child({})", index + 1)).await?;
        ensure!(entry.contains("Came back identical") && entry.matches("100 %").count() == 2, "{entry}");
    }
    page.is_content().await?;
    page.screenshot("files").await?;
    drop(page);
    server.stop()
}

#[tokio::test]
async fn files_of_no_byte_of_one_and_of_five_million_come_back_with_the_same_hash() -> Result<()> {
    files_come_back("").await
}

#[tokio::test]
async fn files_come_back_when_the_peer_offers() -> Result<()> {
    files_come_back("?offer=peer").await
}

#[tokio::test]
async fn dropped_files_are_taken_one_after_the_other_and_those_that_miss_do_not_replace_the_page() -> Result<()> {
    let (page, server) = start("").await?;
    let drop_files = "
        const dataTransfer = new DataTransfer();
        for (const name of ['one', 'two']) dataTransfer.items.add(new File([name.repeat(100_000)], name));
        const event = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true });
        document.querySelector(arguments[0]).dispatchEvent(event);
        return event.defaultPrevented";
    for target in ["h1", "#drop"] {
        let prevented = page.execute(drop_files, vec![json!(target)]).await?;
        ensure!(prevented == true, "on {target} the browser would load the file");
    }
    for nth in [1, 2] {
        let (sent, returned) = hashes(&page, nth).await?;
        ensure!(sent == returned);
    }
    ensure!(page.text("#transfers").await?.matches("Came back").count() == 2, "the drop on the title is no drop");
    drop(page);
    server.stop()
}

#[tokio::test]
async fn a_file_that_comes_back_changed_is_told_apart() -> Result<()> {
    let (page, server) = start("").await?;
    let change = "
        const { send } = RTCDataChannel.prototype;
        RTCDataChannel.prototype.send = function (data) {
            if (!(data instanceof Uint8Array)) return send.call(this, data);
            const changed = data.slice();
            changed[changed.length - 1] ^= 1;
            send.call(this, changed);
        }";
    page.execute(change, Vec::new()).await?;
    let small = file(&pattern(100_000))?;
    choose(&page, &small).await?;
    let entry = page.text(".transfer[data-state=different]").await?;
    ensure!(entry.contains("What came back is different"), "{entry}");
    drop(page);
    server.stop()
}

#[tokio::test]
async fn a_transfer_shows_its_progress_and_can_be_cancelled_and_the_next_one_succeeds() -> Result<()> {
    let (page, server) = start("").await?;
    let large = file(b"")?;
    large.as_file().set_len(400_000_000)?;
    choose(&page, &large).await?;
    let under_way = "
        const bars = document.querySelectorAll('.transfer progress');
        while (![...bars].every(({ value, max }) => value > max / 20)) await new Promise((resolve) => requestAnimationFrame(resolve));
        return [...bars].map(({ value, max }) => value / max);";
    let shares = page.chromium().run(under_way, Value::Null).await?;
    let [Some(sent), Some(returned)] = [shares[0].as_f64(), shares[1].as_f64()] else { anyhow::bail!("{shares}") };
    ensure!(0.0 < returned && returned <= sent && sent < 1.0, "{shares}");
    page.screenshot("mid-transfer").await?;
    page.click(".transfer button").await?;
    let entry = page.text(".transfer[data-state=failed]").await?;
    ensure!(entry.contains("cancelled"), "{entry}");
    let small = file(b"a")?;
    choose(&page, &small).await?;
    ensure!(hashes(&page, 2).await?.1 == HASH_OF_A);
    drop(page);
    server.stop()
}

#[tokio::test]
async fn the_page_hashes_as_the_browser_does_however_the_bytes_are_cut() -> Result<()> {
    let (page, server) = start("").await?;
    let compare = "
        const { Sha256 } = await import('/sha256.js');
        const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
        const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 2654435761) >>> 24);
        let compared = 0;
        for (const size of [...Array(200).keys(), 1000, 65_536, 300_000]) {
            const expected = hex(await crypto.subtle.digest('SHA-256', bytes.subarray(0, size)));
            for (const piece of [1, 63, 64, 65, 1000, 300_000]) {
                const hash = new Sha256();
                for (let at = 0; at < size; at += piece) hash.update(bytes.subarray(at, Math.min(size, at + piece)));
                const actual = hash.digest();
                if (actual !== expected) throw new Error(`${size} bytes in pieces of ${piece}: ${actual}, not ${expected}`);
                compared += 1;
            }
        }
        return compared;";
    let compared = page.chromium().run(compare, Value::Null).await?;
    ensure!(compared == 203 * 6, "{compared}");
    drop(page);
    server.stop()
}

/// The figure in a result, in megabytes per second.
async fn megabytes_per_second(page: &Page, way: &str) -> Result<f64> {
    let result = page.text(&format!("#flood-{way}-result[data-state=done]")).await?;
    let number =
        result.split(' ').zip(result.split(' ').skip(1)).find(|(_, unit)| *unit == "MB/s").map(|(number, _)| number);
    number.and_then(|number| number.parse().ok()).with_context(|| format!("a rate in {result:?}"))
}

async fn floods_run(query: &str) -> Result<()> {
    let (page, server) = start(query).await?;
    page.click("#amount option[value='10000000']").await?;
    page.click("#flood:enabled").await?;
    for way in ["up", "down"] {
        ensure!(megabytes_per_second(&page, way).await? > 0.0);
        let result = page.text(&format!("#flood-{way}-result")).await?;
        ensure!(result.contains("(10.0 MB in "), "{result}");
    }
    page.screenshot("flooded").await?;
    for way in ["up", "down"] {
        page.click(&format!("#flood-{way}:enabled")).await?;
        ensure!(megabytes_per_second(&page, way).await? > 0.0);
    }
    drop(page);
    server.stop()
}

#[tokio::test]
async fn floods_run_each_way_and_show_their_rate() -> Result<()> {
    floods_run("").await
}

#[tokio::test]
async fn floods_run_each_way_when_the_peer_offers() -> Result<()> {
    floods_run("?offer=peer").await
}

#[tokio::test]
async fn a_flood_shows_in_the_graph_and_can_be_stopped_and_the_next_one_runs() -> Result<()> {
    let (page, server) = start("").await?;
    for way in ["up", "down"] {
        page.click("#amount option[value='1000000000']").await?;
        page.click(&format!("#flood-{way}:enabled")).await?;
        let rises = "
            const highest = () => Math.max(...document.getElementById(`graph-${parameters}`).getAttribute('points').split(' ').map((point) => 40 - point.split(',')[1]));
            while (!(highest() > 5)) await new Promise((resolve) => requestAnimationFrame(resolve));
            return document.getElementById(`rate-${parameters}`).textContent;";
        let rate = page.chromium().run(rises, json!(way)).await?;
        ensure!(rate.as_str().is_some_and(|rate| rate.ends_with(" MB/s")), "{rate}");
        page.screenshot(&format!("mid-flood-{way}")).await?;
        page.click("#flood-stop:enabled").await?;
        let result = page.text(&format!("#flood-{way}-result[data-state=failed]")).await?;
        ensure!(result.contains("stopped"), "{result}");
        page.click("#amount option[value='10000000']").await?;
        page.click(&format!("#flood-{way}:enabled")).await?;
        ensure!(megabytes_per_second(&page, way).await? > 0.0);
    }
    drop(page);
    server.stop()
}
