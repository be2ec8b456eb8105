//! Name look-ups by the system, which block, on a thread of their own.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use mio::Waker;
use proto_machine::{LookupId, SocketError};

/// An answered look-up.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) lookup: LookupId,
    pub(crate) result: Result<Vec<IpAddr>, SocketError>,
}

/// One thread, started by the first look-up, that answers one look-up after the other.
///
/// It ends once the resolver has been dropped and the look-up under way, which cannot be interrupted, has returned.
#[derive(Debug)]
pub(crate) struct Resolver {
    waker: Arc<Waker>,
    limit: usize,
    /// Look-ups not answered yet, at most `limit`.
    waiting: usize,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    questions: SyncSender<(LookupId, String)>,
    answers: Receiver<Answer>,
}

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>, limit: usize) -> Self {
        Self { waker, limit, waiting: 0, worker: None }
    }

    /// Asks for the addresses of a name. An answer that is known at once is returned; any other comes from [`answers`](Self::answers) after the waker has been used.
    pub(crate) fn ask(&mut self, lookup: LookupId, host: String) -> Option<Answer> {
        if let Ok(address) = host.parse() {
            return Some(Answer { lookup, result: Ok(vec![address]) });
        }
        let refuse = |words: String| Some(Answer { lookup, result: Err(SocketError::Other(words)) });
        if self.waiting >= self.limit {
            return refuse("too many name look-ups are waiting".to_owned());
        }
        let worker = match self.worker.take().map_or_else(|| start(&self.waker, self.limit), Ok) {
            Ok(worker) => self.worker.insert(worker),
            Err(error) => return refuse(error.to_string()),
        };
        match worker.questions.try_send((lookup, host)) {
            Ok(()) => {
                self.waiting += 1;
                None
            }
            Err(error) => refuse(error.to_string()),
        }
    }

    /// The next answer that has arrived.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let answer = self.worker.as_ref()?.answers.try_recv().ok()?;
        self.waiting = self.waiting.saturating_sub(1);
        Some(answer)
    }
}

fn start(waker: &Arc<Waker>, limit: usize) -> io::Result<Worker> {
    let waker = Arc::clone(waker);
    let (questions, asked) = sync_channel::<(LookupId, String)>(limit);
    let (answered, answers) = sync_channel(limit);
    thread::Builder::new().name("name look-ups".to_owned()).spawn(move || {
        for (lookup, host) in asked {
            let answer = Answer { lookup, result: resolve(&host) };
            if answered.send(answer).is_err() || waker.wake().is_err() {
                return;
            }
        }
    })?;
    Ok(Worker { questions, answers })
}

/// Asks the system. Blocks, for seconds if need be.
fn resolve(host: &str) -> Result<Vec<IpAddr>, SocketError> {
    let addresses: Vec<IpAddr> = match (host, 0).to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(error) => return Err(failure(&error)),
    };
    if addresses.is_empty() { Err(SocketError::NameNotFound) } else { Ok(addresses) }
}

/// The standard library keeps getaddrinfo's code to itself: only its words tell a name that does not exist from a server that does not answer.
fn failure(error: &io::Error) -> SocketError {
    const NOT_FOUND: [&str; 4] =
        ["Name or service not known", "No address associated", "nodename nor servname", "Name does not resolve"];
    let words = error.to_string();
    let not_found = error.kind() == io::ErrorKind::InvalidInput || NOT_FOUND.iter().any(|known| words.contains(known));
    if not_found { SocketError::NameNotFound } else { SocketError::Other(words) }
}
