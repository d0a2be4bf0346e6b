//! A small blocking HTTP client: enough for a server of ours, and close enough to the socket to misbehave with.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// An answer that is still coming.
pub(crate) struct Reply {
    pub(crate) status: u16,
    input: BufReader<TcpStream>,
    chunked: bool,
    length: Option<usize>,
    /// Bytes left in the chunk.
    left: usize,
    line: String,
}

/// Sends a request and reads the head of its answer.
pub(crate) fn send(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Reply::read(stream)
}

impl Reply {
    pub(crate) fn read(stream: TcpStream) -> std::io::Result<Self> {
        let mut input = BufReader::new(stream);
        let mut head = String::new();
        input.read_line(&mut head)?;
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status in {head:?}")))?;
        let (mut chunked, mut length) = (false, None);
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            chunked |= line == "transfer-encoding: chunked";
            length = line.strip_prefix("content-length: ").and_then(|n| n.parse().ok()).or(length);
        }
        Ok(Self { status, input, chunked, length, left: 0, line: String::new() })
    }

    /// The whole body.
    pub(crate) fn body(mut self) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        if self.chunked {
            while let Some(byte) = self.byte()? {
                bytes.push(byte);
            }
        } else {
            bytes.resize(self.length.unwrap_or(0), 0);
            self.input.read_exact(&mut bytes)?;
        }
        String::from_utf8(bytes).map_err(std::io::Error::other)
    }

    fn byte(&mut self) -> std::io::Result<Option<u8>> {
        if self.left == 0 {
            let mut size = String::new();
            self.input.read_line(&mut size)?;
            self.left = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                return Ok(None);
            }
        }
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.left -= 1;
        if self.left == 0 {
            self.input.read_line(&mut String::new())?;
        }
        Ok(Some(byte[0]))
    }

    /// The data of the next server-sent event; `None` at the end of the body.
    pub(crate) fn event(&mut self) -> std::io::Result<Option<String>> {
        self.line.clear();
        let mut bytes = Vec::new();
        while let Some(byte) = self.byte()? {
            bytes.push(byte);
            if bytes.ends_with(b"\n\n") {
                let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
                return Ok(Some(text.trim_end().trim_start_matches("data: ").to_owned()));
            }
        }
        Ok(None)
    }

    /// All events; the last must be `[DONE]`, which is left out.
    pub(crate) fn events(mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(event) = self.event().unwrap() {
            all.push(event);
        }
        assert_eq!(all.pop().as_deref(), Some("[DONE]"));
        all.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }
}
