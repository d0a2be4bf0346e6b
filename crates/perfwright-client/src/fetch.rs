//! Short questions to a server: one GET, bounded in time and size, on a connection of its own.

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
    let bad = || Failure::new(Class::Connect, "the address or the token cannot stand in a request");
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::GET;
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
    timeout(limit, answer)
        .await
        .unwrap_or_else(|_| Err(Failure::new(Class::TotalTimeout, format!("no answer to GET {path}"))))
}
