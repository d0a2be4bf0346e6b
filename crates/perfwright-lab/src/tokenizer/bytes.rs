//! Text to tokens.

/// Begin of a sequence.
pub const BOS: u32 = 256;
/// End of a sequence.
pub const EOS: u32 = 257;
/// Begin of a chat message.
pub(super) const IM_START: u32 = 258;
/// End of a chat message.
pub(super) const IM_END: u32 = 259;
/// Tokens of the tokenizer: 256 bytes and four that stand for no text.
pub const BYTE_VOCAB: usize = 260;

/// Whether a token is printable ASCII or a line feed.
pub(crate) fn is_readable(token: u32) -> bool {
    (0x20..0x7f).contains(&token) || token == u32::from(b'\n')
}

/// Tokens are bytes, so every text round-trips. Text never becomes a special token: a user cannot write one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokenizer;

impl Tokenizer {
    /// The tokens of a text, without a begin of sequence.
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    /// The tokens of a text after a begin of sequence: what a completion endpoint makes of a prompt.
    #[must_use]
    pub fn encode_prompt(self, text: &str) -> Vec<u32> {
        std::iter::once(BOS).chain(text.bytes().map(u32::from)).collect()
    }

    /// The bytes of tokens; those that stand for no text have none.
    #[must_use]
    pub fn decode_bytes(self, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().filter_map(|t| u8::try_from(*t).ok()).collect()
    }

    /// The text of tokens; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(self, tokens: &[u32]) -> String {
        String::from_utf8_lossy(&self.decode_bytes(tokens)).into_owned()
    }

    /// The text of one token for a list of log-probabilities: specials by name, a byte that is no text by its value.
    #[must_use]
    pub fn token_text(self, token: u32) -> String {
        match token {
            BOS => "<|begin_of_text|>".into(),
            EOS => "<|end_of_text|>".into(),
            IM_START => "<|im_start|>".into(),
            IM_END => "<|im_end|>".into(),
            t => match u8::try_from(t) {
                Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
                Ok(byte) => format!("bytes:\\x{byte:02x}"),
                Err(_) => format!("<|{t}|>"),
            },
        }
    }

    /// Whether a token ends the output unless the request says otherwise.
    #[must_use]
    pub fn is_end(self, token: u32) -> bool {
        token == EOS || token == IM_END
    }

    /// Number of tokens that it knows.
    #[must_use]
    pub fn vocab_size(self) -> usize {
        BYTE_VOCAB
    }
}
