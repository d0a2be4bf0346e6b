//! The byte-level tokenizer: a token for each byte, and a few that stand for no text.

mod bytes;
mod chat;
mod decoder;

pub(crate) use bytes::is_readable;
pub use bytes::{BOS, BYTE_VOCAB, EOS, Tokenizer};
pub use chat::ChatMessage;
pub use decoder::Decoder;
