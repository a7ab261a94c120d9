//! A proxy for HTTPS (`CONNECT`) that remembers who was asked for, and can go away and come back.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use anyhow::Context as _;

/// A proxy on loopback. It goes away when dropped.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What `Proxy-Authorization` must say.
    wants: Option<String>,
    ending: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    hosts: Vec<String>,
    /// First lines of requests that were no `CONNECT`.
    others: Vec<String>,
    refused: usize,
    open: Vec<TcpStream>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectProxy {
    /// One that lets everybody through, or those with this `Proxy-Authorization`.
    ///
    /// # Errors
    /// When nothing can be listened on.
    pub fn start(wants: Option<&str>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port for the proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { wants: wants.map(str::to_owned), ..Shared::default() });
        let mut proxy = Self { address, shared, serving: None };
        proxy.serve(listener);
        Ok(proxy)
    }

    fn serve(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.serving = Some(thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.ending.load(SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A client that goes away in the middle is its own affair.
                thread::spawn(move || drop(connect(&shared, client)));
            }
        }));
    }

    /// Its address, as a setting.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `host:port` of every tunnel that was made, in order.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        self.shared.seen().hosts.clone()
    }

    /// How many were turned away for want of a name and a password.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.seen().refused
    }

    /// Requests that would have been read by it.
    #[must_use]
    pub fn others(&self) -> Vec<String> {
        self.shared.seen().others.clone()
    }

    /// Goes away: its port is closed, and so is every tunnel.
    pub fn stop(&mut self) {
        let Some(serving) = self.serving.take() else { return };
        self.shared.ending.store(true, SeqCst);
        // It waits for somebody.
        drop(TcpStream::connect(self.address));
        drop(serving.join());
        for open in self.shared.seen().open.drain(..) {
            drop(open.shutdown(Shutdown::Both));
        }
    }

    /// Comes back to the same port.
    ///
    /// # Errors
    /// When somebody else has it.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.shared.ending.store(false, SeqCst);
        let listener = TcpListener::bind(self.address).context("the port of the proxy")?;
        self.serve(listener);
        Ok(())
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.stop();
    }
}

fn connect(shared: &Shared, mut client: TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    lines.read_line(&mut first)?;
    let mut given = None;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            given = Some(value.trim().to_owned());
        }
    }
    let Some(host) = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
        shared.seen().others.push(first);
        return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
    };
    if shared.wants.is_some() && given != shared.wants {
        shared.seen().refused += 1;
        return client.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
        );
    }
    let Ok(server) = TcpStream::connect(host) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    };
    {
        let mut seen = shared.seen();
        seen.hosts.push(host.to_owned());
        seen.open.extend([client.try_clone()?, server.try_clone()?]);
    }
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    let back = thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let mut server = server;
    drop(io::copy(&mut lines, &mut server));
    drop(server.shutdown(Shutdown::Write));
    drop(back.join());
    Ok(())
}
