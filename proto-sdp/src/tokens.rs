//! Values that cannot be wrong: every constructor checks the grammar.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::error::ValueError;
use crate::limits::{MAX_ICE_OPTIONS, MAX_LINE_BYTES, MAX_TOKEN_BYTES};

/// Declares a checked string: constructor, accessor, `Display` and `FromStr`.
macro_rules! checked_string {
    ($(#[$documentation:meta])* $name:ident, $check:expr) => {
        $(#[$documentation])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks the text against the grammar.
            ///
            /// # Errors
            ///
            /// The text does not follow the grammar given above.
            pub fn new(text: &str) -> Result<Self, ValueError> {
                let check: fn(&str) -> Result<(), ValueError> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                Self::new(text)
            }
        }
    };
}

/// `Display` and `Debug` for those checked strings that are no secrets.
macro_rules! shown {
    ($($name:ident),*) => {
        $(
            impl fmt::Display for $name {
                fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                    formatter.write_str(&self.0)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(formatter, concat!(stringify!($name), "({:?})"), self.0)
                }
            }
        )*
    };
}

checked_string!(
    /// A media section's identification tag, `a=mid` (RFC 5888 §4): a token of 1 to 256 bytes.
    Mid,
    |text| check_token("mid", text)
);
checked_string!(
    /// A token of RFC 8866 §9, 1 to 256 bytes.
    Token,
    |text| check_token("token", text)
);
checked_string!(
    /// The transport protocol of an `m=` line: tokens separated by `/`, 1 to 256 bytes (RFC 8866 §9).
    Protocol,
    check_protocol
);
checked_string!(
    /// Text without NUL, CR and LF (RFC 8866 §9, byte-string), at most one line long.
    Text,
    check_text
);
checked_string!(
    /// `a=ice-ufrag`: 4 to 256 ice-chars (RFC 8839 §5.4).
    UsernameFragment,
    |text| check_ice_characters("ice-ufrag", text, 4, 256)
);
checked_string!(
    /// `a=ice-pwd`: 22 to 256 ice-chars (RFC 8839 §5.4). Its `Debug` does not show it.
    Password,
    |text| check_ice_characters("ice-pwd", text, 22, 256)
);
checked_string!(
    /// A candidate's foundation: 1 to 32 ice-chars (RFC 8839 §5.1).
    Foundation,
    |text| check_ice_characters("candidate foundation", text, 1, 32)
);
checked_string!(
    /// `a=tls-id`: 20 to 255 letters, digits or `+`, `/`, `-`, `_` (RFC 8842 §5).
    TlsId,
    check_tls_id
);
checked_string!(
    /// A host name in a candidate: letters, digits, `-`, `_` and `.`, 1 to 255 bytes (RFC 8839 §5.1, FQDN).
    HostName,
    check_host_name
);

shown!(Mid, Token, Protocol, Text, UsernameFragment, Foundation, TlsId, HostName);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

impl Mid {
    /// A number as a mid.
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl Token {
    /// The semantics of a BUNDLE group.
    pub(crate) fn bundle() -> Self {
        Self("BUNDLE".to_owned())
    }

    /// The format of a data section (RFC 8841 §4.3).
    pub(crate) fn webrtc_datachannel() -> Self {
        Self("webrtc-datachannel".to_owned())
    }
}

impl Protocol {
    /// The protocol of a data section over UDP (RFC 8841 §4.1).
    pub(crate) fn udp_dtls_sctp() -> Self {
        Self("UDP/DTLS/SCTP".to_owned())
    }
}

impl Text {
    /// `s=-`, the session name of JSEP §5.2.1.
    pub(crate) fn dash() -> Self {
        Self("-".to_owned())
    }
}

impl HostName {
    /// Whether this is a name of mDNS, to be resolved on the local link: a single label under `.local`
    /// (draft-ietf-mmusic-mdns-ice-candidates §3.2.1).
    #[must_use]
    pub fn is_local(&self) -> bool {
        let name = self.0.strip_suffix('.').unwrap_or(&self.0);
        name.split_once('.').is_some_and(|(label, domain)| !label.is_empty() && domain.eq_ignore_ascii_case("local"))
    }
}

/// `a=ice-options`: a set of tags in the order given, 1 to 32 of them (RFC 8839 §5.6).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IceOptions(Vec<String>);

impl IceOptions {
    /// No options. This is not written.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// `trickle ice2`, what an endpoint that follows RFC 8838 and RFC 8445 §10 offers.
    #[must_use]
    pub fn trickle_ice2() -> Self {
        Self(vec!["trickle".to_owned(), "ice2".to_owned()])
    }

    /// Adds a tag at the end unless it is there already.
    ///
    /// # Errors
    ///
    /// The tag is not made of 1 to 256 visible characters, or there are 32 tags already.
    pub fn with(mut self, tag: &str) -> Result<Self, ValueError> {
        // RFC 8839 §5.6 asks for ice-chars; tags with `-` are in use and harmless.
        check_word("ice-options", tag)?;
        if !self.contains(tag) {
            if self.0.len() >= MAX_ICE_OPTIONS {
                return Err(ValueError::unexpected("ice-options", tag, "at most 32 tags"));
            }
            self.0.push(tag.to_owned());
        }
        Ok(self)
    }

    /// Whether a tag is present.
    #[must_use]
    pub fn contains(&self, tag: &str) -> bool {
        self.0.iter().any(|own| own == tag)
    }

    /// Whether candidates may be trickled (RFC 8838 §3).
    #[must_use]
    pub fn trickle(&self) -> bool {
        self.contains("trickle")
    }

    /// Whether the agent follows RFC 8445 and not RFC 5245 (RFC 8445 §10).
    #[must_use]
    pub fn ice2(&self) -> bool {
        self.contains("ice2")
    }

    /// Whether the controlling agent may nominate again (draft-thatcher-ice-renomination).
    #[must_use]
    pub fn renomination(&self) -> bool {
        self.contains("renomination")
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tags in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The own tags that the other set has too, in own order.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|tag| other.contains(tag)).cloned().collect())
    }
}

impl fmt::Display for IceOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(" "))
    }
}

impl FromStr for IceOptions {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let options = words(text).try_fold(Self::none(), Self::with)?;
        if options.is_empty() {
            return Err(ValueError::missing("ice-options"));
        }
        Ok(options)
    }
}

/// `a=ice-pacing`: the interval between checks that the sender wishes, in milliseconds, 0 to 9,999,999,999 (RFC 8839
/// §5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IcePacing(u64);

impl IcePacing {
    /// The largest value of ten digits.
    pub const MAX: u64 = 9_999_999_999;

    /// Checks the range.
    ///
    /// # Errors
    ///
    /// The value has more than ten digits.
    pub fn from_milliseconds(milliseconds: u64) -> Result<Self, ValueError> {
        if milliseconds > Self::MAX {
            return Err(ValueError::out_of_range("ice-pacing", &milliseconds.to_string(), 0, Self::MAX));
        }
        Ok(Self(milliseconds))
    }

    /// The interval in milliseconds.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        self.0
    }
}

impl FromStr for IcePacing {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        number("ice-pacing", text, 0, Self::MAX).map(Self)
    }
}

/// `a=setup`: who opens the DTLS association (RFC 4145 §4, RFC 8842 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// The sender of this description is the DTLS client.
    Active,
    /// The sender of this description is the DTLS server.
    Passive,
    /// The answerer chooses.
    ActPass,
    /// Not now; never valid for DTLS (RFC 8842 §5.1).
    HoldConn,
}

impl Setup {
    /// The attribute's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Setup {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "active" => Ok(Self::Active),
            "passive" => Ok(Self::Passive),
            "actpass" => Ok(Self::ActPass),
            "holdconn" => Ok(Self::HoldConn),
            _ => Err(ValueError::unexpected("setup", text, "active, passive, actpass or holdconn")),
        }
    }
}

/// The direction of media (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// `a=sendrecv`
    SendReceive,
    /// `a=sendonly`
    SendOnly,
    /// `a=recvonly`
    ReceiveOnly,
    /// `a=inactive`
    Inactive,
}

impl Direction {
    /// The attribute's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(crate) fn from_attribute(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SendReceive),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::ReceiveOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }
}

/// `a=sctp-port`: 0 to 65535, where 0 closes the association (RFC 8841 §5.2, §10.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SctpPort(u16);

impl SctpPort {
    /// The port that every WebRTC endpoint uses.
    pub const DEFAULT: Self = Self(5000);

    /// Any 16-bit number is a port.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self(port)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// Whether it says that the association is closed (RFC 8841 §10.3).
    #[must_use]
    pub fn is_closed(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for SctpPort {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        port_number("sctp-port", text).map(Self)
    }
}

/// `a=max-message-size`: the largest message that its sender takes, in bytes (RFC 8841 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxMessageSize {
    /// Written as 0: any size.
    Unlimited,
    /// At most this many bytes.
    Bytes(NonZeroU64),
}

impl MaxMessageSize {
    /// What an absent attribute means: 64 KiB (RFC 8841 §6.1).
    pub const DEFAULT: Self = match NonZeroU64::new(65536) {
        Some(bytes) => Self::Bytes(bytes),
        None => Self::Unlimited,
    };

    /// From the number on the wire, where 0 stands for any size.
    #[must_use]
    pub fn from_wire(bytes: u64) -> Self {
        NonZeroU64::new(bytes).map_or(Self::Unlimited, Self::Bytes)
    }

    /// The number on the wire.
    #[must_use]
    pub fn to_wire(self) -> u64 {
        match self {
            Self::Unlimited => 0,
            Self::Bytes(bytes) => bytes.get(),
        }
    }
}

impl FromStr for MaxMessageSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        number("max-message-size", text, 0, u64::MAX).map(Self::from_wire)
    }
}

/// A decimal number: digits only, no sign.
pub(crate) fn number(field: &'static str, text: &str, minimum: u64, maximum: u64) -> Result<u64, ValueError> {
    if text.is_empty() {
        return Err(ValueError::missing(field));
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::unexpected(field, text, "a decimal number"));
    }
    text.parse()
        .ok()
        .filter(|number| (minimum..=maximum).contains(number))
        .ok_or_else(|| ValueError::out_of_range(field, text, minimum, maximum))
}

/// A port, 0 to 65535.
pub(crate) fn port_number(field: &'static str, text: &str) -> Result<u16, ValueError> {
    let port = number(field, text, 0, u16::MAX.into())?;
    u16::try_from(port).map_err(|_| ValueError::out_of_range(field, text, 0, u16::MAX.into()))
}

/// The words of a value, by spaces; runs of spaces count as one.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

fn check_length(field: &'static str, text: &str, minimum: usize, maximum: usize) -> Result<(), ValueError> {
    if text.is_empty() && minimum > 0 {
        return Err(ValueError::missing(field));
    }
    if !(minimum..=maximum).contains(&text.len()) {
        return Err(ValueError::length(field, text.len(), minimum, maximum));
    }
    Ok(())
}

/// RFC 8866 §9, token-char.
fn is_token_character(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x27 | 0x2a..=0x2b | 0x2d..=0x2e | 0x30..=0x39 | 0x41..=0x5a | 0x5e..=0x7e)
}

pub(crate) fn check_token(field: &'static str, text: &str) -> Result<(), ValueError> {
    check_length(field, text, 1, MAX_TOKEN_BYTES)?;
    if !text.bytes().all(is_token_character) {
        return Err(ValueError::unexpected(field, text, "a token (RFC 8866 §9)"));
    }
    Ok(())
}

fn check_protocol(text: &str) -> Result<(), ValueError> {
    check_length("transport protocol", text, 1, MAX_TOKEN_BYTES)?;
    let valid = |part: &str| !part.is_empty() && part.bytes().all(is_token_character);
    if !text.split('/').all(valid) {
        return Err(ValueError::unexpected("transport protocol", text, "tokens separated by /"));
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), ValueError> {
    check_length("text", text, 0, MAX_LINE_BYTES)?;
    if text.bytes().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(ValueError::unexpected("text", text, "no NUL, CR or LF in it"));
    }
    Ok(())
}

pub(crate) fn check_word(field: &'static str, text: &str) -> Result<(), ValueError> {
    check_length(field, text, 1, MAX_TOKEN_BYTES)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ValueError::unexpected(field, text, "visible ASCII characters"));
    }
    Ok(())
}

/// RFC 8839 §5.1: ice-char = ALPHA / DIGIT / "+" / "/".
fn check_ice_characters(field: &'static str, text: &str, minimum: usize, maximum: usize) -> Result<(), ValueError> {
    check_length(field, text, minimum, maximum)?;
    let ice_character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if !text.bytes().all(ice_character) {
        let expected = "only letters, digits, + and /";
        // A password is a secret even when it is malformed: never quoted.
        let found = if field == "ice-pwd" { "…" } else { text };
        return Err(ValueError::unexpected(field, found, expected));
    }
    Ok(())
}

fn check_tls_id(text: &str) -> Result<(), ValueError> {
    check_length("tls-id", text, 20, 255)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    if !text.bytes().all(allowed) {
        return Err(ValueError::unexpected("tls-id", text, "only letters, digits, +, /, - and _"));
    }
    Ok(())
}

fn check_host_name(text: &str) -> Result<(), ValueError> {
    check_length("candidate address", text, 1, 255)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    // What reads as an address is not a name, so that a name never turns into an address on the wire.
    if !text.bytes().all(allowed) || text.parse::<IpAddr>().is_ok() {
        return Err(ValueError::unrecognized_address("candidate address", text, "an IP address or a host name"));
    }
    Ok(())
}
