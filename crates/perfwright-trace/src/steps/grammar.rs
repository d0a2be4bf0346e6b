//! The texts by which engines mark a pass in a trace.
//!
//! | form | engine |
//! |---|---|
//! | `execute_<tok>_context_<n>(sq..sk..sqsq..sqsk..)_generation_<m>(sq..)` | vLLM and SGLang profiler forks |
//! | `execute_context_<n>(<tok>_<..>)_generation_<m>(..)` | vLLM (seen on B200) |
//! | `execute_new_<n>_cached_<m>` | vLLM, older |
//! | `step[MODE bs=.. toks=..]` | SGLang |
//! | `prefill[bs=.. tok=..]`, `decode[bs=a/b ..]` | ATOM (from documentation, not seen on real data) |
//! | `capture_<bs>_<mode>` | vLLM, SGLang graph capture |
//! | `gpu_model_runner: draft` | vLLM speculative decoding |
//! | `execute_diffusion_<bs>_<WxH>` | xDiT |
//! | `[Executor] _forward_step 7: 1 ctx reqs, 9 ctx tokens, 3 gen reqs` | TensorRT-LLM (from its source, not seen) |
//! | `ProfilerStep#<n>` | torch.profiler schedule: an extent without a class |

use super::class::Class;

/// What a label says about its pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Class of the pass.
    pub class: Class,
    /// Requests in the pass.
    pub batch: Option<u64>,
    /// Query tokens in the pass.
    pub tokens: Option<u64>,
    /// Sum of the requests' context lengths (`sk`), prompt and generation together.
    pub context: Option<u64>,
    /// True for a label that marks an extent only, such as `ProfilerStep#5`.
    pub generic: bool,
}

impl Label {
    fn of(class: Class) -> Self {
        Label { class, batch: None, tokens: None, context: None, generic: false }
    }
}

/// Reads a label; `None` for annotations that mark no pass.
pub fn parse(name: &str) -> Option<Label> {
    if let Some(rest) = name.strip_prefix("execute_") {
        return execute(rest);
    }
    if let Some(rest) = name.strip_prefix("step[") {
        return sglang(rest.strip_suffix(']')?);
    }
    if let Some(rest) = name.strip_prefix("capture_") {
        let (bs, mode) = rest.split_once('_').unwrap_or((rest, ""));
        let known = mode.is_empty() || mode.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let batch = bs.parse().ok()?;
        return known.then_some(Label { batch: Some(batch), ..Label::of(Class::Capture) });
    }
    if let Some(rest) = name.strip_prefix("prefill[").or_else(|| name.strip_prefix("decode[")) {
        let class = if name.starts_with('p') { Class::Prefill } else { Class::Decode };
        let fields = fields(rest.strip_suffix(']')?);
        let number = |key: &str| fields.iter().find(|f| f.0 == key).and_then(|f| leading(f.1));
        return Some(Label { batch: number("bs"), tokens: number("tok"), ..Label::of(class) });
    }
    if name == "gpu_model_runner: draft" {
        return Some(Label::of(Class::Draft));
    }
    if let Some(rest) = name.strip_prefix("[Executor] _forward_step ") {
        return tensorrt_llm(rest);
    }
    if let Some(n) = name.strip_prefix("ProfilerStep#") {
        return n.parse::<u64>().ok().map(|_| Label { generic: true, ..Label::of(Class::Unknown) });
    }
    None
}

/// `n` requests with prompt tokens, `m` that generate with `queries` query tokens between them.
fn class_of(n: u64, m: u64, queries: Option<u64>) -> Class {
    match (n, m) {
        (0, 0) => Class::Unknown,
        (_, 0) => Class::Prefill,
        // More query tokens than requests: the pass verifies drafts.
        (0, m) if queries.is_some_and(|q| q > m) => Class::Verify,
        (0, _) => Class::Decode,
        _ => Class::Mixed,
    }
}

fn execute(rest: &str) -> Option<Label> {
    if let Some(rest) = rest.strip_prefix("diffusion_") {
        let batch = rest.split('_').next()?.parse().ok();
        return Some(Label { batch, ..Label::of(Class::Unknown) });
    }
    if let Some(rest) = rest.strip_prefix("new_") {
        let (new, cached) = rest.split_once("_cached_")?;
        let (n, m) = (new.parse().ok()?, cached.parse().ok()?);
        return Some(Label { batch: Some(n + m), ..Label::of(class_of(n, m, None)) });
    }
    let (head, tail) = match rest.strip_prefix("context_") {
        Some(tail) => ("", tail),
        None => rest.split_once("_context_")?,
    };
    let (context, generation) = tail.split_once("_generation_")?;
    let (n, context_sums) = counted(context)?;
    let (m, generation_sums) = counted(generation)?;
    let queries = sum_of(generation_sums, "sq");
    // The form without a head lists `<tokens>_<..>`, or one number, for the prompts; what its numbers for the
    // generating requests count is not documented, so only their number is used.
    let tokens = head.parse().ok().or_else(|| {
        let prompt: u64 = context_sums.split('_').next()?.parse().ok()?;
        Some(prompt.saturating_add(m))
    });
    let length = match (sum_of(context_sums, "sk"), sum_of(generation_sums, "sk")) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
    };
    let class = class_of(n, m, queries);
    Some(Label { batch: n.checked_add(m), tokens, context: length, ..Label::of(class) })
}

/// `15(sq15360sk15360..)` as 15 and the text in brackets.
fn counted(text: &str) -> Option<(u64, &str)> {
    let (count, sums) = text.split_once('(')?;
    Some((count.parse().ok()?, sums.strip_suffix(')')?))
}

/// The number after `key` in `sq32sk32785sqsq32sqsk32785`; keys are runs of letters.
fn sum_of(sums: &str, key: &str) -> Option<u64> {
    let mut rest = sums;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit())?;
        let name = &rest[..digits];
        let tail = &rest[digits..];
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        if name == key {
            return tail[..end].parse().ok();
        }
        rest = &tail[end..];
    }
    None
}

/// Sums over the requests of a pass: query tokens `q` and keys `k` of each (its context with the new tokens).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) queries: u64,
    pub(crate) keys: u64,
    /// Sum of q x q.
    pub(crate) queries_squared: u64,
    /// Sum of q x k.
    pub(crate) queries_keys: u64,
}

/// The sums of a label for its prompts and for its generating requests; `None` where it lists none.
pub(crate) fn sums(name: &str) -> Option<[Sums; 2]> {
    if let Some(inner) = name.strip_prefix("step[").and_then(|rest| rest.strip_suffix(']')) {
        let fields = fields(inner.split_once(' ')?.1);
        let number = |key: &str| fields.iter().find(|f| f.0 == key).and_then(|f| leading(f.1));
        let part = |p: &str| {
            let of = |key: &str| number(&format!("{p}_{key}"));
            let requests = of("bs")
                .or_else(|| of("n"))
                .or(number("bs").filter(|_| number("c_sq").is_none() || number("g_sq").is_none()));
            Some(Sums {
                requests: requests?,
                queries: of("sq")?,
                keys: of("sk")?,
                queries_squared: of("sqsq")?,
                queries_keys: of("sqsk")?,
            })
        };
        let (c, g) = (part("c"), part("g"));
        return (c.is_some() || g.is_some()).then(|| [c.unwrap_or_default(), g.unwrap_or_default()]);
    }
    let (_, tail) = name.strip_prefix("execute_")?.split_once("_context_")?;
    let (context, generation) = tail.split_once("_generation_")?;
    let part = |text: &str| {
        let (requests, sums) = counted(text)?;
        Some(Sums {
            requests,
            queries: sum_of(sums, "sq")?,
            keys: sum_of(sums, "sk")?,
            queries_squared: sum_of(sums, "sqsq")?,
            queries_keys: sum_of(sums, "sqsk")?,
        })
    };
    Some([part(context)?, part(generation)?])
}

/// The modes are SGLang's `ForwardMode` names.
fn sglang(inner: &str) -> Option<Label> {
    let (mode, rest) = inner.split_once(' ').unwrap_or((inner, ""));
    if mode.is_empty() || !mode.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()) {
        return None;
    }
    let fields = fields(rest);
    let number = |key: &str| fields.iter().find(|f| f.0 == key).and_then(|f| leading(f.1));
    let class = match mode {
        m if m.contains("VERIFY") => Class::Verify,
        m if m.starts_with("DRAFT") => Class::Draft,
        m if m.contains("CAPTURE") => Class::Capture,
        "MIXED" => Class::Mixed,
        "DECODE" => class_of(0, number("bs").unwrap_or(1), number("g_sq")),
        m if m.contains("EXTEND") || m.contains("PREFILL") => Class::Prefill,
        _ => Class::Unknown,
    };
    let context = match (number("c_sk"), number("g_sk")) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
    };
    Some(Label { batch: number("bs"), tokens: number("toks"), context, ..Label::of(class) })
}

fn tensorrt_llm(rest: &str) -> Option<Label> {
    let (_, counts) = rest.split_once(": ")?;
    let of = |unit: &str| -> Option<u64> {
        counts.split(", ").find_map(|part| part.strip_suffix(unit)?.trim().parse().ok())
    };
    let (n, m) = (of("ctx reqs")?, of("gen reqs")?);
    Some(Label { batch: n.checked_add(m), tokens: of("ctx tokens"), ..Label::of(class_of(n, m, None)) })
}

fn fields(text: &str) -> Vec<(&str, &str)> {
    text.split_ascii_whitespace().filter_map(|f| f.split_once('=')).collect()
}

/// `117/128` (real over padded batch) gives 117.
fn leading(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form() {
        let of = |name: &str| parse(name).map(|l| (l.class, l.batch, l.tokens));
        use Class::*;
        for (name, want) in [
            (
                "execute_15360_context_15(sq15360sk15360sqsq15728640sqsk15728640)_generation_0(sq0sk0sqsq0sqsk0)",
                (Prefill, Some(15), Some(15360)),
            ),
            (
                "execute_32_context_0(sq0sk0sqsq0sqsk0)_generation_32(sq32sk32785sqsq32sqsk32785)",
                (Decode, Some(32), Some(32)),
            ),
            (
                "execute_2085_context_9(sq2048sk2048sqsq1sqsk1)_generation_37(sq37sk9sqsq37sqsk9)",
                (Mixed, Some(46), Some(2085)),
            ),
            (
                "execute_40_context_0(sq0sk0sqsq0sqsk0)_generation_8(sq40sk9sqsq40sqsk9)",
                (Verify, Some(8), Some(40)),
            ),
            ("execute_context_1(888_788544)_generation_0(0)", (Prefill, Some(1), Some(888))),
            ("execute_context_0(0)_generation_37(37)", (Decode, Some(37), Some(37))),
            ("execute_new_3_cached_0", (Prefill, Some(3), None)),
            ("execute_new_3_cached_4", (Mixed, Some(7), None)),
            ("step[EXTEND bs=15 toks=15360]", (Prefill, Some(15), Some(15360))),
            ("step[DECODE bs=32]", (Decode, Some(32), None)),
            ("step[DECODE bs=8 toks=40 g_sq=40 g_sk=9000]", (Verify, Some(8), Some(40))),
            ("step[MIXED bs=5 toks=900 c_sq=896 g_sk=7]", (Mixed, Some(5), Some(900))),
            ("step[TARGET_VERIFY bs=4 toks=16]", (Verify, Some(4), Some(16))),
            ("step[DRAFT_EXTEND bs=4 toks=16]", (Draft, Some(4), Some(16))),
            ("step[IDLE]", (Unknown, None, None)),
            ("prefill[bs=2 tok=900 ctx=[1,2]]", (Prefill, Some(2), Some(900))),
            ("decode[bs=117/128 tok=117]", (Decode, Some(117), Some(117))),
            ("capture_32_DECODE", (Capture, Some(32), None)),
            ("capture_8_FULL", (Capture, Some(8), None)),
            ("execute_diffusion_1_256x256", (Unknown, Some(1), None)),
            ("gpu_model_runner: draft", (Draft, None, None)),
            (
                "[Executor] _forward_step 7: 1 ctx reqs, 900 ctx tokens, 3 gen reqs",
                (Mixed, Some(4), Some(900)),
            ),
            ("ProfilerStep#552", (Unknown, None, None)),
        ] {
            assert_eq!(of(name), Some(want), "{name}");
        }
        for other in
            ["nccl:all_reduce", "## backward ##", "step[lower]", "capture_x_FULL", "execute_model", ""]
        {
            assert_eq!(of(other), None, "{other}");
        }
        // T1 of the known tool: a batch that does not begin with 1 must not lose its class.
        for m in [8, 32, 37, 10, 1] {
            let name =
                format!("execute_{m}_context_0(sq0sk0sqsq0sqsk0)_generation_{m}(sq{m}sk9sqsq{m}sqsk9)");
            assert_eq!(parse(&name).map(|l| l.class), Some(Decode));
        }
    }

    #[test]
    fn sums_of_a_label() {
        let label = "execute_2085_context_9(sq2048sk2049sqsq50sqsk51)_generation_37(sq37sk9sqsq37sqsk9)";
        let prompts = Sums { requests: 9, queries: 2048, keys: 2049, queries_squared: 50, queries_keys: 51 };
        let generating = Sums { requests: 37, queries: 37, keys: 9, queries_squared: 37, queries_keys: 9 };
        assert_eq!(sums(label), Some([prompts, generating]));
        let label = "step[DECODE bs=8 toks=40 g_sq=40 g_sk=9000 g_sqsq=200 g_sqsk=45000]";
        let one = Sums { requests: 8, queries: 40, keys: 9000, queries_squared: 200, queries_keys: 45000 };
        assert_eq!(sums(label), Some([Sums::default(), one]));
        assert_eq!(sums("execute_context_1(888_788544)_generation_0(0)"), None);
        assert_eq!(sums("step[DECODE bs=32]"), None);
    }

    proptest! {
        #[test]
        fn total_on_any_text(text in ".{0,80}", n in any::<u64>()) {
            let _ = parse(&text);
            let _ = sums(&format!("execute_1_context_{n}({text})_generation_{n}({text})"));
            let _ = sums(&format!("step[{text}]"));
            let _ = parse(&format!("execute_{n}_context_{n}({text})_generation_{n}({text})"));
            let _ = parse(&format!("step[{text}]"));
        }
    }
}
