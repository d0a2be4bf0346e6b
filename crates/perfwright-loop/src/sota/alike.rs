//! Whether a stored answer and the same answer computed again are one: figures are stored in decimal, and reading them
//! back may differ in the last bits.

use serde::Serialize;
use serde_json::Value;

/// Relative difference of two figures that are one.
const LAST_BITS: f64 = 1e-9;

/// Whether both serialise to the same, but for the last bits of figures.
pub(super) fn alike(a: &impl Serialize, b: &impl Serialize) -> bool {
    match (serde_json::to_value(a), serde_json::to_value(b)) {
        (Ok(a), Ok(b)) => same(&a, &b),
        _ => false,
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_f64(), y.as_f64()) {
            (Some(x), Some(y)) => x == y || (x - y).abs() <= LAST_BITS * x.abs().max(y.abs()),
            _ => x == y,
        },
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_last_bits_may_differ() {
        assert!(alike(&json!({"a": [0.1, 3, "x"]}), &json!({"a": [0.100_000_000_000_000_02, 3, "x"]})));
        for other in
            [json!({"a": [0.1001, 3, "x"]}), json!({"a": [0.1, 3]}), json!({"b": [0.1, 3, "x"]}), json!(null)]
        {
            assert!(!alike(&json!({"a": [0.1, 3, "x"]}), &other), "{other}");
        }
    }
}
