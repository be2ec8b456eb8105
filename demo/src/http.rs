//! The page, and the way to its peer: an HTTP server with a WebSocket at `/signal`.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{RawQuery, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::sync::mpsc;

use crate::session::{Offerer, Sessions};
use crate::signal::{MAX_SIGNAL_BYTES, serve_browser};

const PAGE: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// Nothing but what this server serves. `ws:` is named, since not every browser counts it under `'self'`.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; connect-src 'self' ws:; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

/// What the answers are made of.
#[derive(Clone)]
struct Application {
    sessions: Sessions,
    /// Every signalling connection holds this channel open for as long as it lasts. Nothing is ever sent.
    presence: mpsc::WeakSender<Infallible>,
}

/// All that the server answers.
pub(crate) fn router(sessions: Sessions, presence: mpsc::WeakSender<Infallible>) -> Router {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", PAGE)))
        .route("/page.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/page.css", get(async || file("text/css; charset=utf-8", STYLE)))
        .route("/signal", any(signal))
        .with_state(Application { sessions, presence })
}

fn file(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, content).into_response()
}

async fn signal(
    State(Application { sessions, presence }): State<Application>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "signalling is for the page of this server only\n").into_response();
    }
    let offerer = match query.as_deref() {
        None | Some("" | "offer=browser") => Offerer::Browser,
        Some("offer=peer") => Offerer::Peer,
        Some(_) => return (StatusCode::BAD_REQUEST, "expected ?offer=browser or ?offer=peer\n").into_response(),
    };
    let Some(present) = presence.upgrade() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the program is about to end\n").into_response();
    };
    upgrade.max_message_size(MAX_SIGNAL_BYTES).max_frame_size(MAX_SIGNAL_BYTES).on_upgrade(async move |socket| {
        serve_browser(socket, sessions, offerer).await;
        drop(present);
    })
}

/// A browser tells which page opened the WebSocket, and does not hold pages of other servers back by itself. Other programs send no `Origin`.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    match text(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
            authority.is_some() && authority == text(header::HOST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn only_the_page_of_this_server_may_signal() {
        assert!(same_origin(&headers(Some("http://127.0.0.1:8080"))));
        assert!(same_origin(&headers(None)));
        assert!(!same_origin(&headers(Some("http://evil.example"))));
        assert!(!same_origin(&headers(Some("http://127.0.0.1:8081"))));
        assert!(!same_origin(&headers(Some("null"))));
    }
}
