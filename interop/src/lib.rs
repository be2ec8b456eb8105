//! End-to-end tests against real browsers: the harness that starts them. The tests themselves are in `tests/`.
//!
//! A [`Chromium`] is started headless, with a fresh profile, through a chromedriver of its own on a free port, and both end with it. One runs at a time. Scripts run in its
//! page with [`Chromium::run`]; `browser.js` gives them `interop`, which connects to the demo's peer and waits for events.

mod chromedriver;
mod chromium;

pub use chromium::{Chromium, HostCandidates};
