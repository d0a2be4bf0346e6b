//! Connections: how many, for how long, and their end at shutdown.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::log::Log;
use crate::settings::HttpSettings;

/// Bytes of a request's head at most, and header lines.
const MAX_HEAD: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;

/// What is said to a connection too many.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n\
content-length: 97\r\n\r\n{\"error\":{\"message\":\"too many connections\",\"type\":\"InternalServerError\",\"param\":null,\"code\":503}}";

/// Serves connections until `stop` turns true, then waits for open requests, at most `settings.drain`.
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    settings: HttpSettings,
    log: Log,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(settings.max_connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            // Finished connections are let go of, so that the set does not grow.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    log.debug(&format!("connection from {peer}"));
                    let (router, stop) = (router.clone(), stop.clone());
                    let timeout = settings.read_timeout;
                    connections.spawn(async move {
                        connection(stream, router, timeout, stop).await;
                        drop(place);
                    });
                }
                Err(_) => refuse(stream),
            },
            Err(error) => {
                // Out of descriptors, or a client that left while it waited: neither ends the server.
                log.warning(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(settings.drain, all).await.is_err() {
        log.warning(&format!("{} requests were cut off at shutdown", connections.len()));
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, router: Router, timeout: Duration, mut stop: watch::Receiver<bool>) {
    // Tokens are small and due at once.
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    // Errors here are a client that left or sent no HTTP; hyper has answered what can be answered.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        let answer = async {
            stream.write_all(BUSY).await?;
            stream.shutdown().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), answer).await;
    });
}

#[cfg(test)]
mod tests {
    use super::BUSY;

    #[test]
    fn the_refusal_states_its_own_length() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
