//! One request and its streamed answer, with time stamps.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::chunk::{self, Event, Extras, Output, Usage};
use crate::endpoint::Endpoint;
use crate::failure::{Class, Failure};
use crate::pool::{Pool, Sender};
use crate::sse::Splitter;
use crate::target::Target;

/// Most events of one answer.
pub const MAX_EVENTS: u64 = 2_000_000;
/// Most bytes kept of an answer that is no event stream.
const MAX_OTHER_BODY: usize = 16 << 10;
/// How long the end of an answer is waited for after its last event, so that the connection can be used again.
const LINGER: Duration = Duration::from_millis(20);

/// How long each part may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Making a connection.
    pub connect: Duration,
    /// From sending to the first event.
    pub first: Duration,
    /// From one event to the next. Comments and parts of events do not count, so a server that only drips is caught.
    pub stall: Duration,
    /// The whole exchange.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first: Duration::from_secs(120),
            stall: Duration::from_secs(60),
            total: Duration::from_secs(1800),
        }
    }
}

/// Counts nanoseconds from the start of a run on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    epoch: Instant,
}

impl RunClock {
    /// A clock that shows 0 at `epoch`.
    pub fn new(epoch: std::time::Instant) -> Self {
        Self { epoch: Instant::from_std(epoch) }
    }

    /// The start.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Nanoseconds at `at`; 0 before the start.
    pub fn ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Nanoseconds now.
    pub fn now(&self) -> u64 {
        self.ns(Instant::now())
    }
}

/// Where and how requests are sent.
#[derive(Debug)]
pub struct Channel {
    /// The connections.
    pub pool: Pool,
    /// The time limits.
    pub timeouts: Timeouts,
    endpoint: Endpoint,
    uri: Uri,
    headers: HeaderMap,
}

impl Channel {
    /// A channel to an endpoint; `token` becomes a bearer token.
    ///
    /// # Errors
    /// The address or the token cannot stand in a request.
    pub fn new(
        target: &Target,
        endpoint: Endpoint,
        pool: Pool,
        timeouts: Timeouts,
        token: Option<&str>,
    ) -> Result<Self, Failure> {
        let bad = |what: &str| Failure::new(Class::Connect, format!("{what} cannot stand in a request"));
        let uri = format!("{}{}", target.prefix, endpoint.path()).parse().map_err(|_| bad("the path"))?;
        let headers = headers(target, token).ok_or_else(|| bad("the host or the token"))?;
        Ok(Self { pool, timeouts, endpoint, uri, headers })
    }
}

/// The headers of every request.
pub(crate) fn headers(target: &Target, token: Option<&str>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&target.authority()).ok()?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json, text/plain"));
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Some(headers)
}

/// What happened to one request. Times are nanoseconds of the run's clock.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// When work on the request began, before a connection was there.
    pub started_ns: u64,
    /// When the request was handed to the connection that answered it. A retry stamps it anew.
    pub sent_ns: Option<u64>,
    /// When the answer's head was there.
    pub head_ns: Option<u64>,
    /// When the first token of either kind was read.
    pub first_token_ns: Option<u64>,
    /// When the first token of content was read.
    pub first_content_ns: Option<u64>,
    /// When the last token was read.
    pub last_token_ns: Option<u64>,
    /// When the last event was read.
    pub end_ns: Option<u64>,
    /// Times between events that carry tokens.
    pub gaps_ns: Vec<u64>,
    /// Events that carry content.
    pub content_chunks: u64,
    /// Events that carry reasoning only.
    pub reasoning_chunks: u64,
    /// Events with data.
    pub events: u64,
    /// HTTP status.
    pub http: Option<u16>,
    /// Last stated token counts.
    pub usage: Usage,
    /// Last stated other figures.
    pub extras: Extras,
    /// Finish reason.
    pub finish: Option<String>,
    /// `[DONE]` was seen.
    pub done: bool,
    /// Reused connections that turned out closed before they answered, each followed by a fresh one.
    pub retries: u32,
    /// The connection had been used before.
    pub reused: bool,
    /// Why it is no success.
    pub failure: Option<Failure>,
    /// The content, where it was asked to be kept.
    pub text: String,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The body.
    pub body: Bytes,
    /// Tokens asked for at most; an answer that states more contradicts it.
    pub max_tokens: Option<u64>,
    /// Keep the content of the answer.
    pub keep_text: bool,
}

/// Sends a request and reads its answer to the end. Never fails: what went wrong is in the exchange.
/// `events` is counted up with each event.
pub async fn exchange(channel: &Channel, ask: &Ask, clock: RunClock, events: &AtomicU64) -> Exchange {
    let start = Instant::now();
    let mut reader = Reader {
        endpoint: channel.endpoint,
        keep_text: ask.keep_text,
        seen_len: 0,
        seen_tokens: 0,
        ex: Exchange { started_ns: clock.ns(start), ..Exchange::default() },
    };
    let end = start + channel.timeouts.total;
    match attempts(channel, ask, clock, end, &mut reader).await {
        Ok((response, sender, sent)) => {
            if let Err(failure) =
                read(channel, response, sender, (sent, end), clock, &mut reader, events).await
            {
                reader.ex.failure = Some(failure);
            }
        }
        Err(failure) => reader.ex.failure = Some(failure),
    }
    let mut ex = reader.ex;
    if ex.failure.is_none() {
        ex.failure = contradiction(&ex, ask.max_tokens);
    }
    ex
}

/// Sends the request; a reused connection that never answered is followed by a fresh one, once.
async fn attempts(
    channel: &Channel,
    ask: &Ask,
    clock: RunClock,
    end: Instant,
    reader: &mut Reader,
) -> Result<(Response<Incoming>, Sender, Instant), Failure> {
    let mut fresh = false;
    loop {
        let mut lease = channel.pool.take(fresh).await?;
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = channel.uri.clone();
        *request.headers_mut() = channel.headers.clone();
        let sent = Instant::now();
        reader.ex.sent_ns = Some(clock.ns(sent));
        reader.ex.reused = lease.reused;
        let due = (sent + channel.timeouts.first).min(end);
        match timeout_at(due, lease.sender.send_request(request)).await {
            Ok(Ok(response)) => {
                reader.ex.head_ns = Some(clock.now());
                reader.ex.http = Some(response.status().as_u16());
                return Ok((response, lease.sender, sent));
            }
            // An answer that does not parse is an answer.
            Ok(Err(e)) if e.is_parse() => return Err(Failure::new(Class::Malformed, whole(&e))),
            Ok(Err(_)) if lease.reused => {
                fresh = true;
                reader.ex.retries += 1;
            }
            Ok(Err(e)) => return Err(Failure::new(Class::ConnectionLost, whole(&e))),
            Err(_) if due == end => return Err(Failure::new(Class::TotalTimeout, "no answer")),
            Err(_) => return Err(Failure::new(Class::FirstTimeout, "no answer")),
        }
    }
}

/// An error with its sources.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text.push_str(": ");
        text.push_str(&e.to_string());
        source = e.source();
    }
    text
}

async fn read(
    channel: &Channel,
    response: Response<Incoming>,
    sender: Sender,
    (sent, end): (Instant, Instant),
    clock: RunClock,
    reader: &mut Reader,
    events: &AtomicU64,
) -> Result<(), Failure> {
    let status = response.status();
    let is_stream = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.to_ascii_lowercase().starts_with("text/event-stream"));
    if status != 200 || !is_stream {
        let class = if status == 200 { Class::NotStreaming } else { Class::Http(status.as_u16()) };
        let said = other_body(channel, response.into_body(), sender).await;
        return Err(Failure::new(class, said));
    }
    let mut body = response.into_body();
    let mut splitter = Splitter::default();
    let (mut progress, mut limit) = (sent, channel.timeouts.first);
    let mut timer = pin!(sleep_until((progress + limit).min(end)));
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = &mut timer => {
                let due = (progress + limit).min(end);
                overdue(Instant::now(), due, end, reader.ex.events)?;
                timer.as_mut().reset(due);
                continue;
            }
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(e)) => return Err(Failure::new(Class::ConnectionLost, whole(&e))),
            None => {
                channel.pool.give_back(sender);
                return reader.ended(splitter.is_inside_event());
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        // One stamp for everything that came together.
        let now = Instant::now();
        let (at, before) = (clock.ns(now), reader.ex.events);
        let mut fault = None;
        let pushed = splitter.push(&data, |event| {
            if fault.is_none() && !reader.ex.done {
                fault = reader.event(event, at).err();
            }
        });
        if let Some(failure) = fault {
            return Err(failure);
        }
        pushed.map_err(|e| Failure::new(Class::Malformed, e.to_string()))?;
        let new = reader.ex.events - before;
        if new > 0 {
            events.fetch_add(new, Ordering::Relaxed);
            (progress, limit) = (now, channel.timeouts.stall);
        }
        if reader.ex.done {
            // The end of the body usually came along.
            let rest = async { while let Some(Ok(_)) = body.frame().await {} };
            if timeout(LINGER, rest).await.is_ok() {
                channel.pool.give_back(sender);
            }
            return Ok(());
        }
        // A server that always has something ready never lets the timer run.
        overdue(now, (progress + limit).min(end), end, reader.ex.events)?;
        if reader.ex.events > MAX_EVENTS {
            return Err(Failure::new(Class::Malformed, format!("more than {MAX_EVENTS} events")));
        }
    }
}

fn overdue(now: Instant, due: Instant, end: Instant, events: u64) -> Result<(), Failure> {
    if now < due {
        return Ok(());
    }
    let detail = format!("after {events} events");
    Err(match (due == end, events) {
        (true, _) => Failure::new(Class::TotalTimeout, detail),
        (false, 0) => Failure::new(Class::FirstTimeout, "no event"),
        (false, _) => Failure::new(Class::StallTimeout, detail),
    })
}

/// What an answer that is no event stream says, shortened.
async fn other_body(channel: &Channel, mut body: Incoming, sender: Sender) -> String {
    let mut said = Vec::new();
    let all = async {
        while said.len() < MAX_OTHER_BODY {
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        let room = MAX_OTHER_BODY - said.len();
                        said.extend_from_slice(&data[..data.len().min(room)]);
                    }
                }
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    };
    if timeout(channel.timeouts.first.min(Duration::from_secs(2)), all).await == Ok(true) {
        channel.pool.give_back(sender);
    }
    match serde_json::from_slice::<serde_json::Value>(&said) {
        Ok(value) => chunk::error_text(&value),
        Err(_) => String::from_utf8_lossy(&said).into_owned(),
    }
}

/// Statements of the server that cannot both be true.
fn contradiction(ex: &Exchange, max_tokens: Option<u64>) -> Option<Failure> {
    let chunks = ex.content_chunks + ex.reasoning_chunks;
    if chunks == 0 {
        return Some(Failure::new(Class::Empty, "the answer holds no token"));
    }
    let stated = ex.usage.completion_tokens?;
    if let Some(asked) = max_tokens.filter(|asked| stated > *asked) {
        return Some(Failure::new(
            Class::UsageWrong,
            format!("usage states {stated} tokens, {asked} were asked for at most"),
        ));
    }
    // Text that was held back may come in a last event of its own.
    (chunks > stated.saturating_add(1) || stated == 0).then(|| {
        Failure::new(Class::UsageWrong, format!("usage states {stated} tokens, {chunks} events carried some"))
    })
}

/// Turns events into an exchange.
#[derive(Debug)]
struct Reader {
    endpoint: Endpoint,
    keep_text: bool,
    /// `/generate` repeats the text: its length so far.
    seen_len: usize,
    /// And its tokens so far.
    seen_tokens: u64,
    ex: Exchange,
}

impl Reader {
    fn event(&mut self, data: &[u8], at: u64) -> Result<(), Failure> {
        self.ex.events += 1;
        let chunk = match chunk::read(self.endpoint, data) {
            Ok(Event::Done) => {
                self.ex.done = true;
                self.ex.end_ns = Some(at);
                return Ok(());
            }
            Ok(Event::Error(said)) => return Err(Failure::new(Class::ErrorEvent, said)),
            Ok(Event::Chunk(chunk)) => chunk,
            Err(e) => {
                let head: String = String::from_utf8_lossy(data).chars().take(80).collect();
                return Err(Failure::new(Class::Malformed, format!("{e}: {head}")));
            }
        };
        self.ex.end_ns = Some(at);
        let output = if self.endpoint == Endpoint::Generate {
            let tokens = chunk.usage.and_then(|u| u.completion_tokens).unwrap_or(0);
            let grown = chunk.text.len() > self.seen_len || tokens > self.seen_tokens;
            (self.seen_len, self.seen_tokens) = (chunk.text.len(), tokens);
            if grown { Output::Content } else { Output::Nothing }
        } else {
            chunk.output
        };
        match output {
            Output::Nothing => {}
            Output::Content => {
                self.ex.content_chunks += 1;
                self.ex.first_content_ns.get_or_insert(at);
            }
            Output::Reasoning => self.ex.reasoning_chunks += 1,
        }
        if output != Output::Nothing {
            self.ex.first_token_ns.get_or_insert(at);
            if let Some(last) = self.ex.last_token_ns.replace(at) {
                self.ex.gaps_ns.push(at.saturating_sub(last));
            }
        }
        if self.keep_text {
            if self.endpoint == Endpoint::Generate {
                self.ex.text.clear();
            }
            self.ex.text.push_str(&chunk.text);
        }
        if let Some(usage) = chunk.usage {
            let kept = &mut self.ex.usage;
            kept.prompt_tokens = usage.prompt_tokens.or(kept.prompt_tokens);
            kept.completion_tokens = usage.completion_tokens.or(kept.completion_tokens);
            kept.cached_tokens = usage.cached_tokens.or(kept.cached_tokens);
        }
        let (kept, new) = (&mut self.ex.extras, chunk.extras);
        kept.queue_ms = new.queue_ms.or(kept.queue_ms);
        kept.server_prompt_ms = new.server_prompt_ms.or(kept.server_prompt_ms);
        kept.server_decode_ms = new.server_decode_ms.or(kept.server_decode_ms);
        kept.verify_steps = new.verify_steps.or(kept.verify_steps);
        kept.drafted = new.drafted.or(kept.drafted);
        kept.accepted = new.accepted.or(kept.accepted);
        if let Some(finish) = chunk.finish {
            self.ex.finish = Some(finish.chars().take(40).collect());
        }
        Ok(())
    }

    /// The body ended without `[DONE]`.
    fn ended(&self, inside_event: bool) -> Result<(), Failure> {
        if self.ex.finish.is_some() {
            return Ok(());
        }
        let place = if inside_event { "inside of an event" } else { "between events" };
        let events = self.ex.events;
        Err(Failure::new(
            Class::Truncated,
            format!("the stream ended {place} after {events} events, without a finish reason or [DONE]"),
        ))
    }
}
