//! Questions with one answer in one piece: a GET or a POST, bounded in time and size, on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request};
use tokio::time::timeout;

use crate::exchange::headers;
use crate::failure::{Class, Failure};
use crate::pool::Pool;
use crate::target::Target;

/// Status and body of `path`.
///
/// # Errors
/// No answer within `limit`, or a body of more than `max_bytes`.
pub async fn get(
    target: &Target,
    pool: &Pool,
    path: &str,
    token: Option<&str>,
    max_bytes: usize,
    limit: Duration,
) -> Result<(u16, Bytes), Failure> {
    ask(target, pool, (Method::GET, path, Bytes::new()), token, max_bytes, limit).await
}

/// Status and body of the answer to `body`, which is JSON, at `path`.
///
/// # Errors
/// As [`get`].
pub async fn post(
    target: &Target,
    pool: &Pool,
    (path, body): (&str, Bytes),
    token: Option<&str>,
    max_bytes: usize,
    limit: Duration,
) -> Result<(u16, Bytes), Failure> {
    ask(target, pool, (Method::POST, path, body), token, max_bytes, limit).await
}

async fn ask(
    target: &Target,
    pool: &Pool,
    (method, path, body): (Method, &str, Bytes),
    token: Option<&str>,
    max_bytes: usize,
    limit: Duration,
) -> Result<(u16, Bytes), Failure> {
    let bad = || Failure::new(Class::Connect, "the address or the token cannot stand in a request");
    let said = format!("no answer to {method} {path}");
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = format!("{}{path}", target.prefix).parse().map_err(|_| bad())?;
    *request.headers_mut() = headers(target, token).ok_or_else(bad)?;
    let answer = async {
        let mut lease = pool.take(true).await?;
        let lost = |e: &dyn std::error::Error| Failure::new(Class::ConnectionLost, e.to_string());
        let response = lease.sender.send_request(request).await.map_err(|e| lost(&e))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), max_bytes).collect().await;
        Ok((status, body.map_err(|e| lost(e.as_ref()))?.to_bytes()))
    };
    timeout(limit, answer).await.unwrap_or_else(|_| Err(Failure::new(Class::TotalTimeout, said)))
}
