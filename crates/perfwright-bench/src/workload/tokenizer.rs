//! Prompts of exactly as many tokens as asked for, by a Hugging Face `tokenizer.json`.
//!
//! A prompt counts with the special tokens that the tokenizer puts around a text (a beginning-of-sequence token, say),
//! because that is what a server's usage counts. Encoding a prompt again gives its length; nothing else is promised of a
//! tokenizer, so every prompt is encoded before it is used.

use rand_chacha::rand_core::RngCore;
use tokenizers::Tokenizer;

use super::error::WorkloadError;
use super::files::InputFile;
use super::words::{VOCABULARY, text};

/// Longest tokenizer file.
const MAX_BYTES: usize = 64 << 20;
/// Encodings that one prompt may take.
const MAX_TRIES: u32 = 400;
/// Tokens that may be missing before single pieces are tried.
const CLOSE: u32 = 8;
/// What may complete a prompt beside words.
const PIECES: [&str; 12] = [" a", "a", "b", "e", " ", ".", ",", " .", "1", " 1", "-", "\n"];

/// A tokenizer that counts.
pub(super) struct Counter {
    tokenizer: Tokenizer,
    /// Mean tokens of a word of the vocabulary.
    per_word: f64,
    place: InputFile,
}

impl Counter {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read or is no tokenizer.
    pub(super) fn open(file: &InputFile) -> Result<Self, WorkloadError> {
        let bytes = file.read()?;
        let fault = |cause: String| WorkloadError::Entry {
            path: file.path.clone(),
            place: "tokenizer".to_owned(),
            cause,
        };
        if bytes.len() > MAX_BYTES {
            return Err(WorkloadError::TooLarge { path: file.path.clone(), limit: MAX_BYTES as u64 });
        }
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|e| fault(e.to_string()))?;
        // A file may ask for cutting and filling up, which no server does to a prompt.
        tokenizer.with_truncation(None).map_err(|e| fault(e.to_string()))?;
        tokenizer.with_padding(None);
        let mut counter = Self { tokenizer, per_word: 1.0, place: file.clone() };
        let all = counter.count(&VOCABULARY.join(" "))?.saturating_sub(counter.count("")?);
        if all == 0 {
            return Err(fault("it finds no token in English words".to_owned()));
        }
        counter.per_word = f64::from(all) / VOCABULARY.len() as f64;
        Ok(counter)
    }

    /// Tokens of a text, special ones included.
    ///
    /// # Errors
    /// The tokenizer cannot encode it.
    pub(super) fn count(&self, text: &str) -> Result<u32, WorkloadError> {
        let encoded = self.tokenizer.encode_fast(text, true).map_err(|e| self.fault(e.to_string()))?;
        Ok(u32::try_from(encoded.len()).unwrap_or(u32::MAX))
    }

    /// Random words of exactly `n` tokens.
    ///
    /// # Errors
    /// No such text was found: fewer tokens are asked for than the tokenizer adds by itself, or it has no pieces that
    /// are small enough.
    pub(super) fn text(&self, rng: &mut impl RngCore, n: u32) -> Result<String, WorkloadError> {
        let words = |tokens: u32| (f64::from(tokens) / self.per_word).floor().max(1.0) as u32;
        let around = self.count("")?;
        let mut out = text(rng, words(n.saturating_sub(around).max(1)));
        let mut tries = 0;
        while tries < MAX_TRIES {
            let count = self.count(&out)?;
            tries += 1;
            if count == n {
                return Ok(out);
            }
            if count > n {
                // Whole words while there are some, then letters.
                let cut = out.rfind(' ').unwrap_or_else(|| out.len().saturating_sub(1));
                let surplus = words(count - n).saturating_sub(1);
                out.truncate(cut);
                for _ in 0..surplus {
                    let Some(at) = out.rfind(' ') else { break };
                    out.truncate(at);
                }
                if out.is_empty() && self.count("")? >= n {
                    break;
                }
                continue;
            }
            let missing = n - count;
            if missing > CLOSE {
                out.push(' ');
                out.push_str(&text(rng, words(missing)));
                continue;
            }
            tries += self.complete(rng, &mut out, n)?;
        }
        Err(self.fault(format!("no text of exactly {n} tokens was found")))
    }

    /// Appends what brings the text to `n` tokens, or nearer to it without passing it; the encodings that it took.
    fn complete(&self, rng: &mut impl RngCore, out: &mut String, n: u32) -> Result<u32, WorkloadError> {
        let before = out.len();
        let (mut best, mut tries) = ((0, String::new()), 0);
        let word = |rng: &mut dyn RngCore| {
            let at = (u64::from(rng.next_u32()) * VOCABULARY.len() as u64) >> 32;
            format!(" {}", VOCABULARY[at as usize])
        };
        let random: Vec<String> = (0..CLOSE).map(|_| word(rng)).collect();
        let start = self.count(out)?;
        for piece in random.iter().map(String::as_str).chain(PIECES) {
            out.push_str(piece);
            let count = self.count(out)?;
            tries += 1;
            out.truncate(before);
            if count <= n && count > start.max(best.0) {
                best = (count, piece.to_owned());
            }
            if count == n {
                break;
            }
        }
        if best.1.is_empty() {
            // Nothing fits behind this end: another one.
            let cut = out.trim_end().rfind(' ').unwrap_or(0);
            out.truncate(cut);
        }
        out.push_str(&best.1);
        Ok(tries + 1)
    }

    fn fault(&self, cause: String) -> WorkloadError {
        WorkloadError::Entry { path: self.place.path.clone(), place: "tokenizer".to_owned(), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::generator;
    use serde_json::{Value, json};

    fn counter(tokenizer: &Value) -> Result<Counter, WorkloadError> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.to_string()).expect("written");
        Counter::open(&InputFile::open(&path)?)
    }

    /// A byte-level BPE vocabulary of bytes and a few merges, with a token in front of every text, as Llama's.
    fn byte_level() -> Value {
        // Bytes stand as characters: visible ones as themselves, the others from U+0100 on (GPT-2's `bytes_to_unicode`).
        let visible =
            |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
        let (mut next, mut vocab, mut id) = (256, serde_json::Map::new(), 0);
        for b in 0..256_u32 {
            let code = if visible(b) { b } else { next };
            next += u32::from(!visible(b));
            vocab.insert(char::from_u32(code).expect("a character").to_string(), json!(id));
            id += 1;
        }
        let merges = ["\u{120} t", "h e", "\u{120}t he", "i n", "e r", "\u{120} a", "o u"];
        for merge in merges {
            vocab.insert(merge.replace(' ', ""), json!(id));
            id += 1;
        }
        json!({
            "version": "1.0", "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
            "padding": null, "normalizer": null,
            "added_tokens": [{"id": id, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true}],
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [id], "tokens": ["<s>"]}}},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges}
        })
    }

    #[test]
    fn every_length_is_met_exactly() {
        let counter = counter(&byte_level()).expect("a tokenizer");
        assert_eq!(counter.count("the").expect("encoded"), 1 + 2, "<s>, t, he");
        for n in (2..40).chain([100, 777, 3000]) {
            let text = counter.text(&mut generator(7, "words", u64::from(n)), n).expect("a text");
            assert_eq!(counter.count(&text).expect("encoded"), n, "{text:?}");
        }
        let other = |seed| counter.text(&mut generator(seed, "words", 0), 50).expect("a text");
        assert!(other(1) == other(1) && other(1) != other(2));
        // <s> alone is one token, and no prompt is empty.
        assert!(counter.text(&mut generator(1, "words", 0), 0).is_err());
    }

    #[test]
    fn words_as_tokens_are_met_too() {
        let vocab: serde_json::Map<String, Value> = VOCABULARY
            .iter()
            .map(|w| (*w).to_owned())
            .chain(["<unk>".to_owned()])
            .enumerate()
            .map(|(i, w)| (w, json!(i)))
            .collect();
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}
        });
        let counter = counter(&file).expect("a tokenizer");
        for n in [1, 2, 3, 50, 1000] {
            let text = counter.text(&mut generator(3, "words", 0), n).expect("a text");
            assert_eq!(counter.count(&text).expect("encoded"), n);
        }
    }

    #[test]
    fn what_is_no_tokenizer_is_said() {
        for bad in [json!({}), json!([1]), json!({"model": {"type": "BPE", "vocab": 3}})] {
            let fault = counter(&bad).err().expect("refused").to_string();
            assert!(fault.contains("tokenizer.json"), "{fault}");
        }
    }
}
