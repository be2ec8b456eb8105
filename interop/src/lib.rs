//! End-to-end tests against real browsers: the harness that starts them. The tests themselves are in `tests/`.
//!
//! A [`Browser`] is started headless, with a fresh profile, and ends when it is dropped: Chromium through a chromedriver of its own on a free port, Firefox over WebDriver BiDi.
//! One runs at a time. Scripts run in its page with [`Browser::run`]; `browser.js` gives them `interop`, which connects to a peer and waits for events. The peer is that of a
//! `demo::Server`, or a process of its own that the test commands: a [`ScriptedPeer`]. A [`Coturn`] relays between them. What several tests do in the page is in [`scripts`]. `cargo xtask interop long` is the program `long_run`, with [`processes`].
//! Two such processes without a browser are a [`ScriptedPair`], perhaps in two homes of a [`Network`] that is made of network namespaces.

mod browser;
mod chromedriver;
mod chromium;
pub mod coturn;
mod firefox;
mod namespaces;
pub mod processes;
mod scripted_peer;
pub mod scripts;

pub use browser::{Browser, BrowserKind, HostCandidates};
pub use chromium::Chromium;
pub use coturn::Coturn;
pub use firefox::Firefox;
pub use namespaces::{Mapping, Network};
pub use scripted_peer::{PeerProcess, ScriptedPair, ScriptedPeer};
