//! Everything that is fixed before the first question: the contract of a `bench accuracy`, and each prompt.

use std::path::PathBuf;

use perfwright_evidence::sha256_hex;
use rand_chacha::rand_core::RngCore as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::question::{Expected, Question, QuestionError, letter_of};
use crate::arrival::generator;

/// Where questions come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuestionSource {
    /// The file; none for a set that was drawn.
    pub path: Option<PathBuf>,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Questions in it.
    pub questions: u64,
}

/// How a choice is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The letter that the answer names.
    Letter,
    /// The likeliest letter among the likeliest first tokens.
    Logprob,
}

/// When an accuracy is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccuracyLimits {
    /// Part of the questions whose requests may fail.
    pub failed: f64,
    /// Part of the answers that may hold nothing to judge.
    pub unanswered: f64,
}

/// What is fixed when questions are asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccuracyConditions {
    /// The server.
    pub url: String,
    /// `completions`, `chat` or `generate`.
    pub endpoint: String,
    /// The model's name in requests; empty: the first that the server lists.
    pub model: String,
    /// The name of the task.
    pub task: String,
    /// The questions.
    pub set: QuestionSource,
    /// Questions that are asked at most; none for all.
    pub limit: Option<u64>,
    /// Worked examples before each question.
    pub shots: u32,
    /// Where they come from; none for the set itself, which does not ask them then.
    pub shots_from: Option<QuestionSource>,
    /// How a choice is read.
    pub by: By,
    /// The form of prompts: `plain/v1`.
    pub form: String,
    /// Tokens of an answer at most.
    pub max_tokens: u32,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// Seed of the draw of examples and questions, and of sampling where the endpoint takes one.
    pub seed: u64,
    /// Requests at once.
    pub concurrency: u32,
    /// Fields added to every body.
    pub extra_body: Map<String, Value>,
    /// Milliseconds for a connection.
    pub connect_timeout_ms: u64,
    /// Milliseconds for a whole answer.
    pub timeout_ms: u64,
    /// When the result is not believed.
    pub limits: AccuracyLimits,
}

/// The name of the form that [`plan`] gives prompts.
pub(super) const FORM: &str = "plain/v1";

impl AccuracyConditions {
    /// The form that prompts have.
    #[must_use]
    pub fn form() -> String {
        FORM.to_owned()
    }

    /// What ends an answer of [`FORM`]: the next question, which base models go on to ask.
    #[must_use]
    pub fn stops() -> Vec<String> {
        vec!["Question:".to_owned()]
    }
}

/// A question as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskPlan {
    /// The question.
    pub question: Question,
    /// The whole prompt.
    pub prompt: String,
    /// Its SHA-256.
    pub prompt_sha256: String,
}

/// The questions that are asked, each with its whole prompt. `shots` are the questions of the examples' own file.
///
/// # Errors
/// There are fewer questions than examples are wanted.
pub fn plan(
    c: &AccuracyConditions,
    mut set: Vec<Question>,
    shots: Option<Vec<Question>>,
) -> Result<Vec<AskPlan>, QuestionError> {
    let wanted = c.shots as usize;
    let too_few = |n: usize| {
        QuestionError::Set(format!(
            "{wanted} examples cannot be drawn from {n} questions with one left to ask"
        ))
    };
    let examples: Vec<Question> = match shots {
        Some(from) if wanted > from.len() => return Err(too_few(from.len())),
        Some(from) => {
            draw(from.len(), wanted, c.seed, "examples").into_iter().map(|i| from[i].clone()).collect()
        }
        None if wanted >= set.len() && wanted > 0 => return Err(too_few(set.len())),
        None => {
            // A question that is shown with its answer is not asked.
            let taken = draw(set.len(), wanted, c.seed, "examples");
            let examples = taken.iter().map(|i| set[*i].clone()).collect();
            let mut index = 0;
            set.retain(|_| {
                index += 1;
                !taken.contains(&(index - 1))
            });
            examples
        }
    };
    if let Some(limit) = c.limit.and_then(|l| usize::try_from(l).ok()).filter(|l| *l < set.len()) {
        let mut taken = draw(set.len(), limit, c.seed, "questions");
        taken.sort_unstable();
        set = taken.into_iter().map(|i| set[i].clone()).collect();
    }
    let head: String = examples.iter().map(|q| format!("{} {}\n\n", asked(q), q.worked)).collect();
    let tail = if c.endpoint == "chat" { "\n\nAnswer with the letter alone." } else { "" };
    Ok(set
        .into_iter()
        .map(|question| {
            let tail = if question.choices.is_empty() { "" } else { tail };
            let prompt = format!("{head}{}{tail}", asked(&question));
            AskPlan { prompt_sha256: sha256_hex(prompt.as_bytes()), prompt, question }
        })
        .collect())
}

/// A question up to where its answer comes.
fn asked(q: &Question) -> String {
    let choices: String =
        q.choices.iter().enumerate().map(|(i, c)| format!("\n{}. {c}", letter_of(i))).collect();
    format!("Question: {}{choices}\nAnswer:", q.text)
}

/// `k` different numbers below `n`, in the order of drawing (Fisher and Yates).
fn draw(n: usize, k: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let mut rng = generator(seed, purpose, 0);
    let mut all: Vec<usize> = (0..n).collect();
    let k = k.min(n);
    for i in 0..k {
        let left = (n - i) as u64;
        let at = i + usize::try_from((u128::from(rng.next_u64()) * u128::from(left)) >> 64).unwrap_or(0);
        all.swap(i, at);
    }
    all.truncate(k);
    all
}

/// The right answer as a record holds it.
pub(super) fn expected_text(q: &Question) -> String {
    match &q.expected {
        Expected::Number(n) => n.clone(),
        Expected::Letter(c) => c.to_string(),
    }
}

#[cfg(test)]
pub(super) fn sample_conditions() -> AccuracyConditions {
    AccuracyConditions {
        url: "http://127.0.0.1:1".into(),
        endpoint: "completions".into(),
        model: "m".into(),
        task: "t".into(),
        set: QuestionSource { path: None, sha256: "0".repeat(64), questions: 10 },
        limit: None,
        shots: 0,
        shots_from: None,
        by: By::Letter,
        form: FORM.into(),
        max_tokens: 8,
        stop: AccuracyConditions::stops(),
        seed: 1,
        concurrency: 2,
        extra_body: Map::new(),
        connect_timeout_ms: 1000,
        timeout_ms: 1000,
        limits: AccuracyLimits { failed: 0.01, unanswered: 0.5 },
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::{arithmetic, read_questions};
    use super::*;

    #[test]
    fn examples_are_not_asked_and_prompts_follow_from_the_seed() {
        let set = read_questions(&arithmetic(10, 1)).unwrap();
        let mut c = sample_conditions();
        c.shots = 3;
        let asked = plan(&c, set.clone(), None).unwrap();
        assert_eq!(asked.len(), 7);
        assert_eq!(asked, plan(&c, set.clone(), None).unwrap());
        for one in &asked {
            assert_eq!(one.prompt.matches(&one.question.text).count(), 1, "{}", one.prompt);
            assert_eq!(one.prompt.matches("Answer: ").count(), 3);
            assert!(one.prompt.ends_with("Answer:"));
        }
        c.seed = 2;
        assert_ne!(asked, plan(&c, set.clone(), None).unwrap());
        c.limit = Some(4);
        assert_eq!(plan(&c, set.clone(), Some(set.clone())).unwrap().len(), 4);
        c.shots = 10;
        assert!(plan(&c, set, None).is_err());
    }

    #[test]
    fn choices_have_letters() {
        let set = read_questions(br#"{"question":"Which?","choices":["x","y"],"answer":"y"}"#).unwrap();
        let mut c = sample_conditions();
        assert_eq!(plan(&c, set.clone(), None).unwrap()[0].prompt, "Question: Which?\nA. x\nB. y\nAnswer:");
        c.endpoint = "chat".into();
        assert!(plan(&c, set, None).unwrap()[0].prompt.ends_with("letter alone."));
    }
}
