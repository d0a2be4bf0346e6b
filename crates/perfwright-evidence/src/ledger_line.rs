//! A ledger line that is as it should be, proven in one pass. Everything else goes the long way in [`crate::ledger`],
//! which names what is wrong; no line is refused here, and none is taken here that the long way would refuse.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::hash::{hex, is_sha256_hex};
use crate::json::{JsonLimits, Prover, read};
use crate::ledger::Event;
use crate::limits::Limits;
use crate::time::is_timestamp;
use crate::verify::faults::{Fault, planted};

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// Read, from a line that was not as it should be.
    Value(Value),
    /// As it stands in a line that was proven.
    Text {
        /// The event's canonical JSON.
        text: Box<str>,
        /// Where the member `data`, or `evidence`, stands in it.
        data: Option<Range<usize>>,
        /// It holds no number that readers could take for different ones.
        plain_numbers: bool,
    },
}

impl Body {
    /// The whole body.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Text { text, .. } => read_proven(text),
        }
    }

    /// The member `data`, or `evidence` where a file was recorded.
    pub(crate) fn data(self) -> Option<Data> {
        match self {
            Self::Value(mut value) => {
                let body = value.as_object_mut()?;
                body.remove("evidence").or_else(|| body.remove("data")).map(|value| Data(Inner::Value(value)))
            }
            Self::Text { text, data, plain_numbers } => {
                Some(Data(Inner::Text { text, part: data?, plain_numbers }))
            }
        }
    }
}

/// The data of a procedure's event, or the record of a file, not read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Data(Inner);

#[derive(Debug, Clone, PartialEq)]
enum Inner {
    Value(Value),
    Text { text: Box<str>, part: Range<usize>, plain_numbers: bool },
}

impl Data {
    /// The data as any JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.0 {
            Inner::Value(value) => value.clone(),
            Inner::Text { text, part, .. } => read_proven(&text[part.clone()]),
        }
    }

    /// The data as a `T`.
    ///
    /// # Errors
    /// They have another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.0 {
            // `serde_json` may be one bit off on floats, so only text without any is left to it.
            Inner::Text { text, part, plain_numbers: true } => serde_json::from_str(&text[part.clone()]),
            _ => serde_json::from_value(self.value()),
        }
    }
}

/// Text that was proven reads; its bounds were checked then.
fn read_proven(text: &str) -> Value {
    let limits = JsonLimits { max_bytes: text.len(), max_depth: usize::MAX };
    read(text.as_bytes(), &limits).unwrap_or(Value::Null)
}

/// A proven line.
pub(crate) struct Proven {
    pub(crate) event: Event,
    /// SHA-256 of the line.
    pub(crate) head: String,
}

/// Proves that `raw` is the event number `seq` after a line of hash `head`: canonical, of an event's shape, with the
/// hash that its bytes give. `None` says nothing but that this is not proven.
pub(crate) fn prove(raw: &[u8], seq: u64, head: &str, limits: &Limits) -> Option<Proven> {
    if raw.len() > limits.max_line_bytes {
        return None;
    }
    let text = str::from_utf8(raw).ok()?;
    // The five members in their order, so the line as a whole is canonical where its parts are.
    let mut line = Prover::new(raw, limits.max_json_depth);
    line.literal(b"{\"at\":")?;
    let at = str::from_utf8(line.string()?.raw).ok()?;
    line.literal(b",\"event\":")?;
    let start = line.at;
    let (mut kind, mut data) = (None, None);
    line.object(2, |key, from, to| match key.raw {
        b"kind" if key.plain => kind = Some(from..to),
        b"data" | b"evidence" if key.plain => data = Some(from - start..to - start),
        _ => {}
    })?;
    let body = &text[start..line.at];
    let front = line.at;
    line.literal(b",\"hash\":")?;
    let stored = str::from_utf8(line.string()?.raw).ok()?;
    let after = line.at;
    line.literal(b",\"prev\":")?;
    let prev = str::from_utf8(line.string()?.raw).ok()?;
    line.literal(b",\"seq\":")?;
    let number = &text[line.at..];
    line.value(1)?;
    let number = number.strip_suffix('}')?;
    line.literal(b"}")?;
    // A kind with an escape in it is read the long way.
    let kind = text[kind?].strip_prefix('"')?.strip_suffix('"').filter(|kind| !kind.contains('\\'))?;
    let counted = number.parse() == Ok(seq) || (planted(Fault::SkipSeq) && number.parse::<u64>().is_ok());
    let chained = prev == head || (planted(Fault::SkipChain) && is_sha256_hex(prev));
    if line.at != raw.len()
        || !is_timestamp(at)
        || !is_sha256_hex(stored)
        || !counted
        || !chained
        || (kind == "open") != (seq == 0)
    {
        return None;
    }
    // The hash is over the line without the member `hash`; both hashes begin with the same bytes.
    let common = Sha256::new_with_prefix(&raw[..front]);
    let bare = common.clone().chain_update(&raw[after..]).finalize();
    if hex(&bare) != stored && !planted(Fault::SkipEventHash) {
        return None;
    }
    let event = Event {
        line: seq + 1,
        at: at.to_owned(),
        kind: kind.to_owned(),
        body: Body::Text { text: body.into(), data, plain_numbers: line.plain_numbers },
    };
    Some(Proven { event, head: hex(&common.chain_update(&raw[front..]).finalize()) })
}
