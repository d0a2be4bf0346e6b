//! Canonical JSON after RFC 8785: one value, one sequence of bytes, so that a hash names it.

use serde_json::{Number, Value};

/// Why a value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// NaN and infinities are not JSON.
    #[error("a number that is not finite has no JSON form")]
    NotFinite,
    /// The integer is not the decimal form of any double, so readers that use doubles would change it.
    #[error("the integer {0} is not exact as a double; store it as a string")]
    InexactInteger(String),
}

/// Writes `value` with keys in UTF-16 order, no spaces, and numbers as ECMAScript prints them.
///
/// ```
/// use perfwright_evidence::json::canonical;
/// let value = serde_json::json!({"b": 1.0, "a": "\u{e9}\n"});
/// assert_eq!(canonical(&value).unwrap(), "{\"a\":\"\u{e9}\\n\",\"b\":1}".as_bytes());
/// ```
///
/// # Errors
/// An integer beyond 2^53 that a double would change.
pub fn canonical(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number_text(number)?.as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn number_text(number: &Number) -> Result<String, CanonicalError> {
    let exact = if let Some(n) = number.as_u64() {
        (n, n.to_string())
    } else if let Some(n) = number.as_i64() {
        (n.unsigned_abs(), n.to_string())
    } else {
        return ecmascript_number(number.as_f64().unwrap_or(f64::NAN));
    };
    let (magnitude, text) = exact;
    // Beyond 2^53 an integer is canonical only where its digits are what a double prints.
    if magnitude >= (1 << 53) && ecmascript_number(text.parse::<f64>().unwrap_or(f64::NAN))? != text {
        return Err(CanonicalError::InexactInteger(text));
    }
    Ok(text)
}

/// A double as ECMAScript's `Number.prototype.toString` prints it (ECMA-262, Number::toString with radix 10).
///
/// # Errors
/// NaN and infinities.
pub fn ecmascript_number(x: f64) -> Result<String, CanonicalError> {
    if !x.is_finite() {
        return Err(CanonicalError::NotFinite);
    }
    if x == 0.0 {
        return Ok("0".to_owned());
    }
    // Rust's exponent form holds the shortest digits that read back as the same double, as ECMAScript asks.
    let text = format!("{:e}", x.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
    let body = if count <= point && point <= 21 {
        format!("{digits}{}", zeros(point - count))
    } else if 0 < point && point <= 21 {
        let (whole, rest) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{whole}.{rest}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let sign = if point > 0 { '+' } else { '-' };
        let exponent = (point - 1).abs();
        match digits.split_at(1) {
            (first, "") => format!("{first}e{sign}{exponent}"),
            (first, rest) => format!("{first}.{rest}e{sign}{exponent}"),
        }
    };
    Ok(if x < 0.0 { format!("-{body}") } else { body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{JsonLimits, read};
    use proptest::prelude::*;
    use serde_json::json;

    /// Bit patterns and texts of RFC 8785, appendix B.
    #[test]
    fn prints_numbers_as_the_rfc_lists_them() {
        for (bits, text) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        ] {
            assert_eq!(ecmascript_number(f64::from_bits(bits)).as_deref(), Ok(text));
        }
        assert_eq!(ecmascript_number(f64::NAN), Err(CanonicalError::NotFinite));
        assert_eq!(ecmascript_number(f64::INFINITY), Err(CanonicalError::NotFinite));
    }

    #[test]
    fn orders_keys_by_utf16_units() {
        // U+FB33 sorts after U+1F600 by UTF-16 units and before it by code points.
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": 3, "1": 4, "\r": 5, "": 6});
        assert_eq!(
            String::from_utf8(canonical(&value).expect("canonical")).expect("text"),
            "{\"\":6,\"\\r\":5,\"1\":4,\"\u{20ac}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn refuses_integers_a_double_would_change() {
        assert!(canonical(&json!(9_007_199_254_740_993_u64)).is_err());
        assert!(canonical(&json!(-9_007_199_254_740_993_i64)).is_err());
        assert_eq!(canonical(&json!(1_152_921_504_606_847_000_u64)).expect("2^60"), b"1152921504606847000");
        assert_eq!(canonical(&json!(9_007_199_254_740_991_u64)).expect("2^53-1"), b"9007199254740991");
    }

    proptest! {
        #[test]
        fn numbers_read_back_as_themselves(bits in any::<u64>()) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            let text = ecmascript_number(x).expect("finite");
            prop_assert_eq!(text.parse::<f64>().expect("number"), x);
        }

        #[test]
        fn canonical_text_is_a_fixed_point(text in r#"[\[\]{}",:0-9eE.\-a-f ]{0,60}"#, key in "\\PC{0,12}", x in any::<f64>()) {
            let limits = JsonLimits { max_bytes: 4096, max_depth: 64 };
            let mut values = vec![json!({ key.clone(): x, "z": [key, null, true] })];
            values.extend(read(text.as_bytes(), &limits).ok());
            for value in values {
                let Ok(first) = canonical(&value) else { continue };
                let again = read(&first, &limits).expect("canonical text is JSON");
                prop_assert_eq!(canonical(&again).expect("canonical"), first);
            }
        }
    }
}
