//! Names of modules in quantisation blocks: plain names, globs, and the few forms of regular expressions in use.

/// Longest pattern that is tried.
const MAX_LEN: usize = 512;

/// Splits `model.layers.7.self_attn*` into layer 7 and `self_attn*`. A pattern for any layer keeps what stands behind
/// `layers.`, or all of it where it names no layer. Numbers of experts become `*`.
///
/// In ModelOpt's lists `model.layers.1*` stands beside `model.layers.1.*` and `model.layers.10.*`, so a number ends
/// where its digits end.
pub(crate) fn split_layer(pattern: &str) -> (Option<u64>, String) {
    let pattern = plain(pattern);
    let Some((_, rest)) =
        pattern.rsplit_once("layers.").filter(|(head, _)| head.is_empty() || head.ends_with(['.', '*']))
    else {
        return (None, pattern);
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, tail) = rest.split_at(digits);
    let tail = tail.trim_start_matches('.');
    let tail = without_experts(if tail.is_empty() { "*" } else { tail });
    match number.parse() {
        Ok(layer) => (Some(layer), tail),
        Err(_) => (None, without_experts(rest.trim_start_matches('*').trim_start_matches('.'))),
    }
}

/// `experts.17.down_proj` stands for every expert.
fn without_experts(name: &str) -> String {
    let Some((head, rest)) = name.split_once("experts.") else { return name.to_owned() };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if digits == 0 { name.to_owned() } else { format!("{head}experts.0{}", &rest[digits..]) }
}

/// A regular expression of the simple kind as a glob.
fn plain(pattern: &str) -> String {
    match pattern.strip_prefix("re:") {
        Some(regex) => regex
            .trim_start_matches('^')
            .trim_end_matches('$')
            .replace(".*", "*")
            .replace("\\.", ".")
            .replace("\\", ""),
        None => pattern.to_owned(),
    }
}

/// Writes out the first group of alternatives: `mlp.(gate|up)_proj` is two patterns.
pub(crate) fn alternatives(pattern: &str) -> Vec<String> {
    let parts = pattern.split_once('(').and_then(|(head, rest)| {
        let (choices, tail) = rest.split_once(')')?;
        Some((head, choices, tail))
    });
    match parts {
        Some((head, choices, tail)) => {
            choices.split('|').take(64).map(|choice| format!("{head}{choice}{tail}")).collect()
        }
        None => vec![pattern.to_owned()],
    }
}

/// Whether a pattern means a module: itself, a module above it, or one whose last part it names.
pub(crate) fn matches(pattern: &str, module: &str) -> bool {
    if pattern.len() > MAX_LEN {
        return false;
    }
    let mut above = module;
    loop {
        if glob(pattern.as_bytes(), above.as_bytes()) {
            return true;
        }
        // `gate` alone means every module of that name.
        if !pattern.contains('.') && above.rsplit('.').next() == Some(pattern) {
            return true;
        }
        match above.rsplit_once('.') {
            Some((head, _)) => above = head,
            None => return false,
        }
    }
}

/// Glob with `*` only, in time of the product of the lengths at most.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_in_names() {
        let split = |p: &str| split_layer(p);
        assert_eq!(split("model.layers.10.self_attn*"), (Some(10), "self_attn*".to_owned()));
        assert_eq!(split("model.layers.0*"), (Some(0), "*".to_owned()));
        assert_eq!(split("layers.3.ffn.experts"), (Some(3), "ffn.experts".to_owned()));
        assert_eq!(split("backbone.layers.1.mixer.experts.17.down_proj").1, "mixer.experts.0.down_proj");
        assert_eq!(split("model.layers.*.self_attn"), (None, "self_attn".to_owned()));
        assert_eq!(split("lm_head"), (None, "lm_head".to_owned()));
        assert_eq!(split("re:.*mlp\\.gate.*"), (None, "*mlp.gate*".to_owned()));
    }

    #[test]
    fn patterns_match_modules_and_what_is_below_them() {
        assert!(matches("self_attn*", "self_attn.q_proj"));
        assert!(matches("self_attn", "self_attn.q_proj"));
        assert!(matches("*shared_experts*", "mlp.shared_experts.up_proj"));
        assert!(matches("gate", "mlp.gate"));
        assert!(!matches("gate", "mlp.gate_proj"));
        assert!(!matches("mlp.experts", "mlp.shared_experts.up_proj"));
        assert_eq!(alternatives("mlp.(gate|up)_proj*"), ["mlp.gate_proj*", "mlp.up_proj*"]);
        assert!(!matches(&"*a".repeat(400), &"a".repeat(1000)));
    }
}
