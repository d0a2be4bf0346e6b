//! Whether a server answers over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Paths that say whether a server takes requests; the second is for those that do not know the first.
const PATHS: [&str; 2] = ["/health", "/v1/models"];
/// Health checks of engines generate a token, so they may take a while.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether the server on `port` of this machine says that it takes requests.
pub(super) fn answers(port: u16) -> bool {
    for path in PATHS {
        match status(port, path) {
            Some(200..=299) => return true,
            // It knows no such path.
            Some(404 | 405) => {}
            _ => return false,
        }
    }
    false
}

fn status(port: u16, path: &str) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    // In one piece: a server that answers after the first may reset the connection over the rest.
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    // `HTTP/1.1 200` is all that is wanted.
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    let text = std::str::from_utf8(&head).ok()?;
    text.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

/// A port that nobody listens on now.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_decide() {
        let serve = |answers: &'static [&'static str]| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
            let port = listener.local_addr().expect("an address").port();
            std::thread::spawn(move || {
                for answer in answers {
                    let (mut stream, _) = listener.accept().expect("a client");
                    let _ = stream.read(&mut [0; 512]);
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
            port
        };
        assert!(answers(serve(&["HTTP/1.1 200 OK\r\n\r\n"])));
        assert!(!answers(serve(&["HTTP/1.1 503 Busy\r\n\r\n"])));
        assert!(answers(serve(&["HTTP/1.0 404 No\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"])));
        assert!(!answers(serve(&["junk junk junk junk"])));
        assert!(!answers(free_port().expect("a port")));
    }
}
