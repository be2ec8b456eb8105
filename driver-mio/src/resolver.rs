//! Name look-ups by the system, which block, on threads of their own.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mio::Waker;
use proto_machine::{LookupId, SocketError};

/// An answered look-up.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) lookup: LookupId,
    pub(crate) result: Result<Vec<IpAddr>, SocketError>,
}

/// The most threads. A name that the system seeks in vain for half a minute holds up no other, as long as there are fewer of them.
const MAX_WORKERS: usize = 8;

/// Threads that answer one look-up after the other. Another one is started when there are more look-ups than threads, up to [`MAX_WORKERS`].
///
/// They end once the resolver has been dropped and the look-ups under way, which cannot be interrupted, have returned.
#[derive(Debug)]
pub(crate) struct Resolver {
    waker: Arc<Waker>,
    limit: usize,
    /// Look-ups not answered yet, at most `limit`.
    waiting: usize,
    crew: Option<Crew>,
    resolve: Resolve,
}

/// What a thread asks: the system, but in tests.
type Resolve = fn(&str) -> Result<Vec<IpAddr>, SocketError>;

/// The threads, and the ways to and from them.
#[derive(Debug)]
struct Crew {
    workers: usize,
    questions: SyncSender<(LookupId, String)>,
    /// Shared by the threads.
    asked: Arc<Mutex<Receiver<(LookupId, String)>>>,
    answered: SyncSender<Answer>,
    answers: Receiver<Answer>,
}

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>, limit: usize) -> Self {
        Self { waker, limit, waiting: 0, crew: None, resolve }
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
        let crew = self.crew.get_or_insert_with(|| Crew::new(self.limit));
        if self.waiting >= crew.workers && crew.workers < MAX_WORKERS {
            match crew.start_worker(&self.waker, self.resolve) {
                // Those that are there will do it.
                Err(error) if crew.workers == 0 => return refuse(error.to_string()),
                _ => {}
            }
        }
        match crew.questions.try_send((lookup, host)) {
            Ok(()) => {
                self.waiting += 1;
                None
            }
            Err(error) => refuse(error.to_string()),
        }
    }

    /// The next answer that has arrived.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let answer = self.crew.as_ref()?.answers.try_recv().ok()?;
        self.waiting = self.waiting.saturating_sub(1);
        Some(answer)
    }
}

impl Crew {
    fn new(limit: usize) -> Self {
        let (questions, asked) = sync_channel(limit);
        let (answered, answers) = sync_channel(limit);
        Self { workers: 0, questions, asked: Arc::new(Mutex::new(asked)), answered, answers }
    }

    fn start_worker(&mut self, waker: &Arc<Waker>, resolve: Resolve) -> io::Result<()> {
        let (waker, asked, answered) = (Arc::clone(waker), Arc::clone(&self.asked), self.answered.clone());
        // Nothing panics while the queue is locked, and it is whole whatever happens.
        let next = move || asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
        thread::Builder::new().name("name look-ups".to_owned()).spawn(move || {
            while let Ok((lookup, host)) = next() {
                let answer = Answer { lookup, result: resolve(&host) };
                if answered.send(answer).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        })?;
        self.workers += 1;
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    /// Names that begin with "stuck" are never answered.
    fn resolve_most(host: &str) -> Result<Vec<IpAddr>, SocketError> {
        while host.starts_with("stuck") {
            thread::park();
        }
        Ok(vec![[192, 0, 2, 1].into()])
    }

    fn resolver(limit: usize) -> (Resolver, Poll) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        (Resolver { resolve: resolve_most, ..Resolver::new(waker, limit) }, poll)
    }

    #[test]
    fn names_that_are_never_answered_hold_up_no_other_as_long_as_there_are_fewer_than_threads() {
        let (mut resolver, mut poll) = resolver(64);
        for number in 1..MAX_WORKERS {
            assert!(resolver.ask(LookupId(number as u64), format!("stuck{number}.example")).is_none());
        }
        for number in [100, 101, 102] {
            assert!(resolver.ask(LookupId(number), "quick.example".to_owned()).is_none());
        }
        let mut answered = Vec::new();
        while answered.len() < 3 {
            poll.poll(&mut Events::with_capacity(1), Some(Duration::from_secs(30))).unwrap();
            let before = answered.len();
            answered.extend(std::iter::from_fn(|| resolver.answer()).map(|answer| answer.lookup.0));
            assert!(answered.len() > before, "waited in vain, after {answered:?}");
        }
        answered.sort_unstable();
        assert_eq!(answered, [100, 101, 102]);
        assert_eq!(resolver.crew.unwrap().workers, MAX_WORKERS);
    }

    #[test]
    fn look_ups_that_wait_are_bounded() {
        let (mut resolver, _poll) = resolver(2);
        for number in 0..2 {
            assert!(resolver.ask(LookupId(number), "stuck.example".to_owned()).is_none());
        }
        let refused = resolver.ask(LookupId(2), "quick.example".to_owned()).unwrap();
        assert!(matches!(refused.result, Err(SocketError::Other(_))));
    }
}
