//! A small serving engine that answers well or badly on purpose, for tests of clients. Standard library only; one
//! thread per connection; it listens on 127.0.0.1 and ends when it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What the server does with a request for generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Streams what was asked: a wait before the first token and one between tokens, in milliseconds.
    Healthy(u64, u64),
    /// As healthy, with a role and a null first, as llama.cpp does.
    RoleFirst,
    /// Five tokens in each event.
    MultiToken,
    /// Ends with a finish reason and usage, without `[DONE]`, as `transformers serve` does.
    NoDone,
    /// Says keep-alive and closes after each answer.
    ClosesAfterAnswer,
    /// Keeps the body open after `[DONE]`.
    OpenAfterDone,
    /// Answers with a status and an error object.
    Status(u16),
    /// Answers 200 with the whole text as JSON.
    NotStreaming,
    /// An event that is not JSON.
    BadJson,
    /// An event that is not UTF-8.
    BadUtf8,
    /// States this many tokens, whatever was sent.
    Usage(u64),
    /// Only a role, then the end.
    NoTokens,
    /// The stream just ends.
    Truncated,
    /// The connection is closed inside of an event.
    CutInEvent,
    /// An error inside of the stream.
    ErrorEvent,
    /// Three tokens, then silence.
    Stalls,
    /// No answer at all.
    Silent,
    /// One byte of a comment every few milliseconds, for ever.
    Drips,
    /// Comments as fast as they can be taken.
    CommentFlood,
    /// A line that never ends.
    EndlessLine,
    /// Something that is not HTTP.
    NotHttp,
    /// Healthy for this many requests, then the listener is closed and connections cut.
    DiesAfter(u64),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    stop: AtomicBool,
    requests: AtomicU64,
}

impl Server {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// No port is free.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port");
        let state = Arc::new(State { behaviour, stop: AtomicBool::new(false), requests: AtomicU64::new(0) });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let _ = serve(stream, &shared, address);
                });
            }
        });
        Self { address, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests for generation so far.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, state: &State, address: SocketAddr) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if input.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        if state.stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        if first.starts_with("GET") {
            let (status, text) = if first.contains("/v1/models") {
                (200, r#"{"object":"list","data":[{"id":"test-model"}]}"#)
            } else {
                (404, "{}")
            };
            whole(&mut out, status, text)?;
            continue;
        }
        let number = state.requests.fetch_add(1, Ordering::SeqCst) + 1;
        if let Behaviour::DiesAfter(n) = state.behaviour
            && number > n
        {
            state.stop.store(true, Ordering::SeqCst);
            let _ = TcpStream::connect(address);
            return Ok(());
        }
        let form = Form::of(&first);
        if !answer(&mut out, state, form, asked(&body))? {
            return Ok(());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Completions,
    Chat,
    Generate,
}

impl Form {
    fn of(first: &str) -> Self {
        if first.contains("/chat/") {
            Self::Chat
        } else if first.contains("/generate") {
            Self::Generate
        } else {
            Self::Completions
        }
    }

    fn token(self, i: u64) -> String {
        match self {
            Self::Chat => {
                r#"{"choices":[{"index":0,"delta":{"content":" tok"},"finish_reason":null}]}"#.to_owned()
            }
            Self::Completions => r#"{"choices":[{"index":0,"text":" tok","finish_reason":null}]}"#.to_owned(),
            Self::Generate => format!(
                r#"{{"text":"{}","meta_info":{{"prompt_tokens":10,"completion_tokens":{},"cached_tokens":0,"finish_reason":null}}}}"#,
                " tok".repeat(i as usize + 1),
                i + 1
            ),
        }
    }

    fn end(self, sent: u64, stated: u64) -> String {
        match self {
            Self::Chat => format!(
                r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"length"}}],"usage":{{"prompt_tokens":10,"completion_tokens":{stated}}}}}"#
            ),
            Self::Completions => format!(
                r#"{{"choices":[{{"index":0,"text":"","finish_reason":"length"}}],"usage":{{"prompt_tokens":10,"completion_tokens":{stated}}}}}"#
            ),
            Self::Generate => format!(
                r#"{{"text":"{}","meta_info":{{"prompt_tokens":10,"completion_tokens":{stated},"finish_reason":{{"type":"length"}}}}}}"#,
                " tok".repeat(sent as usize)
            ),
        }
    }
}

/// The output length that a body asks for.
fn asked(body: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(body);
    for key in ["\"max_tokens\":", "\"max_new_tokens\":"] {
        if let Some(at) = text.find(key) {
            let digits: String = text[at + key.len()..].chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().unwrap_or(1);
        }
    }
    1
}

fn whole(out: &mut TcpStream, status: u16, text: &str) -> std::io::Result<()> {
    write!(
        out,
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
}

fn head(out: &mut TcpStream) -> std::io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
}

fn piece(out: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut all = format!("{:x}\r\n", bytes.len()).into_bytes();
    all.extend_from_slice(bytes);
    all.extend_from_slice(b"\r\n");
    out.write_all(&all)
}

fn event(out: &mut TcpStream, data: &str) -> std::io::Result<()> {
    piece(out, format!("data: {data}\n\n").as_bytes())
}

/// Answers; false when the connection is to be closed.
fn answer(out: &mut TcpStream, state: &State, form: Form, asked: u64) -> std::io::Result<bool> {
    let wait = |ms| thread::sleep(Duration::from_millis(ms));
    let for_ever = |mut step: Box<dyn FnMut() -> std::io::Result<()>>| {
        while !state.stop.load(Ordering::SeqCst) {
            step()?;
        }
        Ok(false)
    };
    match state.behaviour {
        Behaviour::Status(status) => {
            whole(out, status, r#"{"error":{"message":"refused on purpose"}}"#)?;
            return Ok(true);
        }
        Behaviour::NotStreaming => {
            whole(out, 200, r#"{"choices":[{"text":"all at once"}]}"#)?;
            return Ok(true);
        }
        Behaviour::Silent => {
            return for_ever(Box::new(move || {
                wait(20);
                Ok(())
            }));
        }
        Behaviour::NotHttp => {
            out.write_all(b"220 smtp ready\r\n")?;
            return Ok(false);
        }
        _ => head(out)?,
    }
    let (first, gap) = match state.behaviour {
        Behaviour::Healthy(first, gap) => (first, gap),
        _ => (1, 1),
    };
    let tokens = |out: &mut TcpStream, n: u64| -> std::io::Result<()> {
        for i in 0..n {
            wait(if i == 0 { first } else { gap });
            event(out, &form.token(i))?;
        }
        Ok(())
    };
    let mut stated = asked;
    match state.behaviour {
        Behaviour::RoleFirst => {
            event(out, r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}"#)?;
            wait(30);
            tokens(out, asked)?;
        }
        Behaviour::MultiToken => {
            for i in (0..asked).step_by(5) {
                wait(1);
                event(out, &form.token(i))?;
            }
        }
        Behaviour::BadJson => {
            tokens(out, 2)?;
            event(out, "{\"choices\":[{")?;
        }
        Behaviour::BadUtf8 => {
            tokens(out, 2)?;
            piece(
                out,
                b"data: {\"choices\":[{\"text\":\"\xff\xfe\",\"delta\":{\"content\":\"\xff\"}}]}\n\n",
            )?;
        }
        Behaviour::Usage(n) => {
            tokens(out, asked)?;
            stated = n;
        }
        Behaviour::NoTokens => {
            event(out, r#"{"choices":[{"index":0,"delta":{"role":"assistant"},"text":""}]}"#)?;
        }
        Behaviour::Truncated => {
            tokens(out, 2)?;
            out.write_all(b"0\r\n\r\n")?;
            return Ok(true);
        }
        Behaviour::CutInEvent => {
            tokens(out, 2)?;
            out.write_all(b"40\r\ndata: {\"choi")?;
            return Ok(false);
        }
        Behaviour::ErrorEvent => {
            tokens(out, 2)?;
            event(out, r#"{"error":{"message":"out of blocks on purpose"}}"#)?;
        }
        Behaviour::Stalls => {
            tokens(out, 3)?;
            return for_ever(Box::new(move || {
                wait(20);
                Ok(())
            }));
        }
        Behaviour::Drips => {
            let mut out = out.try_clone()?;
            return for_ever(Box::new(move || {
                wait(5);
                piece(&mut out, b":")
            }));
        }
        Behaviour::CommentFlood => {
            let mut out = out.try_clone()?;
            return for_ever(Box::new(move || piece(&mut out, &b": nothing\n\n".repeat(500))));
        }
        Behaviour::EndlessLine => {
            let mut out = out.try_clone()?;
            return for_ever(Box::new(move || piece(&mut out, &[b'x'; 60_000])));
        }
        _ => tokens(out, asked)?,
    }
    event(out, &form.end(asked, stated))?;
    if state.behaviour != Behaviour::NoDone {
        event(out, "[DONE]")?;
    }
    if state.behaviour == Behaviour::OpenAfterDone {
        return for_ever(Box::new(move || {
            wait(20);
            Ok(())
        }));
    }
    out.write_all(b"0\r\n\r\n")?;
    Ok(state.behaviour != Behaviour::ClosesAfterAnswer)
}
