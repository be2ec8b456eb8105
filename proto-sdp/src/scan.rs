//! A first look at the text, line by line: sizes, line types, and where each line is.
//!
//! `sdp-types` gives attributes without their line numbers and is silent about some lines; this closes both gaps.

use crate::error::{SdpError, SdpErrorKind};
use crate::limits::{MAX_DESCRIPTION_BYTES, MAX_LINE_BYTES, MAX_LINES, MAX_MEDIA_SECTIONS};
use crate::tokens::{check_token, port_number};

/// Line numbers of one section; the first section is the session itself.
#[derive(Debug, Default)]
pub(crate) struct SectionLines {
    /// The `m=` line; the `v=` line for the session.
    pub(crate) start: usize,
    /// The `o=` line of the session.
    pub(crate) origin: Option<usize>,
    /// The `s=` line of the session.
    pub(crate) name: Option<usize>,
    /// The `b=` lines in order.
    pub(crate) bandwidths: Vec<usize>,
    /// The `a=` lines in order.
    pub(crate) attributes: Vec<usize>,
}

/// Line numbers of a description.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) session: SectionLines,
    pub(crate) media: Vec<SectionLines>,
}

/// Checks what can be checked line by line.
pub(crate) fn scan(text: &str) -> Result<Lines, SdpError> {
    check_length(text)?;
    let mut lines = Lines::default();
    let mut last = 1;
    for (index, line) in text.split('\n').enumerate() {
        let number = index + 1;
        if number > MAX_LINES {
            return Err(SdpError::too_many(number, "lines", MAX_LINES));
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        if !line.is_empty() {
            lines.add(number, line)?;
            last = number;
        }
    }
    // RFC 8866 §5 requires these lines. The line named is the one that they should have come before.
    let end = lines.media.first().map_or(last, |section| section.start);
    if lines.session.start == 0 {
        return Err(SdpError::malformed(1, "v=0"));
    }
    if lines.session.origin.is_none() {
        return Err(SdpError::malformed(end, "an o= line before the end of the session part"));
    }
    if lines.session.name.is_none() {
        return Err(SdpError::malformed(end, "an s= line before the end of the session part"));
    }
    Ok(lines)
}

impl Lines {
    fn add(&mut self, number: usize, line: &str) -> Result<(), SdpError> {
        let (kind, value) = split(number, line)?;
        if self.session.start == 0 {
            self.session.start = number;
            return if kind == 'v' { Ok(()) } else { Err(SdpError::malformed(number, "v=0")) };
        }
        if kind == 'm' {
            if self.media.len() >= MAX_MEDIA_SECTIONS {
                return Err(SdpError::too_many(number, "media sections", MAX_MEDIA_SECTIONS));
            }
            check_media_line(number, value)?;
            self.media.push(SectionLines { start: number, ..SectionLines::default() });
            return Ok(());
        }
        check_place(number, kind, self.media.is_empty())?;
        let section = self.media.last_mut().unwrap_or(&mut self.session);
        match kind {
            'o' => section.origin = Some(number),
            's' => section.name = Some(number),
            'b' => section.bandwidths.push(number),
            'a' => section.attributes.push(number),
            _ => {}
        }
        Ok(())
    }
}

fn check_length(text: &str) -> Result<(), SdpError> {
    if text.len() <= MAX_DESCRIPTION_BYTES {
        return Ok(());
    }
    let head = text.as_bytes().iter().take(MAX_DESCRIPTION_BYTES);
    let line = 1 + head.filter(|byte| **byte == b'\n').count();
    Err(SdpError::new(line, SdpErrorKind::DescriptionTooLong { length: text.len(), limit: MAX_DESCRIPTION_BYTES }))
}

/// Splits `<type>=<value>` and checks what may stand in any line.
fn split(number: usize, line: &str) -> Result<(char, &str), SdpError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(SdpError::new(number, SdpErrorKind::LineTooLong { length: line.len(), limit: MAX_LINE_BYTES }));
    }
    // RFC 8866 §9, byte-string.
    if line.bytes().any(|byte| matches!(byte, 0 | b'\r')) {
        return Err(SdpError::malformed(number, "a line without NUL and bare CR"));
    }
    let mut characters = line.chars();
    match (characters.next(), characters.next()) {
        (Some(kind), Some('=')) if kind.is_ascii_lowercase() => Ok((kind, characters.as_str())),
        _ => Err(SdpError::malformed(number, "<type>=<value> with a type of one letter")),
    }
}

/// RFC 8866 §5: the order of sections, and no types but those it defines.
fn check_place(number: usize, kind: char, in_session: bool) -> Result<(), SdpError> {
    let known = if in_session { "osiuepcbtrzka" } else { "icbka" };
    if known.contains(kind) {
        return Ok(());
    }
    Err(SdpError::malformed(
        number,
        if in_session {
            "a line of type o, s, i, u, e, p, c, b, t, r, z, k, a or m"
        } else {
            "a line of type i, c, b, k, a or m in a media section"
        },
    ))
}

/// `m=<media> <port>[/<count>] <proto> <fmt> …` (RFC 8866 §5.14), as far as the grammar's own error would not say
/// what is wrong.
fn check_media_line(number: usize, value: &str) -> Result<(), SdpError> {
    let mut fields = value.split(' ');
    let mut next = || fields.next().filter(|field| !field.is_empty());
    let (Some(media), Some(port), Some(_), Some(_)) = (next(), next(), next(), next()) else {
        return Err(SdpError::malformed(number, "m=<media> <port> <protocol> <format> …"));
    };
    let error = |error| SdpError::value(number, error);
    check_token("media type", media).map_err(error)?;
    let (port, count) = port.split_once('/').unwrap_or((port, "1"));
    port_number("media port", port).map_err(error)?;
    port_number("media port count", count).map_err(error)?;
    Ok(())
}
