//! Bounds on what a description may hold. Reaching one is an [`SdpError`](crate::SdpError) that names the line.

/// Longest description that is parsed, in bytes (256 KiB).
///
/// A browser's offer with audio, video and data is about 8 kB.
pub const MAX_DESCRIPTION_BYTES: usize = 256 * 1024;

/// Longest line, in bytes, without its line ending.
pub const MAX_LINE_BYTES: usize = 8 * 1024;

/// Most lines in one description, empty ones included.
pub const MAX_LINES: usize = 16 * 1024;

/// Most `m=` sections in one description.
pub const MAX_MEDIA_SECTIONS: usize = 256;

/// Most `a=candidate` lines in one section, those that are trickled in later included.
///
/// Lines that are skipped for an address that is not recognized do not count.
pub const MAX_CANDIDATES: usize = 128;

/// Most `a=candidate` lines in all sections of one description, those that are trickled in later included.
pub const MAX_CANDIDATES_IN_DESCRIPTION: usize = 512;

/// Longest candidate that is parsed, in bytes of its value as it is written: without `a=candidate:`.
///
/// One with an IPv6 address, a related one and a username fragment of 256 characters has about 430.
pub const MAX_CANDIDATE_BYTES: usize = 512;

/// Most fingerprints in one section, and at the session level.
pub const MAX_FINGERPRINTS: usize = 16;

/// Most tags in one `a=ice-options` line.
pub const MAX_ICE_OPTIONS: usize = 32;

/// Most `a=group` lines.
pub const MAX_GROUPS: usize = 32;

/// Most formats on one `m=` line.
pub const MAX_FORMATS: usize = 256;

/// Most name/value extensions of one candidate.
pub const MAX_CANDIDATE_EXTENSIONS: usize = 32;

/// Longest mid, group semantics, format, attribute name or other token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 256;

/// Largest SCTP INIT chunk that `a=sctp-init` may carry, in bytes.
pub const MAX_SCTP_INIT_BYTES: usize = 2048;
