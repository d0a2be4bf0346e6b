//! Connections to one server, kept while they are good.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Class, Failure};
use crate::target::Target;

/// Idle connections that are kept at most.
const MAX_IDLE: usize = 16_384;

/// One connection's sending end.
pub type Sender = SendRequest<Full<Bytes>>;

/// A connection for one request.
#[derive(Debug)]
pub struct Lease {
    /// The sending end.
    pub sender: Sender,
    /// The connection has answered a request before, so the server may have closed it meanwhile.
    pub reused: bool,
}

/// Connections to one server. The last one used is the first one used again.
#[derive(Debug)]
pub struct Pool {
    addresses: Vec<SocketAddr>,
    connect_timeout: Duration,
    idle: Mutex<Vec<Sender>>,
    opened: AtomicU64,
}

/// Looks a server's name up.
///
/// # Errors
/// The name has no address, or looking up took longer than `limit`.
pub async fn resolve(target: &Target, limit: Duration) -> Result<Vec<SocketAddr>, Failure> {
    let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
    let found: Vec<SocketAddr> = match timeout(limit, lookup).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(e)) => {
            return Err(Failure::new(Class::Connect, format!("cannot look up {}: {e}", target.host)));
        }
        Err(_) => return Err(Failure::new(Class::ConnectTimeout, format!("looking up {}", target.host))),
    };
    if found.is_empty() {
        return Err(Failure::new(Class::Connect, format!("{} has no address", target.host)));
    }
    Ok(found)
}

impl Pool {
    /// An empty pool for a server at any of `addresses`.
    pub fn new(addresses: Vec<SocketAddr>, connect_timeout: Duration) -> Self {
        Self { addresses, connect_timeout, idle: Mutex::default(), opened: AtomicU64::new(0) }
    }

    /// Connections opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// An idle connection, or a new one; a new one in any case if `fresh`.
    ///
    /// # Errors
    /// No connection could be made in time.
    pub async fn take(&self, fresh: bool) -> Result<Lease, Failure> {
        while let Some(mut sender) = self.pop().filter(|_| !fresh) {
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(Lease { sender, reused: true });
            }
        }
        let sender = timeout(self.connect_timeout, self.open())
            .await
            .unwrap_or_else(|_| Err(Failure::new(Class::ConnectTimeout, "no connection in time")))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Lease { sender, reused: false })
    }

    /// Takes back a connection whose answer was read to its end.
    pub fn give_back(&self, sender: Sender) {
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < MAX_IDLE
            && !sender.is_closed()
        {
            idle.push(sender);
        }
    }

    fn pop(&self) -> Option<Sender> {
        self.idle.lock().ok()?.pop()
    }

    async fn open(&self) -> Result<Sender, Failure> {
        let mut last = Failure::new(Class::Connect, "no address");
        for address in &self.addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Requests are written at once; waiting to fill a packet would be time that we add ourselves.
                    let _ = stream.set_nodelay(true);
                    let (sender, connection) = handshake(TokioIo::new(stream))
                        .await
                        .map_err(|e| Failure::new(Class::Connect, e.to_string()))?;
                    // Its errors reach the request through `sender`.
                    tokio::spawn(async move {
                        let _ = connection.await;
                    });
                    return Ok(sender);
                }
                Err(e) => last = Failure::new(Class::Connect, format!("{address}: {e}")),
            }
        }
        Err(last)
    }
}
