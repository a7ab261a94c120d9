//! The store's thread: jobs over a queue; reads before writes, ledger before cache, and writes in batches.
//!
//! A batch is whatever has gathered while the thread was busy, up to 256 KB (about 5 ms of writing) or 32 jobs of the ledger, so a lone
//! write waits for nothing and many share one commit. A job is answered after its commit. A job that fails in a batch is rolled back with
//! the batch, and each job of it is run again by itself; one that met a damaged page is run once more on a new connection. Jobs are
//! therefore written so that they can be run twice.
//!
//! The log is moved into the file, and the file shrinks, when nobody has asked for anything for a while. Where somebody always does (a
//! status page that is drawn four times a second is enough) it is done between two jobs, a slice at a time.
//!
//! A short read that finds nobody at work and nobody waiting is run by its caller: waking the thread and being woken again took longer
//! than the read. It never overtakes a job that waits, so writes are not starved by it.
//!
//! Why one connection and not a pool (`bench store`, full run on two cores, 10 KB answers, calls per second and the reads' p99; the
//! clients are threads that do nothing else, so the figures with many are a ceiling):
//!
//! | load, clients | one connection | pool of 5 |
//! |---|---|---|
//! | reads, 1 / 8 / 100 | 203,000 / 89,000 / 101,000 | 212,000 / 304,000 / 359,000 |
//! | one in ten a write, 1 / 8 / 100 | 82,000 / 72,000 / 67,000 | 185,000 / 146,000 / 113,000 |
//! | reads while rows are evicted, 1 / 8 / 100 | 5,200 / 88,000 / 92,000 | 23,000 / 42,000 / 42,000 |
//! | p99 of those, ms | 1.1 / 0.23 / 2.6 | 0.14 / 5.6 / 45 |
//!
//! The pool reads on both cores, and is faster while nothing much is written. While rows are evicted without a pause, a lone client of the one
//! connection waits for the batch at work, 1 ms; from eight clients on the one connection gives twice the calls, and its slowest reads are 17 to
//! 24 times faster: a commit empties the page cache of every other connection. Whole calls come to 17,800 a second on these cores (`bench trip`,
//! 8 clients, every answer from the file), a quarter of what one connection gives to eight clients at its worst, so the pool's lead is out of
//! reach of the clients and its stalls are not: one connection
//! ships. Tried besides: to spin before queueing when another read is at work; it won nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Guard, StoreError, audit, db::Db};

/// Most bytes of one batch of cache writes.
const BATCH_BYTES: usize = 256 * 1024;
/// Most jobs of the ledger that share a commit.
const LEDGER_JOBS: usize = 32;
/// Reads served in a row while writes wait.
const READS_IN_A_ROW: u32 = 32;
/// Quiet time after which the log is moved into the file and free pages are given back.
const QUIET: Duration = Duration::from_millis(250);
/// Time after which that is done without quiet, and as often again.
const LATEST: Duration = Duration::from_secs(5);
/// Free pages kept for the next entries; those beyond are given back to the file system, `VACUUM_PAGES` at a time (about 1 ms).
const FREE_PAGES_KEPT: i64 = 1024;
const VACUUM_PAGES: u32 = 64;

/// Something to do on the thread.
trait Job: Send {
    fn run(&mut self, db: &mut Db) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A closure, what it returned, and who waits for that.
struct Task<T, F> {
    work: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&mut Db) -> Result<T, StoreError> + Send> Job for Task<T, F> {
    fn run(&mut self, db: &mut Db) -> Result<(), StoreError> {
        self.value = Some((self.work)(db)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { value, reply, .. } = *self;
        // Nobody waits any more when the call was cancelled; the work is done all the same.
        let _ = reply.send(outcome.and_then(|()| value.ok_or(StoreError::Closed)));
    }
}

#[derive(Default)]
struct Queues {
    /// The database while nobody works on it. Whoever does takes it out and puts it back.
    db: Option<Box<Db>>,
    reads: VecDeque<Box<dyn Job>>,
    ledger: VecDeque<Box<dyn Job>>,
    cache: VecDeque<(usize, Box<dyn Job>)>,
    /// Reads done by those who wanted them.
    on_the_spot: u64,
    closing: bool,
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.ledger.is_empty() && self.cache.is_empty()
    }

    /// What the thread does next, after so many reads in a row; `None` when there is nothing.
    fn next(&mut self, reads: u32) -> Option<Next> {
        let writes_wait = !self.ledger.is_empty() || !self.cache.is_empty();
        if !(writes_wait && reads >= READS_IN_A_ROW)
            && let Some(job) = self.reads.pop_front()
        {
            return Some(Next::Read(job));
        }
        if !self.ledger.is_empty() {
            return Some(Next::Ledger(self.ledger.drain(..self.ledger.len().min(LEDGER_JOBS)).collect()));
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some((more, _)) = self.cache.front()
            && (batch.is_empty() || bytes + more <= BATCH_BYTES)
            && let Some((more, job)) = self.cache.pop_front()
        {
            bytes += more;
            batch.push(job);
        }
        if !batch.is_empty() {
            return Some(Next::Cache(batch));
        }
        self.closing.then_some(Next::Close)
    }
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The database in the hands of somebody; goes back when dropped, also by a panic.
struct Borrowed<'a> {
    shared: &'a Shared,
    db: Option<Box<Db>>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        queues.db = self.db.take();
        queues.on_the_spot += 1;
        let wanted = queues.closing || !queues.is_empty();
        drop(queues);
        if wanted {
            self.shared.wake.notify_one();
        }
    }
}

/// What the thread does next.
enum Next {
    Read(Box<dyn Job>),
    Ledger(Vec<Box<dyn Job>>),
    Cache(Vec<Box<dyn Job>>),
    Tidy,
    Close,
}

/// The handle by which jobs reach the thread.
pub(super) struct StoreThread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl StoreThread {
    pub(super) fn start(db: Db) -> Result<Self, StoreError> {
        let log_due = db.log_is_due();
        let shared = Arc::new(Shared { queues: Mutex::new(Queues { db: Some(Box::new(db)), ..Queues::default() }), wake: Condvar::new() });
        let worker = Worker { shared: shared.clone(), log_due };
        let handle = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Failed(format!("no thread for the store: {}", error.kind())))?;
        Ok(Self { shared, handle: Mutex::new(Some(handle)) })
    }

    /// Runs `work`, which changes nothing and is short, here and now; `None` when somebody else is at work or waits.
    pub(super) fn read_now<T>(&self, mut work: impl FnMut(&mut Db) -> Result<T, StoreError>) -> Option<Result<T, StoreError>> {
        let mut queues = self.shared.lock();
        if queues.closing || !queues.is_empty() {
            return None;
        }
        let db = queues.db.take()?;
        drop(queues);
        let mut borrowed = Borrowed { shared: &self.shared, db: Some(db) };
        borrowed.db.as_mut().map(|db| with_one_reopening(db, |db| work(db)))
    }

    /// Runs `work`, which changes nothing.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Db) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(work, |queues, job| queues.reads.push_back(job)).await
    }

    /// Runs `work` in a transaction that may be shared and may be lost when the machine loses power; `bytes` is about what it writes.
    pub(super) async fn cache<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Db) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(work, |queues, job| queues.cache.push_back((bytes, job))).await
    }

    /// Runs `work` in a transaction that may be shared, on the disk when this returns.
    pub(super) async fn ledger<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Db) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(work, |queues, job| queues.ledger.push_back(job)).await
    }

    async fn submit<T, F>(&self, work: F, push: impl FnOnce(&mut Queues, Box<dyn Job>)) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Db) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        {
            let mut queues = self.shared.lock();
            if queues.closing {
                return Err(StoreError::Closed);
            }
            push(&mut queues, Box::new(Task { work, value: None, reply }));
        }
        self.shared.wake.notify_one();
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Has the thread finish what it was given and close the file; waits for it.
    pub(super) fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // A thread that panicked has already answered everybody by dropping their jobs.
            let _ = handle.join();
        }
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs `work`; when it meets a damaged page once more on a new connection.
fn with_one_reopening<T>(db: &mut Db, mut work: impl FnMut(&mut Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut outcome = work(db);
    // A full disk can not even be tidied: the ballast makes room for this and for what follows.
    if matches!(outcome, Err(StoreError::Full)) && db.guard().get().is_some_and(Guard::let_go) {
        outcome = work(db);
    }
    if matches!(outcome, Err(StoreError::Damaged(_))) {
        outcome = db.reopen().and_then(|()| work(db));
        if outcome.is_err() {
            // It met the damage again and poisoned the new connection, too; the next job starts on a good one.
            let _ = db.reopen();
        }
    }
    outcome
}

struct Worker {
    shared: Arc<Shared>,
    /// The log is to be emptied though nothing was written yet.
    log_due: bool,
}

impl Worker {
    fn run(self) {
        // Since when there is something to tidy.
        let mut untidy: Option<Instant> = self.log_due.then(now);
        let mut reads = 0u32;
        loop {
            let (mut db, next) = self.next(untidy, reads);
            match next {
                Next::Read(job) => {
                    reads = reads.saturating_add(1);
                    alone(&mut db, job, |db, job| job.run(db));
                }
                Next::Ledger(jobs) => {
                    reads = 0;
                    untidy.get_or_insert_with(now);
                    batch(&mut db, true, jobs);
                }
                Next::Cache(jobs) => {
                    reads = 0;
                    untidy.get_or_insert_with(now);
                    batch(&mut db, false, jobs);
                }
                Next::Tidy => untidy = self.tidy(&mut db).then(now),
                Next::Close => {
                    // All that is in the log is in the file afterwards, and the log is empty; a failure leaves it for the next opening.
                    let _ = db.empty_log();
                    audit::hold(&mut db);
                    break;
                }
            }
            self.shared.lock().db = Some(db);
        }
    }

    /// Waits for something to do and for the database. Reads come first, but no more than so many in a row while writes wait.
    fn next(&self, untidy: Option<Instant>, reads: u32) -> (Box<Db>, Next) {
        let mut queues = self.shared.lock();
        loop {
            if let Some(db) = queues.db.take() {
                if !queues.closing && untidy.is_some_and(|since| now().duration_since(since) >= LATEST) {
                    return (db, Next::Tidy);
                }
                if let Some(next) = queues.next(reads) {
                    return (db, next);
                }
                queues.db = Some(db);
            }
            if untidy.is_some() {
                let before = queues.on_the_spot;
                let (again, waited) = self.shared.wake.wait_timeout(queues, QUIET).unwrap_or_else(PoisonError::into_inner);
                queues = again;
                let quiet = waited.timed_out() && queues.is_empty() && !queues.closing && queues.on_the_spot == before;
                if quiet && let Some(db) = queues.db.take() {
                    return (db, Next::Tidy);
                }
            } else {
                queues = self.shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Gives free pages back until somebody asks for something, and moves the log into the file. Returns whether there is more to do.
    fn tidy(&self, db: &mut Db) -> bool {
        audit::hold(db);
        let more = self.shrink(db);
        // A failure here hurts nobody: both are tried again after the next write, and at closing.
        let _ = if db.log_is_due() { db.empty_log().map(drop) } else { pragma(db, "PRAGMA wal_checkpoint(PASSIVE)") };
        if let Some(guard) = db.guard().get() {
            guard.hold();
        }
        more || db.log_is_due()
    }

    /// Gives back free pages; at least one slice of them, however many jobs wait. Returns whether there is more to do.
    fn shrink(&self, db: &Db) -> bool {
        let free = |db: &Db| db.conn().pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0)).unwrap_or(0);
        let mut left = free(db);
        while left > FREE_PAGES_KEPT {
            let before = left;
            let done = pragma(db, &format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"));
            left = free(db);
            if done.is_err() || left >= before {
                return false;
            }
            if !self.shared.lock().is_empty() {
                return left > FREE_PAGES_KEPT;
            }
        }
        false
    }
}

/// Real time, as the thread's waiting is.
#[expect(clippy::disallowed_methods, reason = "nothing that anybody is told depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// Runs one job and answers it.
fn alone(db: &mut Db, mut job: Box<dyn Job>, run: impl Fn(&mut Db, &mut dyn Job) -> Result<(), StoreError>) {
    let outcome = with_one_reopening(db, |db| run(db, &mut *job));
    job.answer(outcome);
}

/// Runs writes in one transaction; when that fails, each by itself.
fn batch(db: &mut Db, durable: bool, mut jobs: Vec<Box<dyn Job>>) {
    let together = db.transact(durable, |db| jobs.iter_mut().try_for_each(|job| job.run(db)));
    for job in jobs {
        match &together {
            Ok(()) => job.answer(Ok(())),
            Err(_) => alone(db, job, |db, job| db.transact(durable, |db| job.run(db))),
        }
    }
}

impl Drop for Worker {
    /// After a panic nobody would answer the jobs that wait: dropping them does.
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        queues.closing = true;
        (queues.reads, queues.ledger, queues.cache) = Default::default();
    }
}

/// Runs a pragma to its last row: some work a step at a time.
pub(super) fn pragma(db: &Db, sql: &str) -> Result<(), StoreError> {
    let mut statement = db.conn().prepare(sql)?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    Ok(())
}
