//! Why the store has one connection: the same table behind one connection with its thread, and behind a pool of five.
//!
//! Both are made here, alike but for that, so that nothing else is compared: encrypted, the store's settings, answers of 10 KB.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};

use m365_cached_checks::support::stopwatch::{micros, now, percentile};
use rusqlite::{Connection, params};

use crate::{Figure, bodies::Writer};

const ROWS: usize = 2_000;
const POOL: usize = 5;
/// Rows an eviction takes at a time.
const SLICE: usize = 8;

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Reads only.
    Reads,
    /// Every tenth is a write.
    Mixed,
    /// Reads, while rows are removed and put back in batches.
    Eviction,
}

enum Job {
    Get(usize, mpsc::Sender<rusqlite::Result<usize>>),
    Put(usize, mpsc::Sender<rusqlite::Result<usize>>),
    Evict(usize, mpsc::Sender<rusqlite::Result<usize>>),
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA cipher_log_level = NONE; PRAGMA key = \"x'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'\";
         PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = FAST; PRAGMA cache_size = -65536;
         PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 10000;
         CREATE TABLE IF NOT EXISTS body (id INTEGER PRIMARY KEY, blob BLOB NOT NULL) STRICT;",
    )?;
    Ok(connection)
}

fn get(connection: &Connection, id: usize) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached("SELECT blob FROM body WHERE id = ?1")?;
    let mut rows = statement.query(params![id as i64])?;
    // A row that is just being replaced may be missing.
    rows.next()?.map_or(Ok(0), |row| row.get::<_, Vec<u8>>(0).map(|blob| blob.len()))
}

fn put(connection: &Connection, id: usize, blob: &[u8]) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("INSERT INTO body (id, blob) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET blob = excluded.blob")?
        .execute(params![id as i64, blob])
}

/// Removes a batch of rows and puts them back, as eviction and refilling would.
fn evict(connection: &Connection, first: usize, blob: &[u8]) -> rusqlite::Result<usize> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for id in first..first + SLICE {
        connection.prepare_cached("DELETE FROM body WHERE id = ?1")?.execute(params![(id % ROWS) as i64])?;
    }
    for id in first..first + SLICE {
        put(connection, id % ROWS, blob)?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(SLICE)
}

/// A way to the table.
trait Table: Sync {
    fn get(&self, id: usize) -> anyhow::Result<usize>;
    fn put(&self, id: usize) -> anyhow::Result<usize>;
    fn evict(&self, first: usize) -> anyhow::Result<usize>;
}

/// One connection, as the store has it: a read takes it when nobody else works or waits; else a thread of its own does everything, reads
/// before writes.
struct One {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    connection: Option<Connection>,
    reads: VecDeque<Job>,
    writes: VecDeque<Job>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, job: Job) {
        let mut waiting = self.lock();
        let queue = if matches!(job, Job::Get(..)) { &mut waiting.reads } else { &mut waiting.writes };
        queue.push_back(job);
        drop(waiting);
        self.more.notify_one();
    }

    fn take(&self) -> (Connection, Job) {
        let mut waiting = self.lock();
        loop {
            if let Some(connection) = waiting.connection.take() {
                if let Some(job) = waiting.reads.pop_front().or_else(|| waiting.writes.pop_front()) {
                    return (connection, job);
                }
                waiting.connection = Some(connection);
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The connection, when it is free and nobody waits for it.
    fn free(&self) -> Option<Connection> {
        let mut waiting = self.lock();
        if waiting.reads.is_empty() && waiting.writes.is_empty() { waiting.connection.take() } else { None }
    }

    fn give_back(&self, connection: Connection) {
        let mut waiting = self.lock();
        waiting.connection = Some(connection);
        let wanted = !waiting.reads.is_empty() || !waiting.writes.is_empty();
        drop(waiting);
        if wanted {
            self.more.notify_one();
        }
    }
}

impl One {
    fn start(path: &Path, blob: Vec<u8>) -> anyhow::Result<Self> {
        let queue = Arc::new(Queue::default());
        queue.give_back(connect(path)?);
        let jobs = Arc::clone(&queue);
        // Lives as long as the bench.
        std::thread::spawn(move || {
            loop {
                let (connection, job) = jobs.take();
                // A client that is gone needs no answer.
                let _ = match job {
                    Job::Get(id, reply) => reply.send(get(&connection, id)),
                    Job::Put(id, reply) => reply.send(put(&connection, id, &blob)),
                    Job::Evict(first, reply) => reply.send(evict(&connection, first, &blob)),
                };
                jobs.lock().connection = Some(connection);
            }
        });
        Ok(Self { queue })
    }

    fn ask(&self, job: impl FnOnce(mpsc::Sender<rusqlite::Result<usize>>) -> Job) -> anyhow::Result<usize> {
        let (reply, answer) = mpsc::channel();
        self.queue.put(job(reply));
        Ok(answer.recv()??)
    }
}

impl Table for One {
    fn get(&self, id: usize) -> anyhow::Result<usize> {
        let Some(connection) = self.queue.free() else { return self.ask(|reply| Job::Get(id, reply)) };
        let length = get(&connection, id);
        self.queue.give_back(connection);
        Ok(length?)
    }

    fn put(&self, id: usize) -> anyhow::Result<usize> {
        self.ask(|reply| Job::Put(id, reply))
    }

    fn evict(&self, first: usize) -> anyhow::Result<usize> {
        self.ask(|reply| Job::Evict(first, reply))
    }
}

/// Five connections, handed out.
struct Pool {
    free: Mutex<Vec<Connection>>,
    returned: Condvar,
    blob: Vec<u8>,
}

impl Pool {
    fn start(path: &Path, blob: Vec<u8>) -> anyhow::Result<Self> {
        let free = (0..POOL).map(|_| connect(path)).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self { free: Mutex::new(free), returned: Condvar::new(), blob })
    }

    fn with(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<usize>) -> anyhow::Result<usize> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = loop {
            match free.pop() {
                Some(connection) => break connection,
                None => free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(free);
        let result = work(&connection);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.returned.notify_one();
        Ok(result?)
    }
}

impl Table for Pool {
    fn get(&self, id: usize) -> anyhow::Result<usize> {
        self.with(|connection| get(connection, id))
    }

    fn put(&self, id: usize) -> anyhow::Result<usize> {
        self.with(|connection| put(connection, id, &self.blob))
    }

    fn evict(&self, first: usize) -> anyhow::Result<usize> {
        self.with(|connection| evict(connection, first, &self.blob))
    }
}

pub(crate) fn run(quick: bool) -> anyhow::Result<Vec<Figure>> {
    let span = Duration::from_millis(if quick { 200 } else { 700 });
    let dir = tempfile::tempdir()?;
    let blob = Writer::new(3).list(10_000).0.to_vec();
    let tables: [(&str, Box<dyn Table>); 2] = [
        ("one connection", Box::new(One::start(&dir.path().join("one.db"), blob.clone())?)),
        ("pool of 5", Box::new(Pool::start(&dir.path().join("pool.db"), blob)?)),
    ];
    for (_, table) in &tables {
        for first in (0..ROWS).step_by(SLICE) {
            table.evict(first)?;
        }
    }
    let mut figures = Vec::new();
    for load in [Load::Reads, Load::Mixed, Load::Eviction] {
        for clients in [1, 8, 100] {
            for (name, table) in &tables {
                let (rate, p50, p99) = press(table.as_ref(), load, clients, span)?;
                let at = format!("{clients} clients, {}", format!("{load:?}").to_lowercase());
                figures.push(Figure::new(format!("{name}: calls"), &at, rate, "1/s"));
                figures.push(Figure::new(format!("{name}: read p50"), &at, p50, "us"));
                figures.push(Figure::new(format!("{name}: read p99"), &at, p99, "us"));
            }
        }
    }
    Ok(figures)
}

/// Calls a second, and the reads' median and 99th percentile in microseconds.
fn press(table: &dyn Table, load: Load, clients: usize, span: Duration) -> anyhow::Result<(f64, f64, f64)> {
    let (calls, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let start = now();
    let reads: anyhow::Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let evicting = (load == Load::Eviction).then(|| {
            scope.spawn(|| -> anyhow::Result<()> {
                let mut first = 0;
                while !over.load(Relaxed) {
                    table.evict(first)?;
                    first = (first + SLICE) % ROWS;
                }
                Ok(())
            })
        });
        let running: Vec<_> = (0..clients)
            .map(|client| {
                let calls = &calls;
                scope.spawn(move || -> anyhow::Result<Vec<Duration>> {
                    let (mut times, mut nth) = (Vec::new(), client * 97);
                    while start.elapsed() < span {
                        nth += 1;
                        if load == Load::Mixed && nth % 10 == 0 {
                            table.put(nth * 7919 % ROWS)?;
                        } else {
                            let begin = now();
                            table.get(nth * 7919 % ROWS)?;
                            times.push(begin.elapsed());
                        }
                        calls.fetch_add(1, Relaxed);
                    }
                    Ok(times)
                })
            })
            .collect();
        let times = running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client panicked")))).collect();
        over.store(true, Relaxed);
        if let Some(evicting) = evicting {
            evicting.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the eviction panicked")))?;
        }
        times
    });
    let mut reads: Vec<Duration> = reads?.into_iter().flatten().collect();
    let rate = calls.load(Relaxed) as f64 / start.elapsed().as_secs_f64();
    Ok((rate.round(), micros(percentile(&mut reads, 0.5)), micros(percentile(&mut reads, 0.99))))
}
