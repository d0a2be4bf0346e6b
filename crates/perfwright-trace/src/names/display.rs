//! Short names for tables.

use super::symbol::clip;

/// Longest display name, in bytes.
pub(super) const MAX: usize = 90;

/// Four hex digits that tell two shortened names apart (FNV-1a folded to 16 bits).
fn mark(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let folded = hash ^ (hash >> 32);
    format!("#{:04x}", (folded ^ (folded >> 16)) & 0xffff)
}

/// Display of a flat name: itself, or its telling parts and a mark.
pub(super) fn flat(name: &str) -> String {
    if name.len() <= MAX {
        return name.to_owned();
    }
    if name.starts_with("Cijk_") {
        return tensile(name);
    }
    // The front names the operation and the tail the instance; both are kept.
    let mark = mark(name);
    let tail_len = 24;
    let front = clip(name, MAX - tail_len - mark.len() - 3);
    let mut at = name.len() - tail_len;
    while !name.is_char_boundary(at) {
        at += 1;
    }
    format!("{front}...{}{mark}", &name[at..])
}

/// Tensile names: problem type, macro tile, instruction and wave tile; the other 40 knobs become the mark.
fn tensile(name: &str) -> String {
    let mut out = String::new();
    for (i, part) in name.split('_').enumerate() {
        let macro_tile = part.strip_prefix("MT").is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        let matrix = part.strip_prefix("MI").is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        let keep = i < 5 || macro_tile || matrix || part.starts_with("GSU") || part.starts_with("ISA");
        if keep && out.len() + part.len() < MAX - 8 {
            if !out.is_empty() {
                out.push('_');
            }
            out.push_str(part);
        }
    }
    out.push_str(&mark(name));
    out
}

/// Display of a C++ symbol: last two path segments, functor and short arguments.
pub(super) fn cpp(raw: &str, path: &[&str], functor: Option<&str>, args: &[String]) -> String {
    let function = path.last().copied().unwrap_or_default();
    let mut out = match path.len() {
        0 | 1 => String::new(),
        n => format!("{}::", path[n - 2]),
    };
    if out.len() + function.len() > MAX - 30 {
        out.clear();
    }
    let mut lossy = path.len() > 2;
    if function.len() > MAX - 8 {
        return flat(&path.join("::"));
    }
    out.push_str(function);
    let mut inner: Vec<&str> = Vec::new();
    if let Some(functor) = functor {
        inner.push(functor.rsplit("::").next().unwrap_or(functor));
    }
    let room = MAX - 8;
    let mut used = out.len() + inner.first().map_or(0, |f| f.len() + 2);
    if used > room {
        inner.clear();
        used = out.len();
        lossy = true;
    }
    for argument in args {
        let short = short_type(argument);
        if functor.is_some_and(|f| f.rsplit("::").next() == Some(short)) {
            continue;
        }
        if short.is_empty() || short.len() > 20 || used + short.len() + 2 > room {
            lossy |= functor.is_none() || !short.is_empty();
            continue;
        }
        used += short.len() + 2;
        inner.push(short);
    }
    if !inner.is_empty() {
        out.push('<');
        out.push_str(&inner.join(", "));
        out.push('>');
    }
    if lossy || functor.is_some() {
        out.push_str(&mark(raw));
    }
    out
}

/// A value or plain type in few letters; empty for anything with structure.
fn short_type(argument: &str) -> &str {
    if argument.contains(['<', '{', ' ', '*']) {
        return "";
    }
    // A cast enumerator, `(vllm::Fp8KVCacheDataType)0`: the value tells instances apart.
    if let Some((_, value)) = argument.strip_prefix('(').and_then(|a| a.split_once(')')) {
        return if value.starts_with("::") { "" } else { value };
    }
    let last = argument.rsplit("::").next().unwrap_or(argument);
    match last {
        "BFloat16" | "__nv_bfloat16" | "__hip_bfloat16" | "bfloat16_t" | "__bf16" => "bf16",
        "Half" | "__half" | "half_t" | "_Float16" => "fp16",
        "float" => "fp32",
        _ if argument.starts_with('&') => "",
        other => other,
    }
}
