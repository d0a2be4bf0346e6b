//! A server that streams tokens on a clock, for measuring clients: `sse_mock [PORT] [TTFT_MS] [ITL_MS]`.
//!
//! It speaks just enough HTTP for the OpenAI endpoints, answers `max_tokens` events, the first after TTFT_MS and each
//! further one ITL_MS later by an absolute schedule, and states usage. One thread; it prints its address and ends when
//! its standard input closes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

#[expect(clippy::print_stdout, reason = "the address is what the caller waits for")]
fn main() -> std::io::Result<()> {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let arg = |i: usize, or: u64| args.get(i).copied().unwrap_or(or);
    let (ttft, itl) = (Duration::from_millis(arg(1, 50)), Duration::from_millis(arg(2, 25)));
    std::thread::spawn(|| {
        let mut line = String::new();
        while std::io::stdin().read_line(&mut line).is_ok_and(|n| n > 0) {}
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", arg(0, 0) as u16)).await?;
        println!("http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, ttft, itl));
        }
    })
}

async fn serve(mut stream: TcpStream, ttft: Duration, itl: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let Some((head, body)) = request(&mut stream, &mut buffer).await? else { return Ok(()) };
        let start = Instant::now();
        if head.starts_with("GET") {
            let text = if head.contains("/v1/models") { r#"{"data":[{"id":"mock"}]}"# } else { "{}" };
            let status = if head.contains("/v1/models") { 200 } else { 404 };
            let whole = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.write_all(whole.as_bytes()).await?;
            continue;
        }
        let chat = head.contains("/chat/");
        let asked = ["\"max_tokens\":", "\"max_completion_tokens\":"];
        let tokens = asked.iter().find_map(|key| number(&body, key)).unwrap_or(16);
        let token: &str = if chat {
            r#"{"id":"cmpl-0123456789","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}"#
        } else {
            r#"{"id":"cmpl-0123456789","object":"text_completion","created":1700000000,"model":"mock","choices":[{"index":0,"text":" token","finish_reason":null}]}"#
        };
        let event = format!("data: {token}\n\n");
        let piece = format!("{:x}\r\n{event}\r\n", event.len());
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            )
            .await?;
        for i in 0..tokens {
            sleep_until(start + ttft + itl * i as u32).await;
            stream.write_all(piece.as_bytes()).await?;
        }
        let end = format!(
            "data: {{\"choices\":[{{\"index\":0,\"text\":\"\",\"delta\":{{}},\"finish_reason\":\"length\"}}],\"usage\":{{\"prompt_tokens\":64,\"completion_tokens\":{tokens},\"total_tokens\":{}}}}}\n\ndata: [DONE]\n\n",
            tokens + 64
        );
        stream.write_all(format!("{:x}\r\n{end}\r\n0\r\n\r\n", end.len()).as_bytes()).await?;
    }
}

/// Head and body of the next request; none at the end of the connection.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..at]).into_owned();
            let length =
                number(head.to_ascii_lowercase().as_bytes(), "content-length:").unwrap_or(0) as usize;
            if buffer.len() >= at + 4 + length {
                let body = buffer[at + 4..at + 4 + length].to_vec();
                buffer.drain(..at + 4 + length);
                return Ok(Some((head, body)));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The number after `key`.
fn number(text: &[u8], key: &str) -> Option<u64> {
    let at = text.windows(key.len()).position(|w| w == key.as_bytes())? + key.len();
    let digits: String = text[at..]
        .iter()
        .map(|b| *b as char)
        .skip_while(|c| *c == ' ')
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}
