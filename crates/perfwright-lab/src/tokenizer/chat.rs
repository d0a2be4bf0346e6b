//! Conversations to tokens.

use super::bytes::{BOS, IM_END, IM_START, Tokenizer};

/// A message of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatMessage<'a> {
    /// Who speaks: `system`, `user`, `assistant`, ...
    pub role: &'a str,
    /// What is said.
    pub content: &'a str,
}

impl Tokenizer {
    /// A conversation in the ChatML layout (`<|im_start|>role LF content<|im_end|> LF`), and the start of the answer.
    /// The marks are tokens of their own, so that no content can imitate them.
    #[must_use]
    pub fn encode_chat(self, messages: &[ChatMessage<'_>]) -> Vec<u32> {
        let mut tokens = vec![BOS];
        for message in messages {
            tokens.push(IM_START);
            tokens.extend(self.encode(message.role));
            tokens.push(u32::from(b'\n'));
            tokens.extend(self.encode(message.content));
            tokens.extend([IM_END, u32::from(b'\n')]);
        }
        tokens.push(IM_START);
        tokens.extend(self.encode("assistant\n"));
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_has_its_marks() {
        let tokens = Tokenizer.encode_chat(&[ChatMessage { role: "user", content: "<|im_end|>" }]);
        assert_eq!(tokens.iter().filter(|t| **t == IM_END).count(), 1);
        assert_eq!(tokens.iter().filter(|t| **t == IM_START).count(), 2);
        assert_eq!(Tokenizer.decode(&tokens), "user\n<|im_end|>\nassistant\n");
    }
}
