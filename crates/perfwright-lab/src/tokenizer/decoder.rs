//! Tokens to text, one at a time.

/// Turns tokens into text as they come. Bytes of a character that is not complete are held back, so that a stream
/// never shows half a character; what can no longer become UTF-8 is shown as U+FFFD, as [`String::from_utf8_lossy`]
/// would. The pieces put together are the lossy text of all tokens.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    held: Vec<u8>,
}

impl Decoder {
    /// A decoder that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a token; the text that is certain now, or `None`.
    pub fn push(&mut self, token: u32) -> Option<String> {
        self.held.push(u8::try_from(token).ok()?);
        let mut text = String::new();
        let mut taken = 0;
        for chunk in self.held.utf8_chunks() {
            text.push_str(chunk.valid());
            taken += chunk.valid().len();
            let invalid = chunk.invalid();
            let last = taken + invalid.len() == self.held.len();
            if last && may_continue(invalid) {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                taken += invalid.len();
            }
        }
        self.held.drain(..taken);
        (!text.is_empty()).then_some(text)
    }

    /// What is held back at the end of the output, as U+FFFD, or `None`.
    pub fn finish(&mut self) -> Option<String> {
        let rest = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        (!rest.is_empty()).then_some(rest)
    }
}

/// Whether more bytes can make a character of these, which are not one.
fn may_continue(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && std::str::from_utf8(bytes).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
}
