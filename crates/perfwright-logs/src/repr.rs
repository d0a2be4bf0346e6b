//! Arguments that engines print as Python writes them: `ServerArgs(a='b', c=None)`, `model='x', dtype=torch.bfloat16`,
//! `{'model': 'x', 'tensor_parallel_size': 2}`.

/// One argument of the outermost level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// Its value without quotes; `None`, `True` and `False` as they are.
    pub value: String,
}

const MAX_ARGS: usize = 4096;
const MAX_VALUE: usize = 16 * 1024;

/// The arguments in `text` from the first `name=` or `'name':` on. Nested values are kept as text.
#[must_use]
pub fn args(text: &str) -> Vec<Arg> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && found.len() < MAX_ARGS {
        let Some((name, value_at)) = name(text, at) else {
            at += 1;
            while at < bytes.len() && !text.is_char_boundary(at) {
                at += 1;
            }
            continue;
        };
        let end = value_end(bytes, value_at);
        let value = text.get(value_at..end).unwrap_or_default().trim();
        let value = unquoted(value);
        found.push(Arg {
            name: name.to_owned(),
            value: value[..value.floor_char_boundary(MAX_VALUE)].to_owned(),
        });
        at = end + 1;
    }
    found
}

/// A name that starts here, and where its value starts.
fn name(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let word = |from: usize| {
        let end = from
            + bytes[from..].iter().take(96).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        (end > from && !bytes[from].is_ascii_digit()).then_some(end)
    };
    let quote = bytes[at];
    if quote == b'\'' || quote == b'"' {
        let end = word(at + 1)?;
        return (bytes.get(end) == Some(&quote) && bytes.get(end + 1) == Some(&b':'))
            .then(|| (&text[at + 1..end], end + 2));
    }
    if at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'_' | b'-' | b'.')) {
        return None;
    }
    let end = word(at)?;
    (bytes.get(end) == Some(&b'=') && bytes.get(end + 1) != Some(&b'=')).then(|| (&text[at..end], end + 1))
}

/// Where the value that starts at `at` ends: a comma or a closing bracket outside of quotes and brackets.
fn value_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0u32;
    let mut quote = None;
    let mut i = at;
    while let Some(&b) = bytes.get(i) {
        match (quote, b) {
            (Some(_), b'\\') => i += 1,
            (Some(q), _) if q == b => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(b),
            (None, b'(' | b'[' | b'{' | b'<') => depth += 1,
            (None, b')' | b']' | b'}' | b'>') => {
                if depth == 0 {
                    return i;
                }
                depth -= 1;
            }
            (None, b',') if depth == 0 => return i,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

fn unquoted(value: &str) -> &str {
    let inner = |q: char| value.strip_prefix(q).and_then(|v| v.strip_suffix(q));
    inner('\'').or_else(|| inner('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(text: &str) -> Vec<String> {
        args(text).into_iter().map(|a| format!("{}={}", a.name, a.value)).collect()
    }

    #[test]
    fn python_representations() {
        assert_eq!(
            show(
                "server_args=ServerArgs(model_path='a,b', tp_size=2, cfg=C(x=1, y=[1, 2]), quantization=None)"
            ),
            ["server_args=ServerArgs(model_path='a,b', tp_size=2, cfg=C(x=1, y=[1, 2]), quantization=None)"]
        );
        assert_eq!(
            show("ServerArgs(model_path='a,b', tp_size=2, cfg=C(x=1, y=[1, 2]), quantization=None)"),
            ["model_path=a,b", "tp_size=2", "cfg=C(x=1, y=[1, 2])", "quantization=None"]
        );
        assert_eq!(
            show("with config: model='m', dtype=torch.bfloat16, mode: <M.FULL: (2, 0)>, enforce_eager=False"),
            ["model=m", "dtype=torch.bfloat16", "enforce_eager=False"]
        );
        assert_eq!(show("{'model': 'm', 'tensor_parallel_size': 2}"), ["model=m", "tensor_parallel_size=2"]);
        assert_eq!(show("a == b, x=(1"), ["x=(1"]);
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC{0,60}[a-z]{1,3}[=:'\"({\\[\\\\,<>]{0,9}\\PC{0,60}") {
            let _ = args(&text);
        }
    }
}
