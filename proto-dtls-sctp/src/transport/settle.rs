//! What flows between the layers.

use proto_machine::Timestamp;

use super::session::Mismatch;
use super::{Phase, SecureTransport};
use crate::dtls::DtlsEvent;
use crate::sctp::SctpEvent;
use crate::{DtlsTransportState, SctpFailure, SctpFailureReason, SctpTransportState, SecureError, SecureEvent};

/// Records with 64-bit random nonces after which the odds of a repeated one are 2^-32.
const NONCE_WARNING: u64 = 92_682;

impl SecureTransport {
    pub(super) fn set_dtls_state(&mut self, state: DtlsTransportState) {
        self.dtls_state = state;
        self.channels.events.push(SecureEvent::DtlsStateChange(state));
    }

    /// Carries what DTLS and SCTP have to say to where it belongs, until nothing is left. All data flow upwards is in here.
    pub(super) fn settle(&mut self, now: Timestamp, mut dtls_events: Vec<DtlsEvent>) {
        let mut sctp_events = std::mem::take(&mut self.sctp_events);
        loop {
            for event in dtls_events.drain(..) {
                self.handle_dtls_event(now, event, &mut sctp_events);
            }
            self.handle_sctp_events(now, &mut sctp_events);
            if let Phase::Started(session) = &mut self.phase
                && let Some(sctp) = session.sctp()
            {
                self.channels.read(now, sctp, &mut sctp_events);
            }
            if sctp_events.is_empty() {
                break;
            }
        }
        self.dtls_events = dtls_events;
        self.sctp_events = sctp_events;
    }

    fn handle_dtls_event(&mut self, now: Timestamp, event: DtlsEvent, sctp_events: &mut Vec<SctpEvent>) {
        match event {
            DtlsEvent::Certificate(certificate) => self.check_certificate(now, certificate),
            DtlsEvent::Connected => self.connected(now, sctp_events),
            DtlsEvent::Data(data) => {
                // Nothing is taken from a peer before the gate is open.
                if let Phase::Started(session) = &mut self.phase {
                    if let Some(sctp) = session.sctp() {
                        sctp.handle_packet(now, data.bytes(), sctp_events);
                    }
                    session.dtls.take_back(data);
                }
                // What one packet has led to is handled before the next is looked at.
                self.handle_sctp_events(now, sctp_events);
            }
            DtlsEvent::CloseNotify => {
                self.lose_association(SctpFailure { cause_code: None, reason: SctpFailureReason::TransportClosed });
                self.end(now);
                if !matches!(self.dtls_state, DtlsTransportState::Closed | DtlsTransportState::Failed) {
                    self.set_dtls_state(DtlsTransportState::Closed);
                }
            }
            DtlsEvent::Failed(failure) => self.fail(now, SecureError::Dtls(failure)),
        }
    }

    fn handle_sctp_events(&mut self, now: Timestamp, sctp_events: &mut Vec<SctpEvent>) {
        for event in sctp_events.drain(..) {
            self.handle_sctp_event(now, event);
        }
    }

    fn check_certificate(&mut self, now: Timestamp, certificate: Vec<u8>) {
        if let Phase::Started(session) = &mut self.phase
            && let Err(Mismatch) = session.check_certificate(certificate)
        {
            self.fail(now, SecureError::FingerprintMismatch);
        }
    }

    fn connected(&mut self, now: Timestamp, sctp_events: &mut Vec<SctpEvent>) {
        let Phase::Started(session) = &mut self.phase else { return };
        match session.open_gate(now, &self.config, self.round_trip_time, sctp_events) {
            Ok(()) if self.failure.is_none() => self.set_dtls_state(DtlsTransportState::Connected),
            Ok(()) => {}
            Err(Mismatch) => self.fail(now, SecureError::FingerprintMismatch),
        }
    }

    fn handle_sctp_event(&mut self, now: Timestamp, event: SctpEvent) {
        match event {
            SctpEvent::Prepared { streams } => {
                if let Phase::Started(session) = &mut self.phase
                    && let Some(sctp) = session.sctp()
                {
                    self.channels.association_prepared(now, streams, sctp);
                }
            }
            SctpEvent::Established { streams } => {
                self.sctp_state = SctpTransportState::Connected;
                self.channels.events.push(SecureEvent::SctpStateChange(SctpTransportState::Connected));
                self.channels.association_up(streams);
            }
            SctpEvent::Readable(stream) => self.channels.mark_readable(stream),
            SctpEvent::IncomingReset(stream) => self.channels.incoming_reset(stream),
            SctpEvent::ResetComplete(stream) => self.channels.stream_is_free(stream),
            SctpEvent::ResetFailed(stream) => self.channels.stream_is_lost(stream),
            SctpEvent::Lost(failure) => self.lose_association(failure),
        }
    }

    fn lose_association(&mut self, failure: SctpFailure) {
        if self.sctp_state == SctpTransportState::Closed {
            return;
        }
        if let Phase::Started(session) = &mut self.phase
            && let Some(sctp) = session.sctp()
        {
            self.channels.read_rest(self.latest, sctp);
        }
        self.sctp_failure = Some(failure);
        self.sctp_state = SctpTransportState::Closed;
        self.channels.association_down(failure);
        self.channels.events.push(SecureEvent::SctpStateChange(SctpTransportState::Closed));
    }

    /// Ends everything for a reason that stays.
    fn fail(&mut self, now: Timestamp, error: SecureError) {
        if self.failure.is_some() || self.dtls_state == DtlsTransportState::Closed {
            return;
        }
        self.lose_association(SctpFailure { cause_code: None, reason: SctpFailureReason::TransportClosed });
        self.end(now);
        self.set_dtls_state(DtlsTransportState::Failed);
        self.failure = Some(error.clone());
        self.channels.events.push(SecureEvent::Failed(error));
    }

    fn end(&mut self, now: Timestamp) {
        if let Phase::Started(session) = &mut self.phase {
            session.end(now);
        }
    }

    /// Before packets are made: what has been delivered leaves room for more.
    pub(super) fn prepare(&mut self, now: Timestamp) {
        if let Phase::Started(session) = &mut self.phase
            && let Some(sctp) = session.sctp()
        {
            self.channels.review(now, sctp);
        }
    }

    /// Seals the next SCTP packet, if there is one. Whether there may be more to send.
    pub(super) fn produce(&mut self, now: Timestamp) -> bool {
        let mut sctp_events = std::mem::take(&mut self.sctp_events);
        let mut dtls_events = std::mem::take(&mut self.dtls_events);
        let mut produced = false;
        if let Phase::Started(session) = &mut self.phase {
            if let Some(sctp) = session.sctp() {
                self.channels.flush(now, sctp, &mut sctp_events);
                if sctp.write_packet(now, &mut self.packet, &mut sctp_events) {
                    session.dtls.send(now, &self.packet, &mut dtls_events);
                    produced = true;
                }
            }
            if produced && session.dtls.may_have_random_nonces() {
                self.statistics.random_nonce_records += 1;
            }
        }
        let happened = !sctp_events.is_empty();
        self.sctp_events = sctp_events;
        self.settle(now, dtls_events);
        if produced {
            self.watch_nonces(now);
        }
        produced || happened
    }

    fn watch_nonces(&mut self, now: Timestamp) {
        let records = self.statistics.random_nonce_records;
        if records == 0 {
            return;
        }
        if records == NONCE_WARNING {
            self.channels.events.push(SecureEvent::NonceWarning);
        }
        if records >= self.config.gcm_record_limit {
            self.fail(now, SecureError::NonceLimit { records: self.config.gcm_record_limit });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proto_machine::{Machine, Seed};

    use super::*;
    use crate::{Certificate, Entropy, SecureTransportConfig};

    #[test]
    fn the_warning_comes_once_with_the_record_that_reaches_the_threshold() {
        let certificate = Certificate::generate(Seed::from_number(1), Duration::from_secs(1), Entropy::System).unwrap();
        let config = SecureTransportConfig::new(Arc::new(certificate));
        let mut transport = SecureTransport::new(config, Seed::from_number(1));
        let mut warned_at = Vec::new();
        for records in 92_000..94_000 {
            transport.statistics.random_nonce_records = records;
            transport.watch_nonces(Timestamp::ZERO);
            while let Some(event) = transport.poll_event() {
                assert_eq!(event, SecureEvent::NonceWarning);
                warned_at.push(records);
            }
        }
        // 2^16.5
        assert_eq!(warned_at, [92_682]);
        assert_eq!(transport.failure(), None);
    }
}
