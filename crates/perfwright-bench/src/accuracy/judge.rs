//! What an answer says, and one line for each question.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prompt::By;
use super::question::letter_of;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer is the right one.
    Correct,
    /// The answer is another.
    Wrong,
    /// The server answered, and the answer holds nothing that could be right or wrong.
    Unanswered,
    /// There is no answer: the request failed.
    Failed,
}

/// One question with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The question.
    pub id: String,
    /// SHA-256 of the whole prompt, examples included.
    pub prompt_sha256: String,
    /// The right answer.
    pub expected: String,
    /// Letters that can be chosen from; 0 for a number.
    pub choices: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// What the answer says, where it says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked: Option<String>,
    /// The answer.
    #[serde(default)]
    pub text: String,
    /// Log-probabilities of the letters among the likeliest first tokens.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub letters: BTreeMap<String, f64>,
    /// Finish reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What the server or the system said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Tokens of the prompt as the server stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer as the server stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
}

impl Record {
    /// What the answer says and what that makes of the question: a pure function of the other fields.
    pub(super) fn judged(&self, by: By) -> (Outcome, Option<String>) {
        if self.failure.is_some() {
            return (Outcome::Failed, None);
        }
        let picked = match (self.choices, by) {
            (0, _) => last_number(&self.text),
            (n, By::Letter) => letter(&self.text, n as usize).map(|c| c.to_string()),
            (_, By::Logprob) => {
                // The first of equals, so that the pick is one.
                let best = self.letters.iter().reduce(|a, b| if b.1 > a.1 { b } else { a });
                best.map(|(l, _)| l.clone())
            }
        };
        match &picked {
            None => (Outcome::Unanswered, None),
            Some(p) if *p == self.expected => (Outcome::Correct, picked),
            Some(_) => (Outcome::Wrong, picked),
        }
    }
}

/// The last number of a text in one spelling: no group commas, no zeros that say nothing. A minus counts where no letter,
/// digit or bracket stands before it.
#[must_use]
pub fn last_number(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let end = bytes.iter().rposition(u8::is_ascii_digit)? + 1;
    // Back over digits, group commas and at most one point.
    let (mut start, mut point) = (end, None);
    while start > 0 {
        let i = start - 1;
        let between =
            i > 0 && bytes[i - 1].is_ascii_digit() && bytes[i + 1..].first().is_some_and(u8::is_ascii_digit);
        let taken = match bytes[i] {
            b'0'..=b'9' => true,
            b'.' if between && point.is_none() => {
                // A group comma never comes after the point.
                let whole = !bytes[start..end].contains(&b',');
                if whole {
                    point = Some(i);
                }
                whole
            }
            b',' if between => {
                let stop = point.unwrap_or(end);
                let group = bytes[start..stop].iter().take_while(|b| b.is_ascii_digit()).count();
                group == 3
            }
            _ => false,
        };
        if !taken {
            break;
        }
        start = i;
    }
    let minus = start > 0
        && bytes[start - 1] == b'-'
        && !(start > 1
            && (bytes[start - 2].is_ascii_alphanumeric() || matches!(bytes[start - 2], b')' | b']')));
    let digits: String = text[start..end].chars().filter(|c| *c != ',').collect();
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if minus && (whole != "0" || !fraction.is_empty()) { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// The letter that a text chooses among the first `choices`: the one after the last `answer is` or `answer:`, else one
/// that the text begins with and that stands alone. An article is no choice.
#[must_use]
pub fn letter(text: &str, choices: usize) -> Option<char> {
    let low = text.to_ascii_lowercase();
    let after = ["answer is", "answer:"].iter().filter_map(|k| low.rfind(k).map(|i| i + k.len())).max();
    after.and_then(|i| leading(&text[i..], choices)).or_else(|| leading(text, choices))
}

fn leading(text: &str, choices: usize) -> Option<char> {
    let text =
        text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '*' | '"' | ':'));
    let mut chars = text.chars();
    let first = chars.next()?;
    let alone =
        chars.next().is_none_or(|c| matches!(c, '.' | ')' | ']' | ':' | ',' | '*' | '"' | '\n' | '\r'));
    let rest_empty = text[first.len_utf8()..].trim().is_empty();
    ((alone || rest_empty) && (0..choices).any(|i| letter_of(i) == first)).then_some(first)
}

/// One line of JSON for each record.
///
/// # Errors
/// A number is not finite.
pub fn write_answers(records: &[Record]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        out.push(b'\n');
    }
    Ok(out)
}

/// The records of such lines.
///
/// # Errors
/// The line that is none, and why.
pub fn read_answers(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let lines = bytes.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.is_empty());
    lines.map(|(i, line)| serde_json::from_slice(line).map_err(|e| format!("line {}: {e}", i + 1))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers() {
        for (text, number) in [
            ("The answer is 18.", Some("18")),
            ("$1,234.50", Some("1234.5")),
            ("x = -7", Some("-7")),
            ("10-5", Some("5")),
            ("(3)-4", Some("4")),
            ("1, 2, 3", Some("3")),
            ("1,2", Some("2")),
            ("12,3456", Some("3456")),
            ("1,234,567", Some("1234567")),
            ("1234,567", Some("1234567")),
            ("007", Some("7")),
            ("-0.0", Some("0")),
            ("-0.50", Some("-0.5")),
            ("v1.2.3", Some("2.3")),
            ("0", Some("0")),
            ("none", None),
            ("", None),
            ("é 5é", Some("5")),
        ] {
            assert_eq!(last_number(text).as_deref(), number, "{text}");
        }
    }

    #[test]
    fn letters() {
        for (text, picked) in [
            ("B", Some('B')),
            (" B. because", Some('B')),
            ("(C)", Some('C')),
            ("**D**", Some('D')),
            ("A cat sat", None),
            ("A \n", Some('A')),
            ("E", None),
            ("The answer is C. A and B are not.", Some('C')),
            ("Answer: (B)\n", Some('B')),
            ("the answer is banana", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(letter(text, 4), picked, "{text}");
        }
    }

    #[test]
    fn outcomes() {
        let record = |choices, expected: &str, text: &str| Record {
            id: "q".into(),
            prompt_sha256: String::new(),
            expected: expected.into(),
            choices,
            outcome: Outcome::Failed,
            picked: None,
            text: text.into(),
            letters: BTreeMap::new(),
            finish: None,
            failure: None,
            detail: None,
            prompt_tokens: None,
            completion_tokens: None,
        };
        assert_eq!(record(0, "18", "so 18").judged(By::Letter).0, Outcome::Correct);
        assert_eq!(record(0, "18", "so 19").judged(By::Letter).0, Outcome::Wrong);
        assert_eq!(record(0, "18", "so").judged(By::Letter), (Outcome::Unanswered, None));
        let mut r = record(4, "B", "A");
        assert_eq!(r.judged(By::Letter).0, Outcome::Wrong);
        assert_eq!(r.judged(By::Logprob).0, Outcome::Unanswered);
        r.letters = [("A".to_owned(), -2.0), ("B".to_owned(), -1.0)].into();
        assert_eq!(r.judged(By::Logprob), (Outcome::Correct, Some("B".to_owned())));
        r.failure = Some("http_500".to_owned());
        assert_eq!(r.judged(By::Logprob).0, Outcome::Failed);
        let bytes = write_answers(std::slice::from_ref(&r)).unwrap();
        assert_eq!(read_answers(&bytes).unwrap(), [r]);
        assert!(read_answers(b"{}\n").unwrap_err().starts_with("line 1"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in ".{0,60}") {
            if let Some(n) = last_number(&text) {
                prop_assert_eq!(last_number(&n), Some(n.clone()));
            }
            let _ = letter(&text, 4);
        }
    }
}
