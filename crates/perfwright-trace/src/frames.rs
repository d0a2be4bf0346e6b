//! Python frame names: which of the open frames is the source line worth showing, and which layer they are in.

use std::borrow::Cow;

use crate::intern::StrId;
use crate::store::Store;

/// The built-in rules, `catalog/sources/python.toml`.
const BUILTIN: &str = include_str!("../../../catalog/sources/python.toml");

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

/// One rule: frames whose path contains `path` get `rank`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    path: String,
    func: Option<String>,
    rank: u8,
    #[expect(dead_code, reason = "documentation of the catalogue entry")]
    source: String,
}

/// Ranks of Python frames.
#[derive(Debug, Clone)]
pub struct FrameRules {
    rules: Vec<Rule>,
}

impl FrameRules {
    /// The rules that ship with the program.
    ///
    /// # Errors
    /// The text of the fault when the catalogue is malformed; a test keeps that from happening.
    pub fn builtin() -> Result<Self, String> {
        let file: File = toml::from_str(BUILTIN).map_err(|e| e.to_string())?;
        Ok(Self { rules: file.rule })
    }

    fn rank(&self, path: &str, func: &str) -> u8 {
        let hit = self
            .rules
            .iter()
            .rev()
            .find(|r| path.contains(r.path.as_str()) && r.func.as_deref().is_none_or(|f| f == func));
        hit.map_or(2, |r| r.rank)
    }
}

/// What a frame name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FrameInfo {
    /// 0: no source line.
    pub(crate) rank: u8,
    /// Layer number of an `nn.Module: SomethingLayer_12` frame.
    pub(crate) layer: Option<u32>,
}

/// [`FrameInfo`] of every string of a store that is a frame name, worked out once a name.
pub(crate) fn frame_infos(store: &Store, rules: &FrameRules) -> Vec<FrameInfo> {
    let mut infos = vec![None; store.strings.len()];
    for &name in &store.frames.name {
        let slot = &mut infos[name as usize];
        if slot.is_none() {
            *slot = Some(info(&store.strings.text(name), rules));
        }
    }
    infos.into_iter().map(Option::unwrap_or_default).collect()
}

fn info(name: &str, rules: &FrameRules) -> FrameInfo {
    if let Some(module) = name.strip_prefix("nn.Module: ") {
        return FrameInfo { rank: 0, layer: layer_number(module) };
    }
    match split(name) {
        Some((path, _, func)) => FrameInfo { rank: rules.rank(path, func), layer: None },
        None => FrameInfo::default(),
    }
}

/// `path(line): func` in its three parts.
pub(crate) fn split(name: &str) -> Option<(&str, u32, &str)> {
    let at = name.find("): ")?;
    let open = name[..at].rfind('(')?;
    let line = name[open + 1..at].parse().ok()?;
    let path = &name[..open];
    (!path.is_empty() && !path.starts_with('<')).then_some((path, line, &name[at + 3..]))
}

/// The number in `Qwen3DecoderLayer_12`: modules whose class says that they are a layer or block.
fn layer_number(module: &str) -> Option<u32> {
    let (class, number) = module.rsplit_once('_')?;
    let is_layer = ["Layer", "Block", "DecoderLayer", "EncoderLayer"].iter().any(|s| class.ends_with(s));
    if is_layer { number.parse().ok() } else { None }
}

/// `path:line func` as it is printed in tables and JSON.
pub(crate) fn source_text(store: &Store, frame: StrId) -> String {
    let name = store.strings.text(frame);
    match split(&name) {
        Some((path, line, func)) => format!("{path}:{line} {func}"),
        None => name.into_owned(),
    }
}

/// The source without the installation's prefix, for narrow tables.
pub fn short_source(source: &str) -> Cow<'_, str> {
    for mark in ["sglang/srt/", "site-packages/", "dist-packages/", "/python/", "/src/"] {
        if let Some(at) = source.find(mark) {
            return Cow::Borrowed(&source[at + mark.len()..]);
        }
    }
    Cow::Borrowed(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let rules = FrameRules::builtin().unwrap();
        let rank = |n: &str| info(n, &rules).rank;
        assert_eq!(rank("/x/python/sglang/srt/models/qwen3.py(480): forward"), 4);
        assert_eq!(rank("/x/python/sglang/srt/model_executor/cuda_graph_runner.py(711): replay"), 1);
        // The copies into a graph's inputs are made by the runner itself.
        assert_eq!(rank("/x/python/sglang/srt/model_executor/cuda_graph_runner.py(116): foreach_copy"), 4);
        assert_eq!(rank("torch/nn/modules/module.py(1784): _call_impl"), 1);
        assert_eq!(rank("torch/nn/modules/linear.py(125): forward"), 2);
        assert_eq!(rank("train_ddp.py(184): <module>"), 2);
        assert_eq!(rank("<built-in method mm"), 0);
        assert_eq!(rank("<eval_with_key>.12(5): forward"), 0);
        assert_eq!(info("nn.Module: Qwen3DecoderLayer_12", &rules).layer, Some(12));
        assert_eq!(info("nn.Module: Linear_3", &rules).layer, None);
        assert_eq!(split("a.py(12): f"), Some(("a.py", 12, "f")));
        assert_eq!(short_source("/usr/lib/python3.12/dist-packages/vllm/a.py:1 f"), "vllm/a.py:1 f");
    }
}
