//! A plain loop around a UDP socket: one system call for one datagram.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use crate::message::Source;
use crate::pair::End;
use crate::sizes::Sizes;
use crate::stack::{Setup, Stack};

/// What to ask of the system for each direction of a socket, in bytes: as driver-mio does.
const SOCKET_BUFFER: usize = 4 << 20;
/// How many datagrams are read, or messages sent, before the other is looked at.
const BUDGET: usize = 64;

/// A socket on the loopback interface that does not block.
pub fn bind() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let options = SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

/// An endpoint on its socket.
pub struct Host<S> {
    /// The endpoint.
    pub end: End<S>,
    /// What it has sent.
    pub sizes: Sizes,
    /// Its socket.
    pub socket: UdpSocket,
    remote: SocketAddr,
    datagram: [u8; 2_048],
}

impl<S: Stack> Host<S> {
    /// An endpoint that talks to `remote`.
    pub fn new(stack: S, socket: UdpSocket, remote: SocketAddr) -> Self {
        Self { end: End::new(stack), sizes: Sizes::default(), socket, remote, datagram: [0; 2_048] }
    }

    /// Sends what it has to send.
    pub fn drain(&mut self, now: Instant) -> Result<()> {
        let Self { end, sizes, socket, remote, .. } = self;
        end.drain(now, |datagram| {
            sizes.note(datagram.len());
            // What the socket does not take is lost, as on any path.
            let _ = socket.send_to(datagram, *remote);
        })
    }

    /// Takes in what has arrived. Returns whether anything had.
    pub fn receive(&mut self) -> Result<bool> {
        for count in 0..BUDGET {
            match self.socket.recv_from(&mut self.datagram) {
                Ok((length, from)) => {
                    let now = Instant::now();
                    self.end.handle_datagram(now, from, &mut self.datagram[..length])?;
                    self.drain(now)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count > 0),
                // The other end has not bound its socket yet, or no longer.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Acts on a deadline that has come.
    pub fn handle_timeout(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.end.is_due(now) {
            self.end.handle_timeout(now)?;
            self.drain(now)?;
        }
        Ok(())
    }

    /// Sends as much as the endpoint takes, within the budget.
    pub fn pump(&mut self, source: &mut Source) -> Result<()> {
        for _ in 0..BUDGET {
            let Some(message) = source.current() else { break };
            let now = Instant::now();
            if !self.end.stack.send(now, message)? {
                break;
            }
            source.advance();
            self.drain(now)?;
        }
        Ok(())
    }

    /// Waits for a datagram, the deadline, or `longest`.
    pub fn wait(&self, longest: Duration) -> Result<()> {
        let until = self.end.deadline.map_or(longest, |at| at.saturating_duration_since(Instant::now()).min(longest));
        let timeout = Timespec { tv_sec: until.as_secs().try_into()?, tv_nsec: until.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
            Err(error) if error != rustix::io::Errno::INTR => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Two hosts that have exchanged their descriptions.
pub fn signalled_hosts<S: Stack>() -> Result<[Host<S>; 2]> {
    let sockets = [bind()?, bind()?];
    let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
    let now = Instant::now();
    let stack = |index: usize| {
        let (local, creates_channel) = (addresses[index], index == 0);
        S::new(now, Setup { local, creates_channel, answers_as_client: None, buffer: None })
    };
    let (mut offerer, mut answerer) = (stack(0)?, stack(1)?);
    let offer = offerer.create_offer(now)?;
    let answer = answerer.accept_offer(now, &offer)?;
    offerer.accept_answer(now, &answer)?;
    let [left, right] = sockets;
    Ok([Host::new(offerer, left, addresses[1]), Host::new(answerer, right, addresses[0])])
}
