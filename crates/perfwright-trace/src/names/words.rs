//! A name as words, independent of spelling: `all_reduce`, `AllReduce` and `allreduce` are one word.

/// Longest part of a name that is cut into words (bytes): what lies behind are tuning knobs.
const MAX: usize = 224;

/// Lower-case letters and digits of a name, with the positions where a word may begin or end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    text: String,
    /// `bounds[i]`: a word may begin or end before byte `i` of `text`. Always one longer than `text`.
    bounds: Vec<bool>,
    /// Positions where a word begins.
    starts: Vec<u8>,
}

impl Words {
    /// Cuts `name` at separators, at camel-case humps and between letters and digits.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let bytes = &name.as_bytes()[..name.len().min(MAX)];
        let mut words = Self::default();
        let mut edge = true;
        for (i, &b) in bytes.iter().enumerate() {
            if !b.is_ascii_alphanumeric() {
                edge = true;
                continue;
            }
            let prev = if i == 0 { b'_' } else { bytes[i - 1] };
            let next = bytes.get(i + 1).copied().unwrap_or(b'_');
            let hump = b.is_ascii_uppercase()
                && (prev.is_ascii_lowercase() || (prev.is_ascii_uppercase() && next.is_ascii_lowercase()));
            let digit = b.is_ascii_digit() != prev.is_ascii_digit();
            if edge || hump || digit {
                // MAX is below 256.
                words.starts.push(u8::try_from(words.text.len()).unwrap_or(u8::MAX));
            }
            words.bounds.push(edge || hump || digit);
            words.text.push(char::from(b.to_ascii_lowercase()));
            edge = false;
        }
        words.bounds.push(true);
        words
    }

    /// Whether `phrase` (lower case, no separators) occurs between two word boundaries.
    #[must_use]
    pub fn has(&self, phrase: &str) -> bool {
        !phrase.is_empty()
            && self
                .text
                .match_indices(phrase)
                .any(|(at, _)| self.bounds[at] && self.bounds[at + phrase.len()])
    }

    /// Calls `visit` with every run of up to `most` words that is at most `longest` bytes.
    pub(super) fn runs(&self, most: usize, longest: usize, mut visit: impl FnMut(&str)) {
        for &from in &self.starts {
            let from = usize::from(from);
            let mut words = 0;
            for to in from + 1..self.bounds.len().min(from + longest + 1) {
                if self.bounds[to] {
                    visit(&self.text[from..to]);
                    words += 1;
                    if words == most {
                        break;
                    }
                }
            }
        }
    }

    /// The single words, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut from = 0;
        (1..self.bounds.len()).filter_map(move |to| {
            if !self.bounds[to] {
                return None;
            }
            let word = &self.text[from..to];
            from = to;
            Some(word)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter_but_word_edges_do() {
        for name in ["cross_device_all_reduce", "CrossDeviceAllReduce", "cross_device_allreduce"] {
            assert!(Words::new(name).has("allreduce"), "{name}");
        }
        let norm = Words::new("GemmaFusedAddRMSNormKernel");
        assert!(norm.has("rmsnorm") && norm.has("gemma") && !norm.has("gemm"));
        assert!(!Words::new("_matmul_ogs_NNT_bf16xbf16xmxfp4").has("fp4"));
        assert!(!Words::new("BatchPrefillWithPagedKVCacheKernel").has("fill"));
        assert!(Words::new("Rmsnorm2dFwd").has("rmsnorm"));
        assert_eq!(
            Words::new("FlashAttnFwdSm90").iter().collect::<Vec<_>>(),
            ["flash", "attn", "fwd", "sm", "90"]
        );
    }
}
