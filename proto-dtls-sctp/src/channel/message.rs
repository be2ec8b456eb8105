//! Messages of the application.

use std::borrow::Cow;

use bytes::Bytes;

/// What the payload of a message is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageKind {
    /// A string in UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// A message, of any length within the limits; empty ones too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What the payload is.
    pub kind: MessageKind,
    /// The payload.
    pub payload: Bytes,
}

impl Message {
    /// A string.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: MessageKind::Text, payload: Bytes::from(text.into()) }
    }

    /// Bytes.
    #[must_use]
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self { kind: MessageKind::Binary, payload: payload.into() }
    }

    /// The text of a string message; bytes that are not UTF-8 are replaced, as browsers do. `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        (self.kind == MessageKind::Text).then(|| String::from_utf8_lossy(&self.payload))
    }
}
