//! Why a request did not succeed, in classes that can be counted.

use std::fmt;

/// Longest detail kept of a failure, in bytes.
pub const MAX_DETAIL: usize = 300;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// No connection could be made.
    Connect,
    /// Making a connection took too long.
    ConnectTimeout,
    /// No event arrived within the time for the first.
    FirstTimeout,
    /// The next event did not arrive in time.
    StallTimeout,
    /// The whole answer took too long.
    TotalTimeout,
    /// The connection ended before the answer did.
    ConnectionLost,
    /// An HTTP status other than 200.
    Http(u16),
    /// The answer is no event stream.
    NotStreaming,
    /// An event is not JSON of the endpoint's shape, or too long.
    Malformed,
    /// The server reported an error inside of the stream.
    ErrorEvent,
    /// The stream ended without a finish reason and without `[DONE]`.
    Truncated,
    /// The stream ended well but held no token.
    Empty,
    /// The usage contradicts what was asked or what was received.
    UsageWrong,
    /// The run was stopped while the request was under way.
    Interrupted,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Http(status) => return write!(f, "http_{status}"),
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstTimeout => "first_timeout",
            Self::StallTimeout => "stall_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::ConnectionLost => "connection_lost",
            Self::NotStreaming => "not_streaming",
            Self::Malformed => "malformed",
            Self::ErrorEvent => "error_event",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::UsageWrong => "usage_wrong",
            Self::Interrupted => "interrupted",
        };
        f.write_str(name)
    }
}

/// A failure with what the server or the system said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct Failure {
    /// The class.
    pub class: Class,
    /// What was said, shortened.
    pub detail: String,
}

impl Failure {
    /// A failure; `detail` is cut to [`MAX_DETAIL`] bytes.
    pub fn new(class: Class, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > MAX_DETAIL {
            let mut end = MAX_DETAIL;
            while !detail.is_char_boundary(end) {
                end -= 1;
            }
            detail.truncate(end);
        }
        Self { class, detail }
    }
}
