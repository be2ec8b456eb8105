//! What handles ask of the task that drives their peer.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender};
use futures_util::Stream;
use futures_util::task::AtomicWaker;
use peer_core::{ChannelKey, CreateDataChannelError, DataChannelOptions, Message, Peer, SendError};
use proto_machine::Timestamp;

use crate::channel::ChannelParts;
use crate::sockets::SocketStatistics;

/// Commands that wait for the task. Whoever has another waits until there is room.
pub(crate) const COMMAND_CAPACITY: usize = 64;

/// Something to do with the peer, which answers by itself.
type Work = Box<dyn FnOnce(&mut Peer, Timestamp) + Send>;

/// What a handle wants. A reply that is dropped tells that the task has ended.
pub(crate) enum Command {
    Run(Work),
    CreateDataChannel(DataChannelOptions, Sender<Result<ChannelParts, CreateDataChannelError>>),
    Send(ChannelKey, WaitingSend),
    Statistics(Sender<SocketStatistics>),
    /// Nothing is ever sent in reply: it is dropped last.
    Close(Sender<()>),
}

/// A message, and who waits for it to be taken.
pub(crate) struct WaitingSend {
    pub(crate) message: Message,
    pub(crate) reply: Sender<Result<(), SendError>>,
}

/// Asks the task, and waits for the answer; `None` if the task has ended.
pub(crate) async fn ask<R>(commands: &Sender<Command>, command: impl FnOnce(Sender<R>) -> Command) -> Option<R> {
    let (reply, answer) = async_channel::bounded(1);
    commands.send(command(reply)).await.ok()?;
    answer.recv().await.ok()
}

/// Has the task do something with its peer; `None` if the task has ended.
pub(crate) async fn run<R: Send + 'static>(
    commands: &Sender<Command>,
    work: impl FnOnce(&mut Peer, Timestamp) -> R + Send + 'static,
) -> Option<R> {
    let with_reply = |reply: Sender<R>| -> Work {
        Box::new(move |peer, now| {
            // Whoever asked may have gone.
            let _gone = reply.try_send(work(peer, now));
        })
    };
    ask(commands, |reply| Command::Run(with_reply(reply))).await
}

/// The task's end of the commands.
pub(crate) struct Commands(Pin<Box<Receiver<Command>>>);

impl Commands {
    pub(crate) fn new(receiver: Receiver<Command>) -> Self {
        Self(Box::pin(receiver))
    }

    /// The next command; `None` once no handle is left.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Command>> {
        self.0.as_mut().poll_next(context)
    }
}

impl Drop for Commands {
    /// What was not carried out stays in the channel as long as there are handles, and with it its replies: taken out, it tells that the task has ended.
    fn drop(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

/// How handles draw the task's attention to what is no command.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waker: AtomicWaker,
    handle_dropped: AtomicBool,
}

impl Signal {
    pub(crate) fn register(&self, context: &Context<'_>) {
        self.waker.register(context.waker());
    }

    /// There is room for messages or events again.
    pub(crate) fn announce_room(&self) {
        self.waker.wake();
    }

    /// Whether a handle was dropped since this was asked last.
    pub(crate) fn take_handle_dropped(&self) -> bool {
        self.handle_dropped.swap(false, Ordering::AcqRel)
    }
}

/// Tells the task that a handle was dropped. To be the last field of the handle, so that the others are gone by then.
#[derive(Clone, Debug)]
pub(crate) struct DropNotice(pub(crate) Arc<Signal>);

impl Drop for DropNotice {
    fn drop(&mut self) {
        self.0.handle_dropped.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// Locks. No holder of a lock in this crate can leave its contents half-done, so a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
