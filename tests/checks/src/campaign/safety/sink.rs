//! A listener that nobody should ever speak to: it counts who does, and whether a bearer token came along.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A server on loopback that belongs to nobody.
pub(super) struct Sink {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    bearers: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// When there is no port.
    pub(super) fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (connections, bearers) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, seen) = (connections.clone(), bearers.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    head.extend_from_slice(&buffer[..read]);
                    if head.windows(4).any(|window| window == b"\r\n\r\n") {
                        break;
                    }
                }
                if head.starts_with(b"END") {
                    return;
                }
                counted.fetch_add(1, Relaxed);
                seen.fetch_add(usize::from(String::from_utf8_lossy(&head).to_lowercase().contains("bearer")), Relaxed);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{\"value\":[]}");
            }
        });
        Ok(Self { address, connections, bearers, thread: Some(thread) })
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections so far, and those that brought a bearer.
    pub(super) fn seen(&self) -> (usize, usize) {
        (self.connections.load(Relaxed), self.bearers.load(Relaxed))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Ok(mut stream) = std::net::TcpStream::connect(self.address) {
            let _ = stream.write_all(b"END\r\n\r\n");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
