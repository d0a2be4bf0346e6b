//! Requests out of files: ShareGPT conversations and the canonical JSONL rows.

use perfwright_client::endpoint::{Message, Prompt};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::WorkloadError;
use super::files::InputFile;
use super::generate::{MAX_LEN, single};
use super::spec::{Session, Turn};

#[derive(Deserialize)]
struct Said {
    #[serde(alias = "role")]
    from: String,
    #[serde(alias = "content")]
    value: String,
}

#[derive(Deserialize)]
struct Conversation {
    #[serde(default, alias = "conversation", alias = "messages")]
    conversations: Vec<Said>,
}

fn count_words(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap_or(MAX_LEN).min(MAX_LEN)
}

/// Sessions of a ShareGPT file, which is one JSON list or one conversation a line. Conversations without a question
/// and an answer are passed over, as other clients do.
pub(super) fn sharegpt(
    file: &InputFile,
    output_len: Option<u32>,
    all_turns: bool,
) -> Result<Vec<Session>, WorkloadError> {
    let bytes = file.read()?;
    let entry = |place: String, cause: String| WorkloadError::Entry { path: file.path.clone(), place, cause };
    let conversations: Vec<Conversation> = if bytes.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(&bytes).map_err(|e| entry(format!("line {}", e.line()), e.to_string()))?
    } else {
        let lines = bytes.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.trim_ascii().is_empty());
        lines
            .map(|(i, l)| {
                serde_json::from_slice(l).map_err(|e| entry(format!("line {}", i + 1), e.to_string()))
            })
            .collect::<Result<_, _>>()?
    };
    let mut sessions = Vec::new();
    for conversation in conversations {
        let mut turns = Vec::new();
        for pair in conversation.conversations.windows(2) {
            let (asked, answered) = (&pair[0], &pair[1]);
            let is_question = matches!(asked.from.as_str(), "human" | "user");
            let is_answer =
                matches!(answered.from.as_str(), "gpt" | "assistant" | "chatgpt" | "bing" | "bard");
            if !is_question || !is_answer || asked.value.trim().is_empty() {
                continue;
            }
            turns.push(Turn {
                prompt: Prompt::Text(asked.value.clone()),
                input_nominal: count_words(&asked.value),
                output: output_len.unwrap_or_else(|| count_words(&answered.value)).max(1),
                extra: None,
            });
            if !all_turns {
                break;
            }
        }
        if !turns.is_empty() {
            sessions.push(Session { at_ns: None, turns });
        }
    }
    if sessions.is_empty() {
        return Err(WorkloadError::Nothing { path: file.path.clone() });
    }
    Ok(sessions)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RowPrompt {
    Text(String),
    Messages(Vec<RowMessage>),
}

#[derive(Deserialize)]
struct RowMessage {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct Row {
    prompt: RowPrompt,
    #[serde(default)]
    output_len: Option<u32>,
    #[serde(default)]
    extra_request_body: Option<Map<String, Value>>,
}

/// Sessions of canonical rows.
pub(super) fn jsonl(file: &InputFile, output_len: Option<u32>) -> Result<Vec<Session>, WorkloadError> {
    let bytes = file.read()?;
    let mut sessions = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let entry = |cause: String| WorkloadError::Entry {
            path: file.path.clone(),
            place: format!("line {}", i + 1),
            cause,
        };
        let row: Row = serde_json::from_slice(line)
            .map_err(|e| entry(format!("not a row of prompt (text or messages) and output_len: {e}")))?;
        let output =
            row.output_len.or(output_len).filter(|n| (1..=MAX_LEN).contains(n)).ok_or_else(|| {
                entry(format!("output_len must be 1 to {MAX_LEN}; --output-len sets it for all"))
            })?;
        let prompt = match row.prompt {
            RowPrompt::Text(text) => Prompt::Text(text),
            RowPrompt::Messages(messages) => Prompt::Messages(
                messages.into_iter().map(|m| Message { role: m.role, content: m.content }).collect(),
            ),
        };
        let words = count_words(&prompt.text());
        if words == 0 {
            return Err(entry("the prompt is empty".to_owned()));
        }
        sessions.push(single(prompt, words, output, row.extra_request_body));
    }
    if sessions.is_empty() {
        return Err(WorkloadError::Nothing { path: file.path.clone() });
    }
    Ok(sessions)
}
