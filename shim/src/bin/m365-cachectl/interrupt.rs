//! Being told to end (Ctrl-C, `kill`, a terminal that is closed): what is half done is taken back first, and the exit code says which it was.
//!
//! Decision: the verb is dropped, and with it goes whatever takes itself back: a half-written file of people's data, a service manager that was halted,
//! a screen that was taken. A thread of its own listens, since a verb may sit in a question to the person, which nothing but the end of the process
//! calls off: then only the terminal has to be given back. Rejected: to die of the signal, which left all of that behind.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// A verb that has not let go by then is left as it is. A second signal ends it at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// What gives the terminal back while a person is asked.
static ASKING: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// As long as it is there, a person is being asked: whoever is told to end gives the terminal back and ends.
pub(crate) struct Asking;

/// A person is asked from now on; `give_back` is done when that is interrupted, and only then.
pub(crate) fn asking(give_back: impl FnOnce() + Send + 'static) -> Asking {
    *ASKING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(give_back));
    Asking
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Does `work` to its end, or until it is told to end: then the exit code that tells of it.
pub(crate) async fn unless_told<T>(work: impl Future<Output = T>) -> Result<T, u8> {
    let (tell, told) = oneshot::channel();
    let (ready, listens) = oneshot::channel();
    // Without the thread a signal ends the process as it always did.
    let _ = std::thread::Builder::new().name("signals".into()).spawn(move || listen(ready, tell));
    // Nothing is begun that could not be taken back.
    let _ = listens.await;
    let told = async {
        match told.await {
            Ok(code) => code,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        code = told => Err(code),
    }
}

fn listen(ready: oneshot::Sender<()>, tell: oneshot::Sender<u8>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let Ok(mut signals) = Signals::install() else { return };
        let _ = ready.send(());
        let code = signals.any().await;
        let asked = ASKING.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(give_back) = asked {
            give_back();
            // The shell's prompt begins a line.
            let _ = std::io::stderr().write_all(b"\n");
        } else if tell.send(code).is_ok() {
            let _ = tokio::time::timeout(PATIENCE, signals.any()).await;
        }
        std::process::exit(code.into());
    });
}

/// The signals that end a program, and the exit codes that tell of them.
#[cfg(unix)]
struct Signals([(tokio::signal::unix::Signal, u8); 3]);

#[cfg(unix)]
impl Signals {
    fn install() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([(signal(SignalKind::terminate())?, 143), (signal(SignalKind::interrupt())?, 130), (signal(SignalKind::hangup())?, 129)]))
    }

    async fn any(&mut self) -> u8 {
        let [(terminate, first), (interrupt, second), (hangup, third)] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => *first,
            _ = interrupt.recv() => *second,
            _ = hangup.recv() => *third,
        }
    }
}

/// Elsewhere Ctrl-C is the one there is.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn any(&mut self) -> u8 {
        // Where it cannot be heard, it ends the process by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        130
    }
}
