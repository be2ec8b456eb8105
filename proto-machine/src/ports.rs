//! UDP ports out of a range: what a firewall has been opened for.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// Gives sockets ports of a range one after the other, so that one that was closed is not used again at once. For drivers: how a socket is bound is theirs.
#[derive(Debug)]
pub struct UdpPorts {
    range: Option<RangeInclusive<u16>>,
    /// Where the next search begins.
    next: u16,
}

impl UdpPorts {
    /// Ports of this range; `None` leaves the choice to the system.
    #[must_use]
    pub fn new(range: Option<RangeInclusive<u16>>) -> Self {
        Self { range, next: 0 }
    }

    /// Binds a socket. If the address leaves the port open, it is tried with one port of the range after the other until one is free.
    ///
    /// # Errors
    ///
    /// What `bind` says; and if no port of the range is free, that.
    pub fn bind<S>(
        &mut self,
        mut local: SocketAddr,
        mut bind: impl FnMut(SocketAddr) -> io::Result<S>,
    ) -> io::Result<S> {
        let Some(range) = self.range.clone().filter(|_| local.port() == 0) else {
            return bind(local);
        };
        // Port 0 is none.
        let (first, last) = ((*range.start()).max(1), *range.end());
        let begin = if (first..=last).contains(&self.next) { self.next } else { first };
        for port in (begin..=last).chain(first..begin) {
            local.set_port(port);
            match bind(local) {
                Err(error) if is_of_port(&error) => {}
                result => {
                    self.next = port.checked_add(1).unwrap_or(first);
                    return result;
                }
            }
        }
        Err(io::Error::other(format!("no UDP port from {first} to {last} is free at {}", local.ip())))
    }
}

/// Whether another port of the same address may do: this one is in use, or not for everybody.
fn is_of_port(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// Which port is bound if these are taken.
    fn bound(ports: &mut UdpPorts, taken: &[u16]) -> io::Result<u16> {
        ports.bind(any(), |local| {
            if taken.contains(&local.port()) { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(local.port()) }
        })
    }

    #[test]
    fn ports_are_given_in_turn_and_those_in_use_are_passed_over() {
        let mut ports = UdpPorts::new(Some(5_000..=5_002));
        let given: Vec<u16> = (0..4).map(|_| bound(&mut ports, &[5_001]).unwrap()).collect();
        assert_eq!(given, [5_000, 5_002, 5_000, 5_002]);
        let mut ports = UdpPorts::new(Some(65_534..=65_535));
        let given: Vec<u16> = (0..3).map(|_| bound(&mut ports, &[]).unwrap()).collect();
        assert_eq!(given, [65_534, 65_535, 65_534]);
    }

    #[test]
    fn a_range_without_a_free_port_is_an_error_that_names_it() {
        for (range, taken) in
            [(5_000..=5_001, vec![5_000, 5_001]), (0..=0, vec![]), (RangeInclusive::new(9, 5), vec![])]
        {
            let error = bound(&mut UdpPorts::new(Some(range)), &taken).unwrap_err().to_string();
            assert!(error.starts_with("no UDP port from ") && error.ends_with(" is free at 127.0.0.1"), "{error}");
        }
    }

    #[test]
    fn an_error_that_no_other_port_can_mend_ends_the_search() {
        let mut calls = 0;
        let result: io::Result<()> = UdpPorts::new(Some(5_000..=6_000)).bind(any(), |_| {
            calls += 1;
            Err(io::ErrorKind::AddrNotAvailable.into())
        });
        assert_eq!((result.unwrap_err().kind(), calls), (io::ErrorKind::AddrNotAvailable, 1));
    }

    #[test]
    fn a_port_that_was_asked_for_is_not_changed_and_without_a_range_the_system_chooses() {
        let asked = SocketAddr::from(([127, 0, 0, 1], 7));
        assert_eq!(UdpPorts::new(Some(5_000..=5_002)).bind(asked, Ok).unwrap(), asked);
        assert_eq!(UdpPorts::new(None).bind(any(), Ok).unwrap(), any());
    }
}
