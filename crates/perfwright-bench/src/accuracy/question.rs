//! Question sets: JSON lines, one question each, as GSM8K and MMLU are published too.

use std::collections::BTreeSet;

use rand_chacha::rand_core::RngCore as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::judge::last_number;
use crate::arrival::generator;

/// Most questions of a set.
const MAX_QUESTIONS: usize = 1_000_000;
/// Most bytes of one line.
const MAX_LINE: usize = 1 << 20;
/// Choices have letters.
const MAX_CHOICES: usize = 26;

/// What a right answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// A number in the spelling of [`last_number`].
    Number(String),
    /// The letter of a choice.
    Letter(char),
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name in the set.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// What can be chosen from; empty for a number.
    pub choices: Vec<String>,
    /// The right answer.
    pub expected: Expected,
    /// The answer as an example shows it.
    pub worked: String,
}

/// A question set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// A line is no question.
    #[error("line {line}: {cause}")]
    Line {
        /// Which.
        line: usize,
        /// The cause.
        cause: String,
    },
    /// The set as a whole.
    #[error("{0}")]
    Set(String),
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Option<Value>,
    question: String,
    #[serde(default)]
    choices: Vec<String>,
    answer: Value,
}

/// The questions of JSON lines of `question`, `answer` and, for multiple choice, `choices`; `id` is the place in the
/// file (from 0) where there is none. An answer is a number or a text whose last number counts (GSM8K: `... #### 18`);
/// with choices a letter, an index from 0 (MMLU) or the text of a choice.
///
/// # Errors
/// The line that is no question and why, or no question at all.
pub fn read_questions(bytes: &[u8]) -> Result<Vec<Question>, QuestionError> {
    let (mut questions, mut seen) = (Vec::new(), BTreeSet::new());
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let at = |cause: String| QuestionError::Line { line: i + 1, cause };
        if line.len() > MAX_LINE {
            return Err(at(format!("more than {MAX_LINE} bytes")));
        }
        let row: Row = serde_json::from_slice(line).map_err(|e| at(e.to_string()))?;
        let question = question(row, questions.len()).map_err(at)?;
        if !seen.insert(question.id.clone()) {
            return Err(at(format!("the id {:?} came before", question.id)));
        }
        questions.push(question);
        if questions.len() > MAX_QUESTIONS {
            return Err(QuestionError::Set(format!("more than {MAX_QUESTIONS} questions")));
        }
    }
    if questions.is_empty() {
        return Err(QuestionError::Set("the file holds no question".to_owned()));
    }
    Ok(questions)
}

fn question(row: Row, index: usize) -> Result<Question, String> {
    let id = match row.id {
        None | Some(Value::Null) => index.to_string(),
        Some(Value::String(text)) => text.chars().take(200).collect(),
        Some(Value::Number(n)) => n.to_string(),
        Some(_) => return Err("id is neither a text nor a number".to_owned()),
    };
    if row.question.trim().is_empty() {
        return Err("the question is empty".to_owned());
    }
    let (expected, worked) = if row.choices.is_empty() {
        let worked = match &row.answer {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(n) => n.to_string(),
            _ => return Err("the answer is neither a number nor a text".to_owned()),
        };
        let number = last_number(&worked).ok_or("the answer holds no number")?;
        (Expected::Number(number), worked)
    } else {
        let letter = choice(&row.choices, &row.answer)?;
        (Expected::Letter(letter), letter.to_string())
    };
    Ok(Question { id, text: row.question, choices: row.choices, expected, worked })
}

fn choice(choices: &[String], answer: &Value) -> Result<char, String> {
    if !(2..=MAX_CHOICES).contains(&choices.len()) {
        return Err(format!("{} choices; 2 to {MAX_CHOICES} have letters", choices.len()));
    }
    let index = match answer {
        Value::Number(n) => n.as_u64().and_then(|n| usize::try_from(n).ok()),
        Value::String(text) => {
            let text = text.trim();
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) if c.is_ascii_uppercase() => Some(c as usize - 'A' as usize),
                _ => choices.iter().position(|c| c.trim() == text),
            }
        }
        _ => None,
    };
    index
        .filter(|i| *i < choices.len())
        .map(letter_of)
        .ok_or_else(|| "the answer is no letter, index or text of a choice".to_owned())
}

/// The letter of choice `index`.
pub(super) fn letter_of(index: usize) -> char {
    char::from(b'A' + u8::try_from(index.min(MAX_CHOICES - 1)).unwrap_or(0))
}

/// A set of `count` sums, differences and products of whole numbers, drawn from `seed`, as JSON lines.
#[must_use]
pub fn arithmetic(count: usize, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..count {
        let mut rng = generator(seed, "arithmetic", i as u64);
        let mut below = |n: u32| i64::from(((u64::from(rng.next_u32()) * u64::from(n)) >> 32) as u32);
        let (kind, a, b) = (below(3), below(900) + 100, below(90) + 10);
        let (text, answer) = match kind {
            0 => (format!("What is {a} plus {b}?"), a + b),
            1 => (format!("What is {b} minus {a}?"), b - a),
            _ => (format!("What is {a} times {b}?"), a * b),
        };
        let line = json!({"id": format!("arithmetic-{i}"), "question": text, "answer": answer.to_string()});
        out.extend_from_slice(line.to_string().as_bytes());
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_shapes_are_read() {
        let text = "{\"question\":\"How many?\",\"answer\":\"16-3-4=9 eggs, 9*2=$18\\n#### 1,018\"}\n\n\
            {\"question\":\"Which?\",\"choices\":[\"x\",\"y\",\"z\"],\"answer\":1,\"subject\":\"s\"}\n\
            {\"id\":\"q\",\"question\":\"Which?\",\"choices\":[\"x\",\"y\"],\"answer\":\"B\"}\n\
            {\"id\":7,\"question\":\"Which?\",\"choices\":[\"xx\",\"yy\"],\"answer\":\"xx\"}\n";
        let q = read_questions(text.as_bytes()).unwrap();
        assert_eq!(q[0].expected, Expected::Number("1018".to_owned()));
        let rest: Vec<_> = q[1..].iter().map(|q| (q.id.as_str(), q.expected.clone())).collect();
        let letter = Expected::Letter;
        assert_eq!(rest, [("1", letter('B')), ("q", letter('B')), ("7", letter('A'))]);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, line) in [
            ("{}", 1),
            ("\n{\"question\":\"x\",\"answer\":\"none\"}", 2),
            ("{\"question\":\" \",\"answer\":1}", 1),
            ("{\"question\":\"x\",\"choices\":[\"a\"],\"answer\":0}", 1),
            ("{\"question\":\"x\",\"choices\":[\"a\",\"b\"],\"answer\":2}", 1),
            ("{\"question\":\"x\",\"choices\":[\"a\",\"b\"],\"answer\":\"C\"}", 1),
            ("{\"id\":1,\"question\":\"x\",\"answer\":1}\n{\"id\":\"1\",\"question\":\"y\",\"answer\":1}", 2),
        ] {
            match read_questions(text.as_bytes()) {
                Err(QuestionError::Line { line: at, .. }) => assert_eq!(at, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(read_questions(b"\n"), Err(QuestionError::Set(_))));
    }

    #[test]
    fn arithmetic_is_right_and_follows_from_its_seed() {
        let bytes = arithmetic(60, 3);
        assert_eq!(bytes, arithmetic(60, 3));
        assert_ne!(bytes, arithmetic(60, 4));
        let questions = read_questions(&bytes).unwrap();
        assert_eq!(questions.len(), 60);
        for q in &questions {
            let words: Vec<&str> = q.text.trim_end_matches('?').split(' ').collect();
            let (a, b): (i64, i64) = (words[2].parse().unwrap(), words[4].parse().unwrap());
            let right = match words[3] {
                "plus" => a + b,
                "minus" => a - b,
                _ => a * b,
            };
            assert_eq!(q.expected, Expected::Number(right.to_string()), "{}", q.text);
        }
    }
}
