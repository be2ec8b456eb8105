//! What the statistics tell of the extensions that both sides have.

use std::time::Duration;

use proto_dtls_sctp::{DtlsRole, InitChunk, SctpAgreement, SctpBackend, SctpSetUp};

use crate::common::{LEFT, Pair, Path, RIGHT, backend};

fn agreements(pair: &Pair) -> [SctpAgreement; 2] {
    [LEFT, RIGHT].map(|end| pair.ends[end].transport.statistics().sctp_agreement.unwrap())
}

#[test]
fn both_ends_tell_the_same_of_each_extension_and_only_what_both_can_do() {
    for (left, right) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut pair = Pair::with_configs(1, Path::default(), |end, config| {
            config.interleaving = [left, right][end];
            config.zero_checksum = [right, left][end];
            config.max_channels = [300, 200][end];
        });
        assert_eq!(pair.ends[LEFT].transport.statistics().sctp_agreement, None);
        pair.connect();
        let both = left && right && backend() == SctpBackend::Own;
        for agreement in agreements(&pair) {
            assert_eq!((agreement.interleaving, agreement.zero_checksum), (both, both));
            assert!(agreement.partial_reliability && agreement.stream_resets);
            assert_eq!((agreement.outbound_streams, agreement.inbound_streams), (200, 200));
            assert_eq!(agreement.set_up, SctpSetUp::Handshake);
        }
    }
}

#[test]
fn what_was_agreed_on_in_descriptions_is_told_and_still_known_when_all_is_over() {
    let mut pair = Pair::new(1, Path::default());
    for (index, role) in [DtlsRole::Client, DtlsRole::Server].into_iter().enumerate() {
        let chunk = pair.ends[1 - index].transport.init_chunk().to_bytes();
        let mut parameters = pair.parameters(index, role);
        parameters.remote_init = Some(InitChunk::from_bytes(&chunk).unwrap());
        pair.ends[index].transport.start(pair.now, parameters).unwrap();
    }
    assert!(pair.run(Duration::from_secs(60), Pair::is_up));
    let before = agreements(&pair);
    assert_eq!(before[LEFT], before[RIGHT]);
    assert_eq!(before[LEFT].set_up, SctpSetUp::Descriptions);
    pair.ends[LEFT].transport.close(pair.now);
    pair.run(Duration::from_secs(1), |_| false);
    assert_eq!(agreements(&pair), before);
}
