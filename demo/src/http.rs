//! The page, and the way to its peer: an HTTP server with a WebSocket at `/signal`.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::Router;
use axum::extract::{RawQuery, State, WebSocketUpgrade};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::sync::mpsc;

use crate::session::{Offerer, Sessions};
use crate::signal::{MAX_SIGNAL_BYTES, serve_browser};

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// The page, with all that it loads.
static FILES: [File; 15] = [
    File { path: "/", content_type: HTML, content: include_str!("page/index.html") },
    File { path: "/page.css", content_type: STYLE, content: include_str!("page/page.css") },
    File { path: "/icon.svg", content_type: PICTURE, content: include_str!("page/icon.svg") },
    File { path: "/page.js", content_type: SCRIPT, content: include_str!("page/page.js") },
    File { path: "/chat.js", content_type: SCRIPT, content: include_str!("page/chat.js") },
    File { path: "/connection.js", content_type: SCRIPT, content: include_str!("page/connection.js") },
    File { path: "/diagnosis.js", content_type: SCRIPT, content: include_str!("page/diagnosis.js") },
    File { path: "/fault.js", content_type: SCRIPT, content: include_str!("page/fault.js") },
    File { path: "/file.js", content_type: SCRIPT, content: include_str!("page/file.js") },
    File { path: "/flood.js", content_type: SCRIPT, content: include_str!("page/flood.js") },
    File { path: "/graph.js", content_type: SCRIPT, content: include_str!("page/graph.js") },
    File { path: "/pipe.js", content_type: SCRIPT, content: include_str!("page/pipe.js") },
    File { path: "/sha256.js", content_type: SCRIPT, content: include_str!("page/sha256.js") },
    File { path: "/statistics.js", content_type: SCRIPT, content: include_str!("page/statistics.js") },
    File { path: "/view.js", content_type: SCRIPT, content: include_str!("page/view.js") },
];

/// Nothing but what this server serves, and nothing inline. `'self'` covers the WebSocket of the same host and port (CSP level 3).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// What the answers are made of.
#[derive(Clone)]
struct Application {
    sessions: Sessions,
    /// Every signalling connection holds this channel open for as long as it lasts. Nothing is ever sent.
    presence: mpsc::WeakSender<Infallible>,
    reach: Reach,
}

/// Who can reach the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Programs of this machine only.
    Loopback,
    /// Other machines too, under whatever name they know this one by.
    Network,
}

/// All that the server answers.
pub(crate) fn router(sessions: Sessions, presence: mpsc::WeakSender<Infallible>, reach: Reach) -> Router {
    let page = FILES.iter().fold(Router::new(), |router, file| router.route(file.path, get(async || serve(file))));
    page.route("/signal", any(signal)).with_state(Application { sessions, presence, reach })
}

fn serve(&File { content_type, content, .. }: &File) -> Response {
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
    State(Application { sessions, presence, reach }): State<Application>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) || !is_meant(&headers, reach) {
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

/// A page of another server can be made to look as if it came from this one, if its name is made to lead here (DNS rebinding). On loopback this server has one name.
fn is_meant(headers: &HeaderMap, reach: Reach) -> bool {
    let authority = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let is_own = |host: &str| host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    reach == Reach::Network || authority.is_none_or(|authority| is_own(authority.host()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_made_to_lead_here_is_not_ours() {
        let host = |host| HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        for own in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "localhost"] {
            assert!(is_meant(&host(own), Reach::Loopback), "{own}");
        }
        assert!(!is_meant(&host("evil.example:8080"), Reach::Loopback));
        assert!(is_meant(&host("workshop.local:8080"), Reach::Network));
    }

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
