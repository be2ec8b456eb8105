//! Byte pipes between hosts: their segments go the way of datagrams.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proto_machine::{Path, Timestamp, TransportProtocol};

use super::{Delivery, World};
use crate::pipe::{Pipe, Segment};
use crate::{Entry, NodeId, StreamError, StreamEvent, StreamRequest, StreamSecurity};

/// The byte pipes of a host.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    listeners: BTreeMap<SocketAddr, StreamSecurity>,
    open: BTreeMap<Path, Pipe>,
    /// When the world will look at a pipe next.
    timers: BTreeMap<Path, Timestamp>,
}

impl<S: 'static> World<S> {
    pub(super) fn handle_stream_request(&mut self, id: NodeId, request: StreamRequest) {
        let host = &mut self.hosts[id.0];
        match request {
            StreamRequest::Listen { local, security } => {
                host.pipes.listeners.insert(local, security);
            }
            StreamRequest::Connect { path, security } => {
                let is_possible = path.protocol == TransportProtocol::Tcp
                    && host.network_of(path.local.ip()).is_some()
                    && !host.pipes.open.contains_key(&path);
                if !is_possible {
                    let event = StreamEvent::Failed(StreamError::AddressNotAvailable);
                    return self.report_stream(id, path, event);
                }
                host.pipes.open.insert(path, Pipe::connect(security));
                self.pump(id, path);
            }
            StreamRequest::Send { path, bytes } => {
                if let Some(pipe) = host.pipes.open.get_mut(&path) {
                    pipe.send(&bytes);
                    self.pump(id, path);
                }
            }
            StreamRequest::Close { path } => {
                if let Some(pipe) = host.pipes.open.get_mut(&path) {
                    pipe.close();
                    self.pump(id, path);
                }
            }
        }
    }

    pub(super) fn arrive_segment(&mut self, to: NodeId, path: Path, bytes: &[u8]) {
        let now = self.now;
        let Some(segment) = Segment::decode(bytes) else { return };
        let pipes = &mut self.hosts[to.0].pipes;
        if segment.opens()
            && let Some(&security) = pipes.listeners.get(&path.local)
        {
            pipes.open.entry(path).or_insert_with(|| Pipe::accept(security));
        }
        let Some(pipe) = pipes.open.get_mut(&path) else {
            self.transcript.push(Entry::Unreachable { at: now, path: path.reversed() });
            if let Some(refusal) = segment.refusal() {
                self.launch_segment(to, path, refusal.encode());
            }
            return;
        };
        self.transcript.push(Entry::Arrived { at: now, path, length: bytes.len() });
        pipe.handle_segment(now, segment);
        self.pump(to, path);
    }

    pub(super) fn wake_pipe(&mut self, of: NodeId, path: Path) {
        let now = self.now;
        let Pipes { open, timers, .. } = &mut self.hosts[of.0].pipes;
        if timers.get(&path).is_some_and(|at| *at <= now) {
            timers.remove(&path);
        }
        if let Some(pipe) = open.get_mut(&path) {
            pipe.handle_timeout(now);
            self.pump(of, path);
        }
    }

    /// Sends a segment, unless the interface is gone.
    fn launch_segment(&mut self, from: NodeId, path: Path, bytes: Vec<u8>) {
        match self.hosts[from.0].network_of(path.local.ip()) {
            Some(network) => self.launch(from, network, path, bytes),
            None => self.transcript.push(Entry::NotSent { at: self.now, node: from, path }),
        }
    }

    /// Sends what a pipe has to send, and tells the node what has happened to it.
    fn pump(&mut self, id: NodeId, path: Path) {
        let now = self.now;
        while let Some(segment) = self.pipe(id, path).and_then(|pipe| pipe.poll_segment(now)) {
            self.launch_segment(id, path, segment.encode());
        }
        let timers = &self.hosts[id.0].pipes.timers;
        let is_new = |at: &Timestamp| timers.get(&path).is_none_or(|timer| at < timer);
        let deadline = self.hosts[id.0].pipes.open.get(&path).and_then(Pipe::deadline);
        if let Some(at) = deadline.filter(is_new) {
            self.hosts[id.0].pipes.timers.insert(path, at);
            self.enqueue(at, Delivery::PipeTimer { of: id, path });
        }
        while let Some(event) = self.pipe(id, path).and_then(Pipe::poll_event) {
            self.report_stream(id, path, event);
        }
        if self.pipe(id, path).is_some_and(|pipe| pipe.has_ended()) {
            self.hosts[id.0].pipes.open.remove(&path);
        }
    }

    fn pipe(&mut self, id: NodeId, path: Path) -> Option<&mut Pipe> {
        self.hosts[id.0].pipes.open.get_mut(&path)
    }

    fn report_stream(&mut self, id: NodeId, path: Path, event: StreamEvent) {
        self.enqueue(self.now, Delivery::Stream { to: id, path, event });
    }
}
