//! Servers that lie, stall, drop and drip, on real sockets: each is classed, none is a success, nothing hangs.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use perfwright_client::endpoint::{Endpoint, Form, Prompt, body};
use perfwright_client::exchange::{Ask, Channel, Exchange, RunClock, Timeouts, exchange};
use perfwright_client::failure::Class;
use perfwright_client::info::{ServerInfo, metrics_text};
use perfwright_client::pool::{Pool, resolve};
use perfwright_client::target::Target;
use xtask::misbehave::{Behaviour, Server};

const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first: Duration::from_millis(400),
    stall: Duration::from_millis(400),
    total: Duration::from_secs(3),
};

fn block<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), work).await.expect("no hang") })
}

async fn asks(server: &Server, endpoint: Endpoint, tokens: u32, times: usize) -> Vec<Exchange> {
    let target: Target = server.url().parse().unwrap();
    let addresses = resolve(&target, Duration::from_secs(5)).await.unwrap();
    let pool = Pool::new(addresses, SHORT.connect);
    let channel = Channel::new(&target, endpoint, pool, SHORT, Some("secret")).unwrap();
    let form = Form { endpoint, model: "m".to_owned(), ignore_eos: true, extra: serde_json::Map::new() };
    let body = body(&form, &Prompt::Text("hello".to_owned()), tokens, None);
    let ask = Ask { body, max_tokens: Some(u64::from(tokens)), keep_text: true };
    let clock = RunClock::new(std::time::Instant::now());
    let events = AtomicU64::new(0);
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(exchange(&channel, &ask, clock, &events).await);
        // A server that closes its end needs a moment to be seen.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    all
}

#[test]
fn healthy_servers_succeed_at_every_endpoint() {
    let server = Server::start(Behaviour::Healthy(20, 2));
    for endpoint in Endpoint::ALL {
        for (i, ex) in block(asks(&server, endpoint, 12, 2)).into_iter().enumerate() {
            assert_eq!(ex.failure, None, "{endpoint:?}");
            assert_eq!((ex.content_chunks, ex.gaps_ns.len(), ex.http), (12, 11, Some(200)), "{endpoint:?}");
            assert_eq!((ex.usage.completion_tokens, ex.done, ex.retries), (Some(12), true, 0));
            assert_eq!(ex.text, " tok".repeat(12));
            assert_eq!(ex.reused, i > 0);
            let (sent, first) = (ex.sent_ns.unwrap(), ex.first_token_ns.unwrap());
            assert!(first - sent >= 20_000_000, "the first token came after the wait");
            assert!(ex.last_token_ns.unwrap() <= ex.end_ns.unwrap());
            assert_eq!(ex.gaps_ns.iter().sum::<u64>(), ex.last_token_ns.unwrap() - first);
        }
    }
}

#[test]
fn odd_but_honest_servers_succeed() {
    for behaviour in
        [Behaviour::RoleFirst, Behaviour::MultiToken, Behaviour::NoDone, Behaviour::OpenAfterDone]
    {
        let server = Server::start(behaviour);
        for ex in block(asks(&server, Endpoint::Chat, 10, 2)) {
            assert_eq!(ex.failure, None, "{behaviour:?}");
            assert_eq!(ex.usage.completion_tokens, Some(10), "{behaviour:?}");
            match behaviour {
                Behaviour::RoleFirst => {
                    assert!(ex.first_token_ns.unwrap() - ex.sent_ns.unwrap() >= 30_000_000);
                }
                Behaviour::MultiToken => assert_eq!(ex.content_chunks, 2),
                Behaviour::NoDone => assert!(!ex.done),
                _ => {}
            }
        }
    }
}

#[test]
fn closed_connections_are_retried_once_counted_and_stamped_anew() {
    let server = Server::start(Behaviour::ClosesAfterAnswer);
    let all = block(asks(&server, Endpoint::Completions, 3, 5));
    assert!(all.iter().all(|ex| ex.failure.is_none()));
    // Whether a dead connection was found dead when taken or when used depends on timing; each answer came once.
    assert_eq!(server.requests(), 5);
    assert!(all.iter().all(|ex| ex.retries <= 1 && ex.sent_ns >= Some(ex.started_ns)));
}

#[test]
fn bad_servers_are_classed() {
    let cases = [
        (Behaviour::Status(429), Class::Http(429)),
        (Behaviour::Status(503), Class::Http(503)),
        (Behaviour::Status(404), Class::Http(404)),
        (Behaviour::NotStreaming, Class::NotStreaming),
        (Behaviour::BadJson, Class::Malformed),
        (Behaviour::BadUtf8, Class::Malformed),
        (Behaviour::EndlessLine, Class::Malformed),
        (Behaviour::NotHttp, Class::Malformed),
        (Behaviour::Usage(11), Class::UsageWrong),
        (Behaviour::Usage(3), Class::UsageWrong),
        (Behaviour::Usage(0), Class::UsageWrong),
        (Behaviour::NoTokens, Class::Empty),
        (Behaviour::Truncated, Class::Truncated),
        (Behaviour::CutInEvent, Class::ConnectionLost),
        (Behaviour::ErrorEvent, Class::ErrorEvent),
        (Behaviour::Stalls, Class::StallTimeout),
        (Behaviour::Silent, Class::FirstTimeout),
        (Behaviour::Drips, Class::FirstTimeout),
        (Behaviour::CommentFlood, Class::FirstTimeout),
    ];
    for (behaviour, class) in cases {
        let server = Server::start(behaviour);
        let endpoint = if behaviour == Behaviour::NoTokens { Endpoint::Chat } else { Endpoint::Completions };
        let ex = block(asks(&server, endpoint, 10, 1)).remove(0);
        let failure = ex.failure.unwrap_or_else(|| panic!("{behaviour:?} counted as a success"));
        assert_eq!(failure.class, class, "{behaviour:?}: {failure}");
        assert!(!failure.detail.is_empty() && failure.detail.len() <= 300, "{behaviour:?}: {failure}");
    }
}

#[test]
fn a_server_that_dies_is_refused_afterwards() {
    let server = Server::start(Behaviour::DiesAfter(2));
    let all = block(asks(&server, Endpoint::Chat, 3, 5));
    let classes: Vec<_> = all.iter().map(|ex| ex.failure.as_ref().map(|f| f.class)).collect();
    assert_eq!(&classes[..2], [None, None]);
    assert!(
        classes[2..].iter().all(|c| matches!(c, Some(Class::Connect | Class::ConnectionLost))),
        "{classes:?}"
    );
}

#[test]
fn what_a_server_tells_is_optional() {
    let server = Server::start(Behaviour::Healthy(0, 0));
    block(async {
        let target: Target = server.url().parse().unwrap();
        let pool = Pool::new(resolve(&target, SHORT.connect).await.unwrap(), SHORT.connect);
        let info = ServerInfo::fetch(&target, &pool, None).await;
        assert_eq!(info.first_model(), Some("test-model"));
        assert_eq!((info.server_info, info.version), (None, None));
        assert!(info.notes.iter().any(|n| n.contains("/version: HTTP 404")), "{:?}", info.notes);
        assert!(metrics_text(&target, &pool, None).await.unwrap_err().contains("404"));
    });
}
