//! Bracket-aware cutting of demangled C++ names.
//!
//! Everything here is one forward scan with a bracket stack of fixed size, so cost is linear in
//! the text and unbalanced (truncated) names are answered with what was readable.

/// Deepest bracket nesting that is tracked exactly; deeper brackets are only counted.
const MAX_DEPTH: usize = 96;
const ANON: &str = "(anonymous namespace)";

/// Bracket state of a scan over a C++ name.
struct Brackets {
    stack: [u8; MAX_DEPTH],
    len: usize,
    over: usize,
}

impl Brackets {
    fn new() -> Self {
        Self { stack: [0; MAX_DEPTH], len: 0, over: 0 }
    }

    fn at_top(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, open: u8) {
        match self.stack.get_mut(self.len) {
            Some(slot) => {
                *slot = open;
                self.len += 1;
            }
            None => self.over += 1,
        }
    }

    fn pop_to(&mut self, open: u8) {
        if self.over > 0 {
            self.over -= 1;
        } else if let Some(at) = self.stack[..self.len].iter().rposition(|&b| b == open) {
            self.len = at;
        }
    }

    /// Feeds byte `i`. A `<` counts as a bracket only after a name, since enable_if prints comparisons
    /// such as `((8)>(0))`; a `>` only when the innermost open bracket is a `<`.
    fn feed(&mut self, text: &[u8], i: usize) {
        match text[i] {
            b @ (b'(' | b'[' | b'{') => self.push(b),
            b')' => self.pop_to(b'('),
            b']' => self.pop_to(b'['),
            b'}' => self.pop_to(b'{'),
            b'<' if opens_template(&text[..i]) => self.push(b'<'),
            b'>' if closes_template(&text[..i]) => {
                if self.over > 0 {
                    self.over -= 1;
                } else if self.len > 0 && self.stack[self.len - 1] == b'<' {
                    self.len -= 1;
                }
            }
            _ => {}
        }
    }
}

fn opens_template(before: &[u8]) -> bool {
    if before.ends_with(b"operator") || before.ends_with(b"operator<") {
        return false;
    }
    match before.last() {
        Some(b')') => before.ends_with(b"operator()"),
        Some(b) => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'}' | b']' | b':' | b'>'),
        None => false,
    }
}

fn closes_template(before: &[u8]) -> bool {
    !(before.ends_with(b"-") || before.ends_with(b"operator") || before.ends_with(b"operator>"))
}

/// The qualified function of a whole C++ signature, without return type and parameter list:
/// `void ns::f<int>(float*)` gives `ns::f<int>`. Local entities keep their outer parameter list.
pub(super) fn function_word(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut brackets = Brackets::new();
    let mut start = 0;
    let mut i = 0;
    while i < bytes.len() {
        let b = bytes[i];
        if brackets.at_top() {
            let rest = &bytes[i..];
            if b == b' ' {
                let word = &bytes[start..i];
                if rest.starts_with(b" [clone") || rest.starts_with(b" (.kd)") {
                    return &text[start..i];
                }
                if !(word.ends_with(b"operator") || rest.starts_with(b" const::")) {
                    start = i + 1;
                }
            } else if rest.starts_with(ANON.as_bytes()) {
                i += ANON.len();
                continue;
            } else if b == b'(' && bytes[..i].ends_with(b"operator") {
                i += 2;
                continue;
            } else if b == b'(' && i > start && !bytes[start..i].ends_with(b"decltype") {
                let close = close_of(bytes, i);
                let after = bytes.get(close..).unwrap_or_default();
                if !(after.starts_with(b"::") || after.starts_with(b" const::")) {
                    return &text[start..i];
                }
                i = close;
                continue;
            }
        }
        brackets.feed(bytes, i);
        i += 1;
    }
    text.get(start..).unwrap_or_default()
}

/// Index just behind the bracket that closes the `(` at `open`, or the end of the text.
fn close_of(bytes: &[u8], open: usize) -> usize {
    let mut brackets = Brackets::new();
    for i in open..bytes.len() {
        brackets.feed(bytes, i);
        if brackets.at_top() {
            return i + 1;
        }
    }
    bytes.len()
}

/// A qualified name cut into its plain path and its last template argument list.
pub(super) struct Head<'a> {
    /// Path segments without template arguments and without anonymous namespaces.
    pub(super) path: Vec<&'a str>,
    /// Text between `<` and `>` of the last template list on the path (to the end when truncated).
    pub(super) args: &'a str,
}

/// Longest path that is kept; longer ones keep their last segments' meaning by dropping the first.
const MAX_SEGMENTS: usize = 32;

/// Cuts `word` (one qualified name, as [`function_word`] returns it).
pub(super) fn head(word: &str) -> Head<'_> {
    let bytes = word.as_bytes();
    let mut brackets = Brackets::new();
    let mut path: Vec<&str> = Vec::new();
    let mut args = "";
    let mut seg = 0;
    let mut seg_end = None;
    let mut open = None;
    let mut i = 0;
    let mut push = |from: usize, to: usize| {
        let segment = word.get(from..to).unwrap_or_default().trim_matches([' ', '&', '*']);
        if !segment.is_empty() && segment != "operator()" {
            if path.len() == MAX_SEGMENTS {
                path.remove(1);
            }
            path.push(segment);
        }
    };
    while i < bytes.len() {
        let rest = &bytes[i..];
        if brackets.at_top() {
            if rest.starts_with(ANON.as_bytes()) {
                i += ANON.len();
                seg_end = Some(i);
                seg = i;
                continue;
            }
            if rest.starts_with(b"::") {
                push(seg, seg_end.unwrap_or(i));
                i += 2;
                seg = i;
                seg_end = None;
                continue;
            }
            if rest.starts_with(b"operator()") {
                i += 10;
                continue;
            }
            if matches!(rest[0], b'(' | b'{' | b' ' | b'\'') {
                break;
            }
        }
        let was_top = brackets.at_top();
        brackets.feed(bytes, i);
        if was_top && !brackets.at_top() {
            seg_end.get_or_insert(i);
            open = Some(i + 1);
        } else if !was_top
            && brackets.at_top()
            && let Some(from) = open.take()
            && bytes[i] == b'>'
        {
            args = &word[from..i];
        }
        i += 1;
    }
    push(seg, seg_end.unwrap_or(i).min(bytes.len()));
    if let Some(from) = open {
        args = word.get(from..).unwrap_or_default();
    }
    Head { path, args }
}

/// Top-level, comma-separated arguments of a template list, at most `limit` of them.
pub(super) fn split_args(args: &str, limit: usize) -> Vec<&str> {
    let bytes = args.as_bytes();
    let mut brackets = Brackets::new();
    let mut out = Vec::new();
    let mut start = 0;
    for i in 0..bytes.len() {
        if bytes[i] == b',' && brackets.at_top() {
            if out.len() == limit {
                return out;
            }
            out.push(args[start..i].trim());
            start = i + 1;
        }
        brackets.feed(bytes, i);
    }
    let last = args.get(start..).unwrap_or_default().trim();
    if !last.is_empty() && out.len() < limit {
        out.push(last);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(word: &str) -> String {
        head(word).path.join("::")
    }

    #[test]
    fn return_types_and_parameters_are_cut() {
        assert_eq!(function_word("void f<int>(float*)"), "f<int>");
        assert_eq!(function_word("(anonymous namespace)::g(int)"), "(anonymous namespace)::g");
        assert_eq!(
            function_word(
                "std::enable_if<(((8)>(0)))&&vllm::X<c10::BFloat16>::exists, void>::type vllm::k<int, 8>(int)"
            ),
            "vllm::k<int, 8>"
        );
        assert_eq!(
            function_word("void a::b(int)::{lambda(int)#1}::operator()(int) const"),
            "a::b(int)::{lambda(int)#1}::operator()"
        );
        assert_eq!(function_word("void f<(a::B)2>(int) [clone .kd]"), "f<(a::B)2>");
        assert_eq!(function_word("kernel.kd [clone .x]"), "kernel.kd");
    }

    #[test]
    fn heads_drop_templates_and_lambdas() {
        assert_eq!(path("a::(anonymous namespace)::b<c<d>, e>::f<g>(x)::{lambda()#1}"), "a::b::f");
        assert_eq!(path("sum<float>::operator()(at::T&)::{lambda(float)#1}"), "sum");
        assert_eq!(path("at::copy(at::T&)::{lambda()#3}::operator()() const::{lambda()#7}"), "at::copy");
        assert_eq!(head("k<1>::apply<at::F<x>, 2>").args, "at::F<x>, 2");
        assert_eq!(head("trunc<a, b<c").args, "a, b<c");
    }

    #[test]
    fn arguments_split_at_the_top_level_only() {
        assert_eq!(
            split_args("a<b, c>, (d)0, {lambda(e, f)#1}, g", 9),
            ["a<b, c>", "(d)0", "{lambda(e, f)#1}", "g"]
        );
        assert_eq!(split_args("a, b, c", 2), ["a", "b"]);
        assert_eq!(split_args("A<(1)>(0)>, z", 9), ["A<(1)>(0)>", "z"]);
    }
}
