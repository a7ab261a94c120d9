//! The store's thread: jobs over a queue; reads before writes, ledger before cache, and cache writes in batches.
//!
//! A batch is whatever has gathered while the thread was busy, up to 256 KB (about 5 ms of writing), so a lone write waits for
//! nothing and many share one commit. A job is answered after its commit. A job that fails in a batch is rolled back with the
//! batch, and each job of it is run again by itself; one that met a damaged page is run once more on a new connection. Jobs
//! are therefore written so that they can be run twice.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{StoreError, db::Db};

/// Most bytes of one batch of cache writes.
const BATCH_BYTES: usize = 256 * 1024;
/// Reads served in a row while writes wait.
const READS_IN_A_ROW: u32 = 32;
/// Quiet time after which the log is moved into the file and free pages are given back.
const QUIET: Duration = Duration::from_millis(250);
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
    reads: VecDeque<Box<dyn Job>>,
    ledger: VecDeque<Box<dyn Job>>,
    cache: VecDeque<(usize, Box<dyn Job>)>,
    closing: bool,
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.ledger.is_empty() && self.cache.is_empty()
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

/// What the thread does next.
enum Next {
    Read(Box<dyn Job>),
    Ledger(Box<dyn Job>),
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
        let shared = Arc::new(Shared::default());
        let mut worker = Worker { shared: shared.clone(), db };
        let handle = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Failed(format!("no thread for the store: {}", error.kind())))?;
        Ok(Self { shared, handle: Mutex::new(Some(handle)) })
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

    /// Runs `work` in a transaction of its own, on the disk when this returns.
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

struct Worker {
    shared: Arc<Shared>,
    db: Db,
}

impl Worker {
    fn run(&mut self) {
        let mut tidy = false;
        let mut reads = 0u32;
        loop {
            match self.next(tidy, reads) {
                Next::Read(job) => {
                    reads = reads.saturating_add(1);
                    self.alone(job, |db, job| job.run(db));
                }
                Next::Ledger(job) => {
                    (reads, tidy) = (0, true);
                    self.alone(job, |db, job| db.transact(true, |db| job.run(db)));
                }
                Next::Cache(jobs) => {
                    (reads, tidy) = (0, true);
                    self.batch(jobs);
                }
                Next::Tidy => tidy = self.tidy(),
                Next::Close => break,
            }
        }
        // All that is in the log is in the file afterwards, and the log is empty; a failure leaves it for the next opening.
        let _ = pragma(&self.db, "PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Waits for something to do. Reads come first, but no more than so many in a row while writes wait.
    fn next(&self, tidy: bool, reads: u32) -> Next {
        let mut queues = self.shared.lock();
        loop {
            let writes_wait = !queues.ledger.is_empty() || !queues.cache.is_empty();
            if !(writes_wait && reads >= READS_IN_A_ROW)
                && let Some(job) = queues.reads.pop_front()
            {
                return Next::Read(job);
            }
            if let Some(job) = queues.ledger.pop_front() {
                return Next::Ledger(job);
            }
            let mut batch = Vec::new();
            let mut bytes = 0;
            while let Some((more, _)) = queues.cache.front()
                && (batch.is_empty() || bytes + more <= BATCH_BYTES)
                && let Some((more, job)) = queues.cache.pop_front()
            {
                bytes += more;
                batch.push(job);
            }
            if !batch.is_empty() {
                return Next::Cache(batch);
            }
            if queues.closing {
                return Next::Close;
            }
            if tidy {
                let (again, waited) = self.shared.wake.wait_timeout(queues, QUIET).unwrap_or_else(PoisonError::into_inner);
                queues = again;
                if waited.timed_out() && queues.is_empty() && !queues.closing {
                    return Next::Tidy;
                }
            } else {
                queues = self.shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Runs one job and answers it; on a damaged page once more on a new connection.
    fn alone(&mut self, mut job: Box<dyn Job>, run: impl Fn(&mut Db, &mut dyn Job) -> Result<(), StoreError>) {
        let mut outcome = run(&mut self.db, &mut *job);
        if matches!(outcome, Err(StoreError::Damaged(_))) {
            outcome = self.db.reopen().and_then(|()| run(&mut self.db, &mut *job));
            if outcome.is_err() {
                // It met the damage again and poisoned the new connection, too; the next job starts on a good one.
                let _ = self.db.reopen();
            }
        }
        job.answer(outcome);
    }

    /// Runs cache writes in one transaction; when that fails, each by itself.
    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let together = self.db.transact(false, |db| jobs.iter_mut().try_for_each(|job| job.run(db)));
        for job in jobs {
            match &together {
                Ok(()) => job.answer(Ok(())),
                Err(_) => self.alone(job, |db, job| db.transact(false, |db| job.run(db))),
            }
        }
    }

    /// Moves the log into the file and gives free pages back while nobody asks for anything. Returns whether there is more to do.
    fn tidy(&self) -> bool {
        // A failure here hurts nobody: both are tried again after the next write, and at closing.
        let _ = pragma(&self.db, "PRAGMA wal_checkpoint(PASSIVE)");
        let free = |db: &Db| db.conn().pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0)).unwrap_or(0);
        let mut left = free(&self.db);
        while left > FREE_PAGES_KEPT {
            let before = left;
            let done = pragma(&self.db, &format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"));
            left = free(&self.db);
            if done.is_err() || left >= before {
                return false;
            }
            if !self.shared.lock().is_empty() {
                return true;
            }
        }
        false
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
