use std::cell::{Cell, RefCell};
use std::io::IoSliceMut;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use quickcheck::Arbitrary;
use quinn_udp::RecvMeta;

use super::*;

/// A socket whose next results are given, and which takes everything after that.
struct ScriptedWire {
    results: RefCell<VecDeque<io::ErrorKind>>,
    /// Whether an error of several datagrams switches segmentation off, as an adapter without support does.
    fails_segmented: bool,
    /// Whether every send fails with the error that could stem from segmentation.
    fails_all: bool,
    max_segments: Cell<usize>,
    sent: RefCell<Vec<Vec<u8>>>,
    calls: Cell<usize>,
}

impl ScriptedWire {
    fn new(results: impl IntoIterator<Item = io::ErrorKind>) -> Self {
        Self {
            results: RefCell::new(results.into_iter().collect()),
            fails_segmented: false,
            fails_all: false,
            max_segments: Cell::new(64),
            sent: RefCell::default(),
            calls: Cell::new(0),
        }
    }
}

impl Wire for ScriptedWire {
    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    fn send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        self.calls.set(self.calls.get() + 1);
        if let Some(kind) = self.results.borrow_mut().pop_front() {
            return Err(kind.into());
        }
        if self.fails_all || self.fails_segmented && transmit.segment_size.is_some() {
            self.max_segments.set(1);
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        self.sent.borrow_mut().extend(transmit.contents.chunks(size).map(<[u8]>::to_vec));
        Ok(())
    }

    fn receive(&self, _buffers: &mut [IoSliceMut<'_>], _metas: &mut [RecvMeta]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn max_segments(&self) -> usize {
        self.max_segments.get()
    }

    fn restore_segmentation(&mut self) {
        self.max_segments.set(64);
    }
}

impl Source for ScriptedWire {
    fn register(&mut self, _registry: &Registry, _token: Token, _interests: Interest) -> io::Result<()> {
        Ok(())
    }
    fn reregister(&mut self, _registry: &Registry, _token: Token, _interests: Interest) -> io::Result<()> {
        Ok(())
    }
    fn deregister(&mut self, _registry: &Registry) -> io::Result<()> {
        Ok(())
    }
}

fn batch(size: usize, bytes: &[u8]) -> Batch<'_> {
    Batch { destination: SocketAddr::from(([127, 0, 0, 1], 9)), source: None, size, bytes }
}

#[test]
fn what_does_not_fit_waits_in_order_and_goes_out_when_there_is_room() {
    let mut wire = ScriptedWire::new([io::ErrorKind::WouldBlock, io::ErrorKind::WouldBlock]);
    let mut outbox = Outbox::new(8);
    let mut statistics = DriverStatistics::default();
    outbox.send(&mut wire, batch(2, b"aabbc"), &mut statistics);
    outbox.send(&mut wire, batch(1, b"d"), &mut statistics);
    assert_eq!((outbox.waiting(), wire.calls.get(), statistics.would_block), (4, 1, 1));

    outbox.flush(&mut wire, &mut statistics);
    assert!(outbox.is_blocked());
    outbox.flush(&mut wire, &mut statistics);
    assert!(!outbox.is_blocked());
    assert_eq!(*wire.sent.borrow(), [&b"aa"[..], b"bb", b"c", b"d"]);
    assert_eq!((statistics.datagrams_sent, statistics.would_block, statistics.dropped.total()), (4, 2, 0));
}

#[test]
fn a_batch_that_blocks_half_way_goes_on_where_it_stopped() {
    let mut wire = ScriptedWire::new([]);
    wire.max_segments.set(1);
    let mut outbox = Outbox::new(8);
    let mut statistics = DriverStatistics::default();
    wire.results.borrow_mut().push_back(io::ErrorKind::WouldBlock);
    outbox.send(&mut wire, batch(1, b"xyz"), &mut statistics);
    // Room for one, then none again.
    outbox.flush(&mut Faucet { wire: &mut wire, left: Cell::new(1) }, &mut statistics);
    assert_eq!((outbox.waiting(), wire.sent.borrow().len()), (2, 1));
    outbox.flush(&mut wire, &mut statistics);
    assert_eq!(*wire.sent.borrow(), [b"x", b"y", b"z"]);
}

#[test]
fn the_bound_of_waiting_batches_is_kept_and_what_exceeds_it_is_counted() {
    let mut wire = ScriptedWire::new([io::ErrorKind::WouldBlock]);
    let mut outbox = Outbox::new(3);
    let mut statistics = DriverStatistics::default();
    for _ in 0..5 {
        outbox.send(&mut wire, batch(1, b"xyz"), &mut statistics);
    }
    assert_eq!((outbox.waiting(), statistics.dropped.queue_full), (9, 6));
}

#[test]
fn one_batch_may_wait_whatever_the_bound() {
    let mut wire = ScriptedWire::new([io::ErrorKind::WouldBlock]);
    let mut outbox = Outbox::new(0);
    let mut statistics = DriverStatistics::default();
    outbox.send(&mut wire, batch(1, b"x"), &mut statistics);
    outbox.send(&mut wire, batch(1, b"y"), &mut statistics);
    assert_eq!((outbox.waiting(), statistics.dropped.queue_full), (1, 1));
}

#[test]
fn an_adapter_without_segmentation_gets_datagrams_one_by_one_from_then_on() {
    let mut wire = ScriptedWire::new([]);
    wire.fails_segmented = true;
    let mut outbox = Outbox::new(1);
    let mut statistics = DriverStatistics::default();
    outbox.send(&mut wire, batch(1, b"abc"), &mut statistics);
    outbox.send(&mut wire, batch(1, b"de"), &mut statistics);
    assert_eq!(*wire.sent.borrow(), [b"a", b"b", b"c", b"d", b"e"]);
    assert_eq!((statistics.segmentation_fallbacks, statistics.dropped.total(), wire.calls.get()), (1, 0, 6));
}

#[test]
fn a_destination_that_fails_either_way_is_dropped_and_segmentation_stays_on() {
    let mut wire = ScriptedWire::new([]);
    wire.fails_all = true;
    let mut outbox = Outbox::new(1);
    let mut statistics = DriverStatistics::default();
    outbox.send(&mut wire, batch(1, b"abc"), &mut statistics);
    outbox.send(&mut wire, batch(1, b"d"), &mut statistics);
    assert_eq!((wire.max_segments.get(), wire.calls.get()), (64, 3));
    assert_eq!((statistics.segmentation_fallbacks, statistics.dropped.other, outbox.waiting()), (0, 4, 0));
}

#[test]
fn errors_are_counted_by_reason_and_the_rest_goes_on() {
    let mut wire = ScriptedWire::new([
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::OutOfMemory,
    ]);
    let mut outbox = Outbox::new(1);
    let mut statistics = DriverStatistics::default();
    for _ in 0..6 {
        outbox.send(&mut wire, batch(1, b"x"), &mut statistics);
    }
    let dropped = statistics.dropped;
    assert_eq!((dropped.unreachable, dropped.refused, dropped.not_permitted, dropped.other), (2, 1, 1, 1));
    assert_eq!((statistics.datagrams_sent, outbox.waiting()), (1, 0));
}

#[test]
fn a_send_never_exceeds_one_packet_nor_the_segments_allowed() {
    let mut wire = ScriptedWire::new([]);
    let mut outbox = Outbox::new(1);
    let mut statistics = DriverStatistics::default();
    outbox.send(&mut wire, batch(1_200, &[0; 64 * 1_200]), &mut statistics);
    assert_eq!((statistics.send_calls, statistics.datagrams_sent), (2, 64));
    wire.max_segments.set(16);
    outbox.send(&mut wire, batch(1_200, &[0; 64 * 1_200]), &mut statistics);
    assert_eq!((statistics.send_calls, statistics.datagrams_sent), (6, 128));
}

/// Runs a property 500 times from a fixed seed, which it names if the property fails.
fn check(property: impl Fn(&[(u8, u8, bool)]) -> bool) {
    const SEED: u64 = 20_260_101;
    let mut generator = quickcheck::Gen::from_size_and_seed(60, SEED);
    for round in 0..500 {
        let input = Vec::arbitrary(&mut generator);
        assert!(property(&input), "seed {SEED}, round {round}: {input:?}");
    }
}

#[test]
fn every_datagram_is_sent_in_order_or_waits_or_is_counted_as_dropped() {
    check(|steps| {
        let mut wire = ScriptedWire::new([]);
        let mut outbox = Outbox::new(3);
        let mut statistics = DriverStatistics::default();
        let mut given = 0_u64;
        for &(count, room, flush) in steps {
            let bytes: Vec<u8> = (0..count % 9)
                .flat_map(|_| {
                    given += 1;
                    given.to_be_bytes()
                })
                .collect();
            let mut wire = Faucet { wire: &mut wire, left: Cell::new(usize::from(room % 3)) };
            wire.wire.max_segments.set(1 + usize::from(room % 4));
            if flush {
                outbox.flush(&mut wire, &mut statistics);
            }
            outbox.send(&mut wire, batch(8, &bytes), &mut statistics);
        }
        let accounted = statistics.datagrams_sent + outbox.waiting() + statistics.dropped.total();
        accounted == given && wire.sent.borrow().is_sorted() && outbox.pending.len() <= 3
    });
}

/// A socket with room for so many calls.
struct Faucet<'a> {
    wire: &'a mut ScriptedWire,
    left: Cell<usize>,
}

impl Wire for Faucet<'_> {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.wire.local_address()
    }
    fn send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        let left = self.left.get().checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
        self.left.set(left);
        self.wire.send(transmit)
    }
    fn receive(&self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        self.wire.receive(buffers, metas)
    }
    fn max_segments(&self) -> usize {
        self.wire.max_segments()
    }
    fn restore_segmentation(&mut self) {
        self.wire.restore_segmentation();
    }
}

impl Source for Faucet<'_> {
    fn register(&mut self, _registry: &Registry, _token: Token, _interests: Interest) -> io::Result<()> {
        Ok(())
    }
    fn reregister(&mut self, _registry: &Registry, _token: Token, _interests: Interest) -> io::Result<()> {
        Ok(())
    }
    fn deregister(&mut self, _registry: &Registry) -> io::Result<()> {
        Ok(())
    }
}
