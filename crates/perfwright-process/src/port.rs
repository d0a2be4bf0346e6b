//! TCP ports.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::time::{Duration, Instant};

/// Whether a server could listen on this port now, on every address.
#[must_use]
pub fn port_is_free(port: u16) -> bool {
    // The standard library sets SO_REUSEADDR, so connections that linger do not count; listeners do.
    !listeners().contains(&port) && TcpListener::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// Waits until the port is free; false when it is not within `limit`.
#[must_use]
pub fn wait_port_free(port: u16, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        if port_is_free(port) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ports that somebody listens on in this network namespace, IPv4 and IPv6.
#[must_use]
pub fn listeners() -> BTreeSet<u16> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(listening).collect::<Vec<_>>())
        .collect()
}

/// The local port of a line in state LISTEN (0A; proc_net(5)).
fn listening(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    if state != "0A" {
        return None;
    }
    u16::from_str_radix(local.rsplit(':').next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_holds_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        assert!(listeners().contains(&port) && !port_is_free(port));
        assert!(!wait_port_free(port, Duration::from_millis(50)));
        drop(listener);
        assert!(wait_port_free(port, Duration::from_secs(10)));
    }

    #[test]
    fn lines_of_the_table() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1";
        assert_eq!(listening(line), Some(8080));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening("junk"), None);
    }
}
