//! A server's address.

use std::fmt;
use std::str::FromStr;

/// Scheme, host, port and an optional prefix of all paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What comes before every path: empty, or `/` and more without a slash at the end.
    pub prefix: String,
}

/// A text is no usable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The scheme is `https`.
    #[error("https is not built in; put a plain-http port or a local TLS proxy in front of the server")]
    Https,
    /// Another fault.
    #[error("{0:?} is not an address such as http://127.0.0.1:30000")]
    Malformed(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || TargetError::Malformed(text.chars().take(200).collect());
        if text.len() > 2000 || text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(malformed());
        }
        if text.starts_with("https://") {
            return Err(TargetError::Https);
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        if rest.contains("://") || rest.contains(['?', '#', '@']) {
            return Err(malformed());
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(malformed)?;
                (host, after.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = port.map_or(Ok(80), str::parse).map_err(|_| malformed())?;
        if host.is_empty() || port == 0 {
            return Err(malformed());
        }
        let mut prefix = path.trim_end_matches('/');
        // Clients of the OpenAI form are often given the address with `/v1`, which our paths hold themselves.
        prefix = prefix.strip_suffix("/v1").unwrap_or(prefix);
        Ok(Self { host: host.to_owned(), port, prefix: prefix.to_owned() })
    }
}

impl Target {
    /// The value of the `Host` header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("http://127.0.0.1:30000", "http://127.0.0.1:30000"),
            ("localhost:8000/", "http://localhost:8000"),
            ("http://h/v1/", "http://h:80"),
            ("http://h:9/proxy/v1", "http://h:9/proxy"),
            ("http://[::1]:8", "http://[::1]:8"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
        }
        assert_eq!("https://h".parse::<Target>(), Err(TargetError::Https));
        for bad in ["", "http://", "ftp://h", "h:0", "h:99999", "h:x", "http://a b", "u@h", "[::1", "h?x"] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?}");
        }
    }
}
