//! The page without a mouse.

use anyhow::{Result, ensure};
use fantoccini::key::Key;

use crate::support::{Page, start_server};

#[tokio::test]
async fn everything_can_be_done_with_the_keyboard_and_the_focus_can_always_be_seen() -> Result<()> {
    let server = start_server()?;
    let page = Page::open(&server.url()).await?;
    let client = page.chromium().client();
    page.connected().await?;
    ensure!(client.active_element().await?.attr("id").await?.as_deref() == Some("text"), "writing can begin at once");
    client.active_element().await?.send_keys("by keyboard").await?;
    page.press(Key::Enter).await?;
    page.find("#messages .peer").await?;

    page.tab_to("input[name=offer]").await?;
    page.press(Key::Right).await?;
    page.find("input[value=peer]:checked").await?;
    page.tab_to("#again").await?;
    page.press(Key::Enter).await?;
    page.find("#messages .note:last-child").await?;
    page.connected().await?;
    ensure!(client.active_element().await?.attr("id").await?.as_deref() == Some("again"), "the focus stays");

    // The system's dialogue is beyond a test: what opens it is a click, which is kept from doing so.
    let count = "window.asked = 0; document.getElementById('file').addEventListener('click', (event) => {
        event.preventDefault();
        window.asked += 1;
    })";
    page.execute(count, Vec::new()).await?;
    page.tab_to("#file").await?;
    page.press(Key::Enter).await?;
    page.press(Key::Space).await?;
    ensure!(page.execute("return window.asked", Vec::new()).await? == 2, "Enter and Space ask for a file");

    page.tab_to("#amount").await?;
    page.press('1').await?;
    page.tab_to("#flood-up").await?;
    page.press(Key::Space).await?;
    page.find("#flood-up-result[data-state=done]").await?;
    page.find("#flood-up:focus").await?;
    page.tab_to("#events").await?;
    // And round again: nothing holds the focus back.
    page.tab_to("#text").await?;
    page.tab_to("#close").await?;
    page.press(Key::Space).await?;
    page.find("#summary[data-state=closed]").await?;
    drop(page);
    server.stop()
}
