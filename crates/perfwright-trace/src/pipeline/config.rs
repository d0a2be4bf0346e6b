//! The layer count of a model's `config.json`.

use serde_json::Value;

/// Largest count that is believed.
const MOST: u64 = 10_000;

/// The number of layers of the (text) model: `num_hidden_layers` or its older names, else the length of a list with
/// one entry a layer; in the document itself or in its `text_config`.
///
/// # Errors
/// The reason when the text is not JSON or tells no count.
pub fn layer_count(text: &str) -> Result<u32, String> {
    let root: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let nested = ["text_config", "llm_config", "language_config", "thinker_config"];
    let inner = nested.iter().filter_map(|key| root.get(key));
    let deeper = nested.iter().filter_map(|key| root.get(key)?.get("text_config"));
    std::iter::once(&root)
        .chain(inner)
        .chain(deeper)
        .find_map(count)
        .ok_or_else(|| "it names no number of layers (num_hidden_layers, layer_types)".to_owned())
}

fn count(config: &Value) -> Option<u32> {
    let number = ["num_hidden_layers", "num_layers", "n_layer", "n_layers"]
        .iter()
        .find_map(|key| config.get(key)?.as_u64());
    let list = ["layer_types", "layers_block_type", "block_types"]
        .iter()
        .find_map(|key| Some(config.get(key)?.as_array()?.len() as u64));
    let pattern = || Some(config.get("hybrid_override_pattern")?.as_str()?.chars().count() as u64);
    let n = number.or(list).or_else(pattern)?;
    (1..=MOST).contains(&n).then(|| u32::try_from(n).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_every_place() {
        assert_eq!(layer_count(r#"{"num_hidden_layers": 36}"#), Ok(36));
        assert_eq!(
            layer_count(
                r#"{"text_config": {"num_hidden_layers": 48}, "vision_config": {"num_hidden_layers": 27}}"#
            ),
            Ok(48)
        );
        assert_eq!(layer_count(r#"{"thinker_config": {"text_config": {"num_hidden_layers": 28}}}"#), Ok(28));
        assert_eq!(layer_count(r#"{"layer_types": ["a", "b", "a"]}"#), Ok(3));
        assert_eq!(layer_count(r#"{"n_layer": 12}"#), Ok(12));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(layer_count("{").is_err());
        assert!(layer_count("[]").is_err());
        assert!(layer_count(r#"{"num_hidden_layers": -3}"#).is_err());
        assert!(layer_count(r#"{"num_hidden_layers": 18446744073709551615}"#).is_err());
    }
}
