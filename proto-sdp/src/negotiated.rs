//! An offer with its answer.

use crate::session::SessionDescription;
use crate::transport::{Agreement, DataSection, Side, negotiate};

/// An offer and its answer, verified against each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    offer: SessionDescription,
    answer: SessionDescription,
    answerer: Side,
}

impl Negotiated {
    pub(crate) fn new(offer: SessionDescription, answer: SessionDescription, answerer: Side) -> Self {
        Self { offer, answer, answerer }
    }

    /// The offer.
    #[must_use]
    pub fn offer(&self) -> &SessionDescription {
        &self.offer
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self) -> &SessionDescription {
        &self.answer
    }

    /// The end that answered.
    #[must_use]
    pub fn answerer(&self) -> Side {
        self.answerer
    }

    /// The description of this end.
    #[must_use]
    pub fn local(&self) -> &SessionDescription {
        self.side(Side::Local)
    }

    /// The description of the other end.
    #[must_use]
    pub fn remote(&self) -> &SessionDescription {
        self.side(Side::Remote)
    }

    /// The description of either end.
    #[must_use]
    pub fn side(&self, side: Side) -> &SessionDescription {
        if side == self.answerer { &self.answer } else { &self.offer }
    }

    pub(crate) fn side_mut(&mut self, side: Side) -> &mut SessionDescription {
        if side == self.answerer { &mut self.answer } else { &mut self.offer }
    }

    pub(crate) fn replace_answer(&mut self, answer: SessionDescription) {
        self.answer = answer;
    }

    /// What the two agree on for data channels.
    #[must_use]
    pub fn data_section(&self) -> DataSection {
        // The pair was verified when it was applied, and later candidates do not make it fail.
        negotiate(&self.offer, &self.answer, self.answerer).unwrap_or(DataSection::Absent)
    }

    /// The data section in use. A verified pair is without error, see above.
    pub(crate) fn agreement(&self) -> Option<Agreement<'_>> {
        Agreement::of(&self.offer, &self.answer, self.answerer).unwrap_or(None)
    }
}
