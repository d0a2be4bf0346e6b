//! Who wrote a trace, on what: engine, GPU, rank.

use std::path::Path;
use std::sync::LazyLock;

use crate::store::Store;

/// The built-in engines, `catalog/sources/engines.toml`.
const BUILTIN: &str = include_str!("../../../catalog/sources/engines.toml");
/// The same, read. A test keeps the catalogue well-formed.
static ENGINES: LazyLock<Engines> = LazyLock::new(|| toml::from_str(BUILTIN).unwrap_or_default());

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Engines {
    engine: Vec<Engine>,
}

/// An engine that the name of its process gives away.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Engine {
    name: String,
    process: String,
    vendor: Option<String>,
    #[expect(dead_code, reason = "documentation of the catalogue entry")]
    source: String,
}

/// What the metadata and names of a trace say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub(crate) framework: &'static str,
    pub(crate) vendor: &'static str,
    pub(crate) gpus: Vec<String>,
    pub(crate) rank: Option<u32>,
    pub(crate) world_size: Option<u32>,
}

pub(crate) fn describe(store: &Store, path: &Path) -> Description {
    let properties = json(store, "deviceProperties");
    let gpus: Vec<String> = properties
        .as_ref()
        .and_then(|v| v.as_array())
        .map(|list| {
            let names = list.iter().filter_map(|d| d.get("name")?.as_str());
            let mut names: Vec<String> =
                names.filter(|n| !n.is_empty()).take(64).map(str::to_owned).collect();
            names.dedup();
            names
        })
        .unwrap_or_default();
    let job = json(store, "distributedInfo");
    let number = |key: &str| job.as_ref()?.get(key)?.as_u64().and_then(|n| u32::try_from(n).ok());
    let engine = ENGINES.engine.iter().find(|engine| {
        let mut names = store.meta.iter().filter(|(key, _)| key.starts_with("process_name"));
        names.any(|(_, name)| name.contains(&engine.process))
    });
    Description {
        framework: engine.map_or_else(|| framework(store), |engine| &engine.name),
        vendor: engine.and_then(|engine| engine.vendor.as_deref()).unwrap_or_else(|| vendor(store, &gpus)),
        gpus,
        rank: number("rank").or_else(|| rank_of_name(path)),
        world_size: number("world_size"),
    }
}

fn json(store: &Store, key: &str) -> Option<serde_json::Value> {
    serde_json::from_str(store.meta.get(key)?).ok()
}

/// The engine whose processes have other names, by its source paths or its operators. Plain PyTorch is what remains when
/// there are ATen operators.
fn framework(store: &Store) -> &'static str {
    let mut votes = [0u64; 4];
    const ENGINES: [&str; 4] = ["sglang", "vllm", "tensorrt-llm", "tokenspeed"];
    // Each distinct name counts once: a name may stand in millions of rows.
    let mut seen = vec![false; store.strings.len()];
    for &name in &store.frames.name {
        if std::mem::replace(&mut seen[name as usize], true) {
            continue;
        }
        let path = store.strings.bytes(name);
        // The directory of the engine's package, not a word anywhere: paths of others may hold the name.
        let has = |dir: &[u8]| memchr::memmem::find(path, dir).is_some();
        for (vote, dir) in
            votes.iter_mut().zip([&b"sglang/srt/"[..], b"vllm/", b"tensorrt_llm/", b"tokenspeed/"])
        {
            *vote += u64::from(has(dir));
        }
    }
    if let Some((best, n)) = votes.iter().enumerate().max_by_key(|(i, n)| (**n, std::cmp::Reverse(*i)))
        && *n > 0
    {
        return ENGINES[best];
    }
    let op = |prefix: &[u8]| store.ops.name.iter().any(|&n| store.strings.bytes(n).starts_with(prefix));
    match () {
        () if op(b"sgl_kernel::") || op(b"sglang::") => "sglang",
        () if op(b"vllm::") || op(b"_C::") => "vllm",
        () if op(b"trtllm::") => "tensorrt-llm",
        () if op(b"aten::") => "pytorch",
        () => "unknown",
    }
}

fn vendor(store: &Store, gpus: &[String]) -> &'static str {
    let api = |prefix: &[u8]| store.launches.name.iter().any(|&n| store.strings.bytes(n).starts_with(prefix));
    if store.meta.contains_key("hip_runtime_version")
        || store.meta.contains_key("roctracer_version")
        || api(b"hip")
    {
        return "amd";
    }
    if gpus.iter().any(|g| g.contains("AMD") || g.contains("Instinct")) {
        return "amd";
    }
    if store.meta.contains_key("cuda_runtime_version")
        || store.meta.contains_key("cupti_version")
        || api(b"cuda")
        || api(b"cu")
    {
        return "nvidia";
    }
    if gpus.iter().any(|g| g.contains("NVIDIA") || g.contains("Tesla")) { "nvidia" } else { "unknown" }
}

/// `TP-3`, `tp3`, `rank_3`, `rank3`, `worker3` in a file name.
pub(crate) fn rank_of_name(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    for mark in ["tp", "rank", "worker"] {
        for (at, _) in name.match_indices(mark) {
            let word_start = at == 0 || !name.as_bytes()[at - 1].is_ascii_alphanumeric();
            let rest = name[at + mark.len()..].trim_start_matches(['-', '_']);
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if word_start && let Ok(n) = digits.parse() {
                return Some(n);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_well_formed() {
        let engines: Engines = toml::from_str(BUILTIN).unwrap();
        assert!(engines.engine.iter().all(|e| !e.name.is_empty() && !e.process.is_empty()));
        assert_eq!(ENGINES.engine.len(), engines.engine.len());
    }

    #[test]
    fn ranks_in_names() {
        for (name, rank) in [
            ("1700000000.1-TP-3-EXTEND.trace.json.gz", Some(3)),
            ("synth-8-TP-1.trace.json.gz", Some(1)),
            ("sampled_rank-0.json.gz", Some(0)),
            ("dp0_pp0_tp7_x_rank7.pt.trace.json", Some(7)),
            ("http2.json", None),
            ("trace.json", None),
        ] {
            assert_eq!(rank_of_name(Path::new(name)), rank, "{name}");
        }
    }
}
