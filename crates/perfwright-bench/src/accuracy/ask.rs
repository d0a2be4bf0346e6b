//! Asking: a bounded number of questions at once, each to its end, one record for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perfwright_client::answer::{MAX_ANSWER, Whole, read_whole};
use perfwright_client::endpoint::{Form, Prompt, Wish, whole_body};
use perfwright_client::failure::Failure;
use tokio::task::JoinSet;

use super::judge::{Outcome, Record};
use super::prompt::{AccuracyConditions, AskPlan, By, expected_text};
use super::question::letter_of;
use crate::load::{Access, LoadError};

/// Longest body of an answer: text may be escaped, and log-probabilities stand beside it.
const MAX_BODY: usize = 8 * MAX_ANSWER;
/// Likeliest first tokens that are asked for: what the OpenAI API allows for chat and vLLM by default.
const TOP: u32 = 20;
/// How often a stop is looked for.
const NAP: Duration = Duration::from_millis(100);

/// Ways to watch and to stop.
pub struct AskControl<'a> {
    /// Set to stop: requests under way are given up.
    pub stop: &'a AtomicBool,
    /// Called with the questions done and asked in all.
    pub progress: &'a mut dyn FnMut(usize, usize),
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    /// One record a question, in their order.
    pub records: Vec<Record>,
    /// It was stopped before the end; questions that had not ended have no record.
    pub interrupted: bool,
}

/// Asks every question of the plan. Blocks until the last answer, or until it is stopped.
///
/// # Errors
/// The system gives no timer. What goes wrong with requests is in their records.
pub fn ask(
    c: &AccuracyConditions,
    access: &Access,
    plan: &[AskPlan],
    control: &mut AskControl<'_>,
) -> Result<Answered, LoadError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Thread)?;
    runtime.block_on(all(c, access, plan, control))
}

async fn all(
    c: &AccuracyConditions,
    access: &Access,
    plan: &[AskPlan],
    control: &mut AskControl<'_>,
) -> Result<Answered, LoadError> {
    let form = Arc::new(Form {
        endpoint: access.endpoint,
        model: access.model.clone(),
        ignore_eos: false,
        extra: c.extra_body.clone(),
    });
    let (c, access) = (Arc::new(c.clone()), Arc::new(access.clone()));
    let mut tasks: JoinSet<(usize, Record)> = JoinSet::new();
    let mut records: BTreeMap<usize, Record> = BTreeMap::new();
    let mut next = 0;
    let mut interrupted = false;
    while next < plan.len() || !tasks.is_empty() {
        if control.stop.load(Ordering::Relaxed) {
            interrupted = true;
            tasks.shutdown().await;
            break;
        }
        while next < plan.len() && tasks.len() < c.concurrency.max(1) as usize {
            let (c, access, form, one) =
                (Arc::clone(&c), Arc::clone(&access), Arc::clone(&form), plan[next].clone());
            let index = next;
            tasks.spawn(async move { (index, question(&c, &access, &form, one).await) });
            next += 1;
        }
        if let Ok(Some(Ok((index, record)))) = tokio::time::timeout(NAP, tasks.join_next()).await {
            records.insert(index, record);
            (control.progress)(records.len(), plan.len());
        }
    }
    Ok(Answered { records: records.into_values().collect(), interrupted })
}

async fn question(c: &AccuracyConditions, access: &Access, form: &Form, one: AskPlan) -> Record {
    let by_logprob = c.by == By::Logprob && !one.question.choices.is_empty();
    let wish = Wish {
        output: if by_logprob { 1 } else { c.max_tokens },
        stop: if by_logprob { &[] } else { &c.stop },
        top_logprobs: by_logprob.then_some(TOP),
        seed: c.seed,
    };
    let body = whole_body(form, &Prompt::Text(one.prompt), &wish);
    let limit = Duration::from_millis(c.timeout_ms);
    let sent = access.post((access.endpoint.path(), body), MAX_BODY, limit).await;
    let answer = sent.and_then(|(status, body)| read_whole(access.endpoint, status, &body));
    let choices = u32::try_from(one.question.choices.len()).unwrap_or(u32::MAX);
    let mut record = Record {
        id: one.question.id.clone(),
        prompt_sha256: one.prompt_sha256,
        expected: expected_text(&one.question),
        choices,
        outcome: Outcome::Failed,
        picked: None,
        text: String::new(),
        letters: BTreeMap::new(),
        finish: None,
        failure: None,
        detail: None,
        prompt_tokens: None,
        completion_tokens: None,
    };
    match answer {
        Ok(answer) => take(&mut record, answer, by_logprob),
        Err(Failure { class, detail }) => {
            record.failure = Some(class.to_string());
            record.detail = Some(detail);
        }
    }
    (record.outcome, record.picked) = record.judged(c.by);
    record
}

fn take(record: &mut Record, answer: Whole, by_logprob: bool) {
    record.finish = answer.finish;
    record.prompt_tokens = answer.usage.prompt_tokens;
    record.completion_tokens = answer.usage.completion_tokens;
    record.text = answer.text;
    if !by_logprob {
        return;
    }
    if answer.first.is_empty() {
        record.failure = Some("no_logprobs".to_owned());
        record.detail = Some("the server states no log-probabilities with token texts".to_owned());
        return;
    }
    for (token, logprob) in answer.first {
        // A letter comes with or without a space before it.
        let letter = token.trim_start_matches([' ', '\u{2581}', '\u{120}']);
        let known = (0..record.choices as usize).any(|i| letter == letter_of(i).to_string());
        if known && logprob.is_finite() {
            let kept = record.letters.entry(letter.to_owned()).or_insert(logprob);
            *kept = kept.max(logprob);
        }
    }
}
