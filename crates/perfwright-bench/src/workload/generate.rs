//! From a stated workload to sessions.

use perfwright_client::endpoint::{Message, Prompt};
use rand_chacha::rand_core::RngCore;

use super::error::WorkloadError;
use super::spec::{Session, Spec, Turn};
use super::tokenizer::Counter;
use super::words::text;
use super::{dataset, trace};
use crate::arrival::generator;

/// Most requests of a run.
const MAX_REQUESTS: usize = 5_000_000;
/// Longest prompt in words, and most tokens asked for.
pub(super) const MAX_LEN: u32 = 4_000_000;
/// Most words of all prompts of a run; they are made before the first is sent.
const MAX_WORDS: u64 = 400_000_000;
/// Most turns of a session.
const MAX_TURNS: u32 = 1000;

/// `n` sessions. Lengths follow from `seed` alone, so trials ask for the same; words follow from `seed` and `salt`, so
/// no trial finds its prompts in a cache that another one filled.
///
/// # Errors
/// The file cannot be used, or a length is out of range.
pub fn build(spec: &Spec, n: usize, seed: u64, salt: u64) -> Result<Vec<Session>, WorkloadError> {
    if n == 0 || n > MAX_REQUESTS {
        return Err(WorkloadError::Range(format!("requests must be 1 to {MAX_REQUESTS}")));
    }
    let words = |purpose: &str, index: u64, len: u32| text(&mut generator(seed ^ salt, purpose, index), len);
    match *spec {
        Spec::Random { input_len, output_len, range_ratio } => {
            check_lens(&[input_len, output_len], u64::from(input_len) * n as u64)?;
            check_ratio(range_ratio)?;
            let lens = lengths(seed, n, input_len, output_len, range_ratio);
            let one = |(i, (input, output)): (usize, (u32, u32))| {
                single(Prompt::Text(words("words", i as u64, input)), input, output, None)
            };
            Ok(lens.into_iter().enumerate().map(one).collect())
        }
        Spec::Exact { ref tokenizer, input_len, output_len, range_ratio } => {
            check_lens(&[input_len, output_len], u64::from(input_len) * n as u64)?;
            check_ratio(range_ratio)?;
            let counter = Counter::open(tokenizer)?;
            let one = |(i, (input, output)): (usize, (u32, u32))| {
                let prompt = counter.text(&mut generator(seed ^ salt, "words", i as u64), input)?;
                Ok(single(Prompt::Text(prompt), input, output, None))
            };
            lengths(seed, n, input_len, output_len, range_ratio).into_iter().enumerate().map(one).collect()
        }
        Spec::SharedPrefix { groups, prefix_len, input_len, output_len } => {
            check_lens(
                &[prefix_len, input_len, output_len, groups],
                u64::from(prefix_len + input_len) * n as u64,
            )?;
            let starts: Vec<String> =
                (0..groups.min(n as u32)).map(|g| words("prefix", u64::from(g), prefix_len)).collect();
            let one = |i: usize| {
                let start = &starts[i % starts.len()];
                let prompt = format!("{start} {}", words("words", i as u64, input_len));
                single(Prompt::Text(prompt), prefix_len + input_len, output_len, None)
            };
            Ok((0..n).map(one).collect())
        }
        Spec::MultiTurn { turns, input_len, output_len, .. } => {
            check_lens(&[turns, input_len, output_len], u64::from(input_len) * u64::from(turns) * n as u64)?;
            if turns > MAX_TURNS {
                return Err(WorkloadError::Range(format!("turns must be 1 to {MAX_TURNS}")));
            }
            let turn = |i: usize, t: u32| Turn {
                prompt: Prompt::Text(words(
                    "words",
                    i as u64 * u64::from(MAX_TURNS) + u64::from(t),
                    input_len,
                )),
                input_nominal: input_len,
                output: output_len,
                extra: None,
            };
            let session = |i| Session { at_ns: None, turns: (0..turns).map(|t| turn(i, t)).collect() };
            Ok((0..n).map(session).collect())
        }
        Spec::ShareGpt { ref file, output_len, all_turns } => {
            let rows = dataset::sharegpt(file, output_len, all_turns)?;
            Ok(pick(&rows, n, seed, salt))
        }
        Spec::Jsonl { ref file, output_len } => Ok(pick(&dataset::jsonl(file, output_len)?, n, seed, salt)),
        Spec::Mooncake { ref file } => {
            trace::sessions(&trace::mooncake(file)?, n, file, |b, l| words("block", b, l))
        }
        Spec::BurstGpt { ref file } => {
            trace::sessions(&trace::burstgpt(file)?, n, file, |b, l| words("block", b, l))
        }
        Spec::Azure { ref file } => {
            trace::sessions(&trace::azure(file)?, n, file, |b, l| words("block", b, l))
        }
    }
}

/// The part of prompt tokens that a prefix cache may serve by the design of the workload; `None` where the design
/// does not tell.
pub fn declared_cached_share(spec: &Spec, n: usize) -> Option<f64> {
    match *spec {
        Spec::Random { .. }
        | Spec::Exact { .. }
        | Spec::Jsonl { .. }
        | Spec::BurstGpt { .. }
        | Spec::Azure { .. } => Some(0.0),
        Spec::ShareGpt { all_turns, .. } => (!all_turns).then_some(0.0),
        Spec::SharedPrefix { groups, prefix_len, input_len, .. } => {
            let repeated = 1.0 - (f64::from(groups) / n.max(1) as f64).min(1.0);
            Some(repeated * f64::from(prefix_len) / f64::from((prefix_len + input_len).max(1)))
        }
        Spec::MultiTurn { .. } | Spec::Mooncake { .. } => None,
    }
}

/// A session of one request.
pub(super) fn single(
    prompt: Prompt,
    input_nominal: u32,
    output: u32,
    extra: Option<serde_json::Map<String, serde_json::Value>>,
) -> Session {
    Session { at_ns: None, turns: vec![Turn { prompt, input_nominal, output, extra }] }
}

/// Lengths of prompts and answers.
fn lengths(seed: u64, n: usize, input_len: u32, output_len: u32, ratio: f64) -> Vec<(u32, u32)> {
    let mut rng = generator(seed, "lengths", 0);
    let mut draw = |len: u32| between(&mut rng, (f64::from(len) * ratio).ceil() as u32, len).max(1);
    (0..n).map(|_| (draw(input_len), draw(output_len))).collect()
}

fn check_ratio(ratio: f64) -> Result<(), WorkloadError> {
    if (0.0..=1.0).contains(&ratio) {
        return Ok(());
    }
    Err(WorkloadError::Range("the range ratio must be 0 to 1".to_owned()))
}

fn check_lens(lens: &[u32], words: u64) -> Result<(), WorkloadError> {
    if lens.iter().any(|len| *len == 0 || *len > MAX_LEN) {
        return Err(WorkloadError::Range(format!("lengths and counts must be 1 to {MAX_LEN}")));
    }
    if words > MAX_WORDS {
        return Err(WorkloadError::Range(format!(
            "all prompts together have {words} words, over {MAX_WORDS}"
        )));
    }
    Ok(())
}

/// Even between `low` and `high`, both included.
fn between(rng: &mut impl RngCore, low: u32, high: u32) -> u32 {
    let span = u64::from(high.saturating_sub(low)) + 1;
    low + ((u64::from(rng.next_u32()) * span) >> 32) as u32
}

/// `n` rows in an order that `seed` decides; each row comes once before any comes again. With a salt every session
/// starts with a mark of its own.
fn pick(rows: &[Session], n: usize, seed: u64, salt: u64) -> Vec<Session> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut rng = generator(seed, "order", 0);
    for i in (1..order.len()).rev() {
        order.swap(i, between(&mut rng, 0, i as u32) as usize);
    }
    let one = |i: usize| {
        let mut session = rows[order[i % order.len()]].clone();
        if salt != 0
            && let Some(first) = session.turns.first_mut()
        {
            mark(&mut first.prompt, &format!("[{salt:x}-{i}] "));
        }
        session
    };
    (0..n).map(one).collect()
}

fn mark(prompt: &mut Prompt, text: &str) {
    match prompt {
        Prompt::Text(t) => t.insert_str(0, text),
        Prompt::Messages(messages) => {
            if let Some(Message { content, .. }) = messages.first_mut() {
                content.insert_str(0, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: Spec = Spec::Random { input_len: 40, output_len: 20, range_ratio: 0.5 };

    #[test]
    fn lengths_follow_the_seed_and_words_the_salt() {
        let (a, b, c) = (build(&RANDOM, 50, 1, 0), build(&RANDOM, 50, 1, 9), build(&RANDOM, 50, 2, 0));
        let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
        let lens = |s: &[Session]| -> Vec<(u32, u32)> {
            s.iter().map(|s| (s.turns[0].input_nominal, s.turns[0].output)).collect()
        };
        assert_eq!(lens(&a), lens(&b));
        assert_ne!(lens(&a), lens(&c));
        assert!(lens(&a).iter().all(|(i, o)| (20..=40).contains(i) && (10..=20).contains(o)));
        for (x, y) in a.iter().zip(&b) {
            assert_ne!(x.turns[0].prompt, y.turns[0].prompt);
            assert_eq!(x.turns[0].prompt.text().split(' ').count(), x.turns[0].input_nominal as usize);
        }
        assert_eq!(build(&RANDOM, 50, 1, 9).unwrap(), b);
    }

    #[test]
    fn groups_share_their_start_only() {
        let spec = Spec::SharedPrefix { groups: 2, prefix_len: 30, input_len: 10, output_len: 5 };
        let s = build(&spec, 6, 1, 0).unwrap();
        let start = |i: usize| -> Vec<String> {
            s[i].turns[0].prompt.text().split(' ').take(30).map(str::to_owned).collect()
        };
        assert!(start(0) == start(2) && start(0) != start(1));
        assert_ne!(s[0].turns[0].prompt, s[2].turns[0].prompt);
        let declared = declared_cached_share(&spec, 6).unwrap();
        assert!((declared - 0.5).abs() < 1e-12);
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        for spec in [
            Spec::Random { input_len: 0, output_len: 1, range_ratio: 1.0 },
            Spec::Random { input_len: 1, output_len: 1, range_ratio: 2.0 },
            Spec::Random { input_len: MAX_LEN, output_len: 1, range_ratio: 1.0 },
            Spec::MultiTurn { turns: 5000, input_len: 1, output_len: 1, think_ms: 0 },
        ] {
            assert!(build(&spec, 1000, 0, 0).is_err(), "{spec:?}");
        }
        assert!(build(&RANDOM, 0, 0, 0).is_err());
    }
}
