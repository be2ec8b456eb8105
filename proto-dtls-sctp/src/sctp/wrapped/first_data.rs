//! The first packet with data, which goes along with the COOKIE ECHO (RFC 9260 §5.1 C).

use bytes::Bytes;

use crate::sctp::packet::{self, HEADER_SIZE};

/// Where it stands.
#[derive(Debug)]
pub(super) enum FirstData {
    /// There is none yet.
    Awaited,
    /// It does not fit behind the COOKIE ECHO, and is sent later.
    TooLong,
    /// It goes out whenever the COOKIE ECHO does. That the association sends it again like any other is for later.
    Riding(Bytes),
}

impl FirstData {
    /// Decides about the first packet that there is. Returns it if it must wait.
    pub(super) fn settle(&mut self, data: Bytes, cookie_echo: &[u8], limit: usize) -> Option<Bytes> {
        if cookie_echo.len() + data.len().saturating_sub(HEADER_SIZE) <= limit {
            *self = Self::Riding(data);
            return None;
        }
        *self = Self::TooLong;
        Some(data)
    }

    /// Appends the chunks of the packet to those of the COOKIE ECHO.
    pub(super) fn append(&self, cookie_echo: &mut Vec<u8>) {
        if let Self::Riding(data) = self {
            cookie_echo.extend_from_slice(data.get(HEADER_SIZE..).unwrap_or_default());
            packet::put_checksum(cookie_echo);
        }
    }
}
