//! `Input Dims` as a trace writes them: one list of sizes an argument, one list of such lists for a list of tensors.
//!
//! Outside text: every length and depth is bounded, and a text that is cut off or holds anything else is refused whole.

/// Longest text that is read, bytes.
const TEXT: usize = 64 << 10;
/// Most arguments of an operator, and tensors of a list.
const MOST: usize = 1024;
/// Most dimensions of a tensor.
const RANK: usize = 16;
/// Largest size of a dimension.
const SIZE: u64 = 1 << 48;

/// The sizes of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dims {
    /// A tensor; empty for a scalar, and for an argument that is no tensor.
    Tensor(Vec<u64>),
    /// A list of tensors.
    List(Vec<Vec<u64>>),
}

impl Dims {
    /// The sizes, where it is a tensor with some.
    #[must_use]
    pub fn tensor(&self) -> Option<&[u64]> {
        match self {
            Dims::Tensor(sizes) if !sizes.is_empty() => Some(sizes),
            _ => None,
        }
    }
}

/// Reads the text; `None` when it is not a list of sizes.
#[must_use]
pub fn parse(text: &[u8]) -> Option<Vec<Dims>> {
    if text.len() > TEXT {
        return None;
    }
    let mut reader = Reader { text, at: 0 };
    let out = reader.list(MOST, Reader::argument)?;
    reader.space();
    (reader.at == text.len()).then_some(out)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space, not yet taken.
    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        if !self.take(b'[') {
            return None;
        }
        let mut out = Vec::new();
        if self.take(b']') {
            return Some(out);
        }
        loop {
            if out.len() == most {
                return None;
            }
            out.push(one(self)?);
            if self.take(b']') {
                return Some(out);
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn argument(&mut self) -> Option<Dims> {
        let start = self.at;
        if !self.take(b'[') {
            return None;
        }
        let nested = self.peek() == Some(b'[');
        self.at = start;
        if nested {
            return self.list(MOST, Reader::sizes).map(Dims::List);
        }
        self.sizes().map(Dims::Tensor)
    }

    fn sizes(&mut self) -> Option<Vec<u64>> {
        self.list(RANK, Reader::size)
    }

    fn size(&mut self) -> Option<u64> {
        self.space();
        let start = self.at;
        let mut value = 0u64;
        while let Some(digit) = self.text.get(self.at).filter(|b| b.is_ascii_digit()) {
            value = value * 10 + u64::from(digit - b'0');
            if value > SIZE {
                return None;
            }
            self.at += 1;
        }
        (self.at > start).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tensors(list: &[&[u64]]) -> Option<Vec<Dims>> {
        Some(list.iter().map(|sizes| Dims::Tensor(sizes.to_vec())).collect())
    }

    #[test]
    fn what_traces_write() {
        assert_eq!(parse(b"[[15360, 4096], [4096, 6144]]"), tensors(&[&[15360, 4096], &[4096, 6144]]));
        assert_eq!(
            parse(b"[\n [\n 1024\n ],\n [],\n [8944,1024]]\n"),
            tensors(&[&[1024], &[], &[8944, 1024]])
        );
        assert_eq!(parse(b"[]"), tensors(&[]));
        let list = parse(b"[[[32], [32, 2]], [[]], []]").unwrap();
        assert_eq!(list[0], Dims::List(vec![vec![32], vec![32, 2]]));
        assert_eq!((list[1].tensor(), list[2].tensor()), (None, None));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "[",
            "[[",
            "[[1",
            "[[1]",
            "[[1,]]",
            "[[1 2]]",
            "[[-1]]",
            "[[1.5]]",
            "[[1e3]]",
            "{}",
            "[1]",
            "[[1]] x",
            "[[[[1]]]]",
            "[[99999999999999999999999]]",
            "[[\"a\"]]",
            "[null]",
            "[[0x10]]",
            "]",
            "[,]",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse("[".repeat(60_000).as_bytes()), None);
        assert_eq!(parse(format!("[[{}1]]", "1,".repeat(100)).as_bytes()), None);
        assert_eq!(parse(format!("[{}[]]", "[],".repeat(5000)).as_bytes()), None);
    }

    fn shapes() -> impl Strategy<Value = Vec<Vec<u64>>> {
        prop::collection::vec(prop::collection::vec(0..=SIZE, 0..=RANK), 0..20)
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&text);
        }

        #[test]
        fn total_on_near_misses(text in r"[\[\], 0-9\-.e]{0,300}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn reads_back_what_was_written_and_no_part_of_it(list in shapes()) {
            let text = serde_json::to_string(&list).unwrap();
            let want: Vec<Dims> = list.into_iter().map(Dims::Tensor).collect();
            prop_assert_eq!(parse(text.as_bytes()), Some(want));
            for end in 0..text.len() {
                prop_assert_eq!(parse(&text.as_bytes()[..end]), None);
            }
        }
    }
}
