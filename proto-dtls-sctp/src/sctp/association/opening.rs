//! The chunk that opens a channel, which counts as lost sooner than others.
//!
//! T3-rtx waits for longer than a receiver may hold back a SACK (RFC 9260 §6.2), and after each loss twice as long. The peer answers an OPEN at once (RFC 8832 §4), so a round
//! trip is all there is to wait for. A path may be known to be slower than thought when the answer comes late, so nothing is concluded about congestion.

use std::time::Duration;

use proto_machine::Timestamp;

use crate::dcep;
use crate::sctp::PayloadProtocol;
use crate::sctp::chunk::tsn::Tsn;
use crate::sctp::retransmission::Retransmission;

use super::outbound::Fragment;

/// How often it is sent again at most, which takes about ten seconds. Then it is left to T3-rtx.
const MAX_COPIES: u8 = 20;

/// The oldest chunk with an OPEN that may not have arrived.
#[derive(Debug)]
pub(super) struct Opening {
    /// The first pause.
    pause: Duration,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    tsn: Tsn,
    retransmission: Retransmission,
    copies_left: u8,
}

/// Whether a fragment is that of an OPEN.
pub(super) fn is_open(fragment: &Fragment) -> bool {
    PayloadProtocol::from_identifier(fragment.label.protocol) == PayloadProtocol::Dcep
        && fragment.label.place.beginning
        && dcep::is_open(&fragment.payload)
}

impl Opening {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, waiting: None }
    }

    /// An OPEN is sent for the first time. Of several, one is watched at a time.
    pub(super) fn sent(&mut self, now: Timestamp, tsn: Tsn) {
        if self.waiting.is_none() {
            let retransmission = Retransmission::start(now, self.pause);
            self.waiting = Some(Waiting { tsn, retransmission, copies_left: MAX_COPIES });
        }
    }

    /// What was sent goes out once more, for a reason of its own.
    pub(super) fn sent_again(&mut self, now: Timestamp) {
        if let Some(waiting) = &mut self.waiting {
            waiting.retransmission = Retransmission::start(now, self.pause);
        }
    }

    /// Everything up to here has come.
    pub(super) fn acknowledged(&mut self, cumulative: Tsn) {
        self.waiting.take_if(|waiting| waiting.tsn <= cumulative);
    }

    /// Whether this is the chunk.
    pub(super) fn watches(&self, tsn: Tsn) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.tsn == tsn)
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.waiting.as_ref().map(|waiting| waiting.retransmission.due())
    }

    /// What counts as lost now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Tsn> {
        let waiting = self.waiting.as_mut()?;
        waiting.retransmission.take_due(now).then_some(())?;
        let tsn = waiting.tsn;
        waiting.copies_left -= 1;
        if waiting.copies_left == 0 {
            self.waiting = None;
        }
        Some(tsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(200);

    fn waiting_for(tsn: Tsn) -> Opening {
        let mut opening = Opening::new(PAUSE);
        opening.sent(Timestamp::ZERO, tsn);
        opening
    }

    #[test]
    fn an_open_counts_as_lost_after_pauses_that_grow_to_half_a_second_and_then_no_more() {
        let tsn = Tsn::first(7);
        let mut opening = waiting_for(tsn);
        let mut pauses = Vec::new();
        let mut now = Timestamp::ZERO;
        while let Some(due) = opening.due() {
            assert_eq!(opening.take_due(Timestamp::from_nanos(due.as_nanos() - 1)), None);
            assert_eq!(opening.take_due(due), Some(tsn));
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses[..4], [200, 400, 500, 500]);
        assert_eq!(pauses.len(), usize::from(MAX_COPIES));
    }

    #[test]
    fn an_acknowledgement_that_covers_it_ends_that_and_the_next_one_is_watched() {
        let tsn = Tsn::first(u32::MAX);
        let mut opening = waiting_for(tsn);
        opening.sent(Timestamp::ZERO, tsn.next());
        opening.acknowledged(tsn.previous());
        assert!(opening.due().is_some());
        opening.acknowledged(tsn);
        assert_eq!(opening.due(), None);
        opening.sent(Timestamp::from_millis(50), tsn.next());
        assert_eq!(opening.due(), Some(Timestamp::from_millis(250)));
    }

    #[test]
    fn the_pauses_begin_anew_with_a_cookie_echo_that_carries_it_again() {
        let mut opening = waiting_for(Tsn::first(1));
        opening.sent_again(Timestamp::from_millis(150));
        assert_eq!(opening.due(), Some(Timestamp::from_millis(350)));
    }
}
