//! Itanium mangling, bounded.

use std::borrow::Cow;
use std::fmt;

use cpp_demangle::{BorrowedSymbol, DemangleOptions, ParseOptions};

/// Longest mangled name handed to the full demangler; longer ones take the plain reader below.
const MAX_MANGLED: usize = 8 * 1024;
/// Longest text a demangled name may expand to: substitutions can grow exponentially.
const MAX_TEXT: usize = 32 * 1024;
const RECURSION: u32 = 160;

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.0.len() + s.len() > MAX_TEXT {
            return Err(fmt::Error);
        }
        self.0.push_str(s);
        Ok(())
    }
}

/// Readable form of `name`; a name that is not mangled comes back as it is.
pub(super) fn demangle(name: &str) -> Cow<'_, str> {
    let Some(body) = name.strip_prefix("_Z") else { return Cow::Borrowed(name) };
    if name.len() <= MAX_MANGLED
        && let Some(text) = full(name)
    {
        return Cow::Owned(text);
    }
    match plain(body) {
        Some(text) => Cow::Owned(text),
        None => Cow::Borrowed(name),
    }
}

fn full(name: &str) -> Option<String> {
    let parse = ParseOptions::default().recursion_limit(RECURSION);
    let options = DemangleOptions::new().recursion_limit(RECURSION).no_params().no_return_type();
    let (symbol, _tail) = BorrowedSymbol::with_tail_and_options(name.as_bytes(), &parse).ok()?;
    let mut out = Bounded(String::new());
    symbol.structured_demangle(&mut out, &options).ok()?;
    Some(out.0)
}

/// Reader for names the full demangler refuses (newer grammar, truncated, too long): the leading
/// qualified name and the source names among its template arguments, in order.
fn plain(body: &str) -> Option<String> {
    let mut rest = body.strip_prefix('N').unwrap_or(body);
    let nested = rest.len() != body.len();
    rest = rest.trim_start_matches(['r', 'V', 'K']);
    let mut out = String::new();
    while let Some((word, tail)) = source_name(rest) {
        if word.starts_with("_GLOBAL__N_") {
            rest = tail;
            continue;
        }
        if !out.is_empty() {
            out.push_str("::");
        }
        out.push_str(word);
        rest = tail;
        if !nested {
            break;
        }
    }
    if out.is_empty() {
        return None;
    }
    let Some(args) = rest.strip_prefix('I') else { return Some(out) };
    out.push('<');
    let mut first = true;
    let mut rest = args;
    while !rest.is_empty() && out.len() < MAX_TEXT {
        if let Some((word, tail)) = source_name(rest).or_else(|| literal(rest)) {
            if !first {
                out.push_str(", ");
            }
            first = false;
            out.push_str(word);
            rest = tail;
        } else if let Some(tail) = substitution(rest) {
            rest = tail;
        } else {
            let mut chars = rest.chars();
            chars.next();
            rest = chars.as_str();
        }
    }
    out.push('>');
    Some(out)
}

/// `<length><identifier>` at the start of `text`.
fn source_name(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > 4 {
        return None;
    }
    let len: usize = text[..digits].parse().ok()?;
    let word = text.get(digits..digits + len)?;
    let named = word.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    (named && len > 0).then(|| (word, &text[digits + len..]))
}

/// `L<builtin type><digits>E`: an integer or truth value.
fn literal(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_prefix('L')?;
    let kind = body.bytes().next().filter(u8::is_ascii_lowercase)?;
    let digits = body[1..].bytes().take_while(u8::is_ascii_digit).count();
    let value = &body[1..=digits];
    let tail = body[1 + digits..].strip_prefix('E')?;
    match (kind, value) {
        (_, "") => None,
        (b'b', "0") => Some(("false", tail)),
        (b'b', _) => Some(("true", tail)),
        (_, value) => Some((value, tail)),
    }
}

/// `S<base 36>_` or `T<base 36>_`: a back reference, whose digits must not be read as a length.
fn substitution(text: &str) -> Option<&str> {
    let body = text.strip_prefix(['S', 'T'])?;
    let digits = body.bytes().take_while(|b| b.is_ascii_digit() || b.is_ascii_uppercase()).count();
    body[digits..].strip_prefix('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_reader_keeps_path_and_argument_names() {
        assert_eq!(
            plain("N5aiter24add_rmsnorm_quant_kernelI14__hip_bfloat16TnPFT_RKS3_E3FooEE").as_deref(),
            Some("aiter::add_rmsnorm_quant_kernel<__hip_bfloat16, Foo>")
        );
        assert_eq!(plain("1kILi128ELb1ES3_E").as_deref(), Some("k<128, true>"));
        assert_eq!(plain("3fooIiE").as_deref(), Some("foo<>"));
        assert_eq!(plain("99x"), None);
    }

    #[test]
    fn growth_is_bounded() {
        // Each argument doubles the text of the one before.
        let mut name = String::from("_Z1fI1aIiES1_");
        for i in 0..40 {
            name.push_str(&format!("1bIS{i}_S{i}_E"));
        }
        name.push_str("EvT_");
        assert!(demangle(&name).len() <= MAX_TEXT);
    }
}
