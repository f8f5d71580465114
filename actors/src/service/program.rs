//! One program: started, found ready, watched, started again, stopped. Its state is for others to see; what is said over
//! its pipes is fixed in docs/configuration.md.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::channels::supervisor_status::{Part, State};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::{Notify, watch};

use super::lines::{self, Ration};
use crate::backoff::Backoff;
use crate::call::millis;
use crate::config::{Ready, Service};
use crate::process::Program as Command;
use crate::process::group::{Group, Pipes};

/// How often a program that has not answered yet is pinged.
const EAGER: Duration = Duration::from_millis(200);
/// How long the last lines of a program that has ended are waited for.
const LAST_LINES: Duration = Duration::from_millis(500);

/// A program and how it is.
pub(super) struct Program {
    config: Service,
    state: Cell<State>,
    restarts: Cell<u64>,
    /// Told when the state changes.
    pub(super) changed: Notify,
    /// Asks for a new start.
    anew: Notify,
    stop: watch::Sender<bool>,
}

/// Why a run of a program is over.
enum Over {
    /// It ended or hung by itself; whether it had been ready.
    Down { was_ready: bool },
    /// It did not become ready in time.
    NotReady,
    /// It was stopped to be started anew.
    Anew,
    /// It was stopped.
    Stopped,
}

/// What a program has said.
#[derive(Default)]
struct Said {
    ready: Cell<bool>,
    /// When it last answered a ping.
    pong: Cell<Option<Instant>>,
    told: Notify,
}

impl Program {
    pub(super) fn new(config: Service) -> Rc<Self> {
        Rc::new(Self {
            config,
            state: Cell::new(State::Restarting),
            restarts: Cell::new(0),
            changed: Notify::new(),
            anew: Notify::new(),
            stop: watch::Sender::new(false),
        })
    }

    /// Its name among the parts of the node.
    pub(super) fn name(&self) -> String {
        format!("service:{}", self.config.name)
    }

    pub(super) fn part(&self) -> Part {
        Part { name: self.name(), state: self.state.get(), restarts: self.restarts.get() }
    }

    /// Starts it anew, also if it stays down.
    pub(super) fn restart(&self) {
        self.anew.notify_one();
    }

    /// Asks it to end.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn enter(&self, state: State) {
        self.state.set(state);
        self.changed.notify_waiters();
    }

    /// Keeps it running until it is stopped.
    pub(super) async fn keep(self: Rc<Self>) {
        let name = self.config.name.as_str();
        let patience = Duration::from_millis(self.config.ready_ms);
        let mut backoff = Backoff::default();
        let mut give_up = Instant::now() + patience;
        loop {
            let next = match self.run(give_up).await {
                Over::Stopped => return,
                Over::Anew => Rested::Anew,
                Over::Down { was_ready } => {
                    if was_ready {
                        give_up = Instant::now() + patience;
                    }
                    let pause = backoff.note_death(Instant::now());
                    match pause {
                        Some(pause) => {
                            tracing::warn!(service = name, pause_ms = millis(pause), "is started again");
                        }
                        None => tracing::error!(service = name, "went down too often and stays down"),
                    }
                    self.rest(pause).await
                }
                Over::NotReady => {
                    tracing::error!(service = name, "did not become ready in time and stays down");
                    self.rest(None).await
                }
            };
            match next {
                Rested::Stopped => return,
                Rested::Anew => {
                    backoff = Backoff::default();
                    give_up = Instant::now() + patience;
                }
                Rested::Over => {}
            }
            self.restarts.set(self.restarts.get() + 1);
            self.enter(State::Restarting);
        }
    }

    /// Waits for the end of a pause, or without one until somebody asks for a new start.
    async fn rest(&self, pause: Option<Duration>) -> Rested {
        self.enter(if pause.is_some() { State::Restarting } else { State::Failed });
        let mut stop = self.stop.subscribe();
        let pause = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Rested::Stopped,
            () = self.anew.notified() => Rested::Anew,
            () = pause => Rested::Over,
        }
    }

    /// Starts it once and sees it to its end. It must be ready at `give_up`.
    async fn run(&self, give_up: Instant) -> Over {
        let config = &self.config;
        let mut words = config.command.iter();
        let path = words.next().cloned().unwrap_or_default().into();
        let command = Command { path, arguments: words.map(Into::into).collect() };
        let started = Group::start(&command, &config.env, &config.folder);
        let (mut group, Pipes { stdin, stdout, stderr }) = match started {
            Ok(started) => started,
            Err(error) => {
                tracing::error!(service = %config.name, %error, "cannot be started");
                return Over::Down { was_ready: false };
            }
        };
        let said = Rc::new(Said::default());
        let heard = Rc::clone(&said);
        let speaks = config.ready;
        let readers = [self.read(stdout, move |line| heard.hear(speaks, line)), self.read(stderr, |_| false)];
        let over = self.watch(&mut group, stdin, &said, give_up).await;
        for reader in readers {
            let abort = reader.abort_handle();
            if tokio::time::timeout(LAST_LINES, reader).await.is_err() {
                abort.abort();
            }
        }
        over
    }

    /// Writes what `pipe` says to the log, but for what `ours` takes.
    fn read(
        &self,
        pipe: impl tokio::io::AsyncRead + Unpin + 'static,
        ours: impl Fn(&str) -> bool + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let name = self.config.name.clone();
        tokio::task::spawn_local(async move {
            let mut ration = Ration::new(Instant::now());
            let log = |line: &str| {
                if ours(line) {
                    return;
                }
                let Some(left_out) = ration.one_more(Instant::now()) else { return };
                if left_out > 0 {
                    tracing::warn!(target: "service", service = %name, left_out, "lines were left out");
                }
                tracing::info!(target: "service", service = %name, "{line}");
            };
            lines::read(pipe, log).await;
        })
    }

    /// Watches a started program until it is over.
    async fn watch(&self, group: &mut Group, mut stdin: ChildStdin, said: &Said, give_up: Instant) -> Over {
        let pings = self.config.ready == Ready::Ping;
        let every = Duration::from_millis(self.config.ping_ms);
        let mut stop = self.stop.subscribe();
        let mut was_ready = self.config.ready == Ready::None;
        if was_ready {
            self.up(group);
        }
        // Answers to a ping count from its sending.
        let mut pinged = None;
        loop {
            let patience = if was_ready { every } else { EAGER };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {
                    self.shut_down(group, stdin).await;
                    return Over::Stopped;
                }
                () = self.anew.notified() => {
                    self.shut_down(group, stdin).await;
                    return Over::Anew;
                }
                ended = group.ended() => {
                    match ended {
                        Ok(status) => tracing::warn!(service = %self.config.name, %status, "ended"),
                        Err(error) => tracing::error!(service = %self.config.name, %error, "cannot be watched"),
                    }
                    return Over::Down { was_ready };
                }
                () = said.told.notified(), if !was_ready => {
                    was_ready = true;
                    self.up(group);
                }
                () = tokio::time::sleep_until(give_up.into()), if !was_ready => {
                    group.kill();
                    let _reaped = group.ended().await;
                    return Over::NotReady;
                }
                () = next_ping(pinged, patience), if pings => {
                    let unanswered = pinged.is_some_and(|pinged| said.pong.get().is_none_or(|pong| pong < pinged));
                    if was_ready && unanswered {
                        tracing::error!(service = %self.config.name, "does not answer and is killed");
                        group.kill();
                        let _reaped = group.ended().await;
                        return Over::Down { was_ready };
                    }
                    pinged = Some(Instant::now());
                    ping(&mut stdin).await;
                }
            }
        }
    }

    fn up(&self, group: &Group) {
        tracing::info!(service = %self.config.name, pid = group.pid(), "is ready");
        self.enter(State::Up);
    }

    /// Ends a program: it is told so, then asked by a signal, then killed.
    async fn shut_down(&self, group: &mut Group, mut stdin: ChildStdin) {
        self.enter(State::Restarting);
        let whole = Duration::from_millis(self.config.stop_ms);
        // One that does not speak with us is not given time to answer.
        let message = if self.config.ready == Ready::Ping { whole / 2 } else { Duration::ZERO };
        say(&mut stdin, b"shutdown\n").await;
        drop(stdin);
        if tokio::time::timeout(message, group.ended()).await.is_ok() {
            return;
        }
        group.terminate();
        if tokio::time::timeout(whole.saturating_sub(message), group.ended()).await.is_ok() {
            return;
        }
        tracing::warn!(service = %self.config.name, "did not end in time and is killed");
        group.kill();
        if let Err(error) = group.ended().await {
            tracing::error!(service = %self.config.name, %error, "its end cannot be seen");
        }
    }
}

/// What ended a pause.
enum Rested {
    Over,
    Anew,
    Stopped,
}

impl Said {
    /// Whether a line was meant for the node.
    fn hear(&self, speaks: Ready, line: &str) -> bool {
        let meant = match speaks {
            Ready::Ping => line == "pong",
            Ready::Line => line == "ready" && !self.ready.get(),
            Ready::None => false,
        };
        if meant {
            self.pong.set(Some(Instant::now()));
            self.ready.set(true);
            self.told.notify_one();
        }
        meant
    }
}

/// When the next ping is due: the first at once.
async fn next_ping(last: Option<Instant>, every: Duration) {
    if let Some(last) = last {
        tokio::time::sleep_until((last + every).into()).await;
    }
}

async fn ping(stdin: &mut ChildStdin) {
    say(stdin, b"ping\n").await;
}

/// Writes to a program that may not read: a full pipe must not hold us, and a closed one shows in other ways.
async fn say(stdin: &mut ChildStdin, words: &[u8]) {
    let _read_or_not = tokio::time::timeout(EAGER, stdin.write_all(words)).await;
}
