//! The header of one file. Nothing in it is trusted: every length is held against the file.

use std::collections::BTreeMap;

use serde_json::Value;

/// Largest header, in bytes. The reference reader allows 100 MB; 16 MiB are more than 100 000 tensors.
pub(crate) const MAX_HEADER: u64 = 16 << 20;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// How elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DType {
    F32,
    F16,
    Bf16,
    /// A type that no weight of a supported model has; its name and bits are not needed.
    Other,
}

impl DType {
    pub(crate) fn bytes(self) -> Option<usize> {
        match self {
            Self::F32 => Some(4),
            Self::F16 | Self::Bf16 => Some(2),
            Self::Other => None,
        }
    }

    /// Decodes little-endian elements.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let half = |b: &[u8; 2]| u16::from_le_bytes(*b);
        match self {
            Self::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Self::Bf16 => {
                bytes.as_chunks::<2>().0.iter().map(|b| f32::from_bits(u32::from(half(b)) << 16)).collect()
            }
            Self::F16 => bytes.as_chunks::<2>().0.iter().map(|b| f16_to_f32(half(b))).collect(),
            Self::Other => Vec::new(),
        }
    }
}

/// IEEE 754 half precision.
fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// Where a tensor lies in its file, in bytes from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) start: u64,
    pub(crate) len: usize,
}

/// A refusal: where and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) place: String,
    pub(crate) cause: String,
}

fn refuse<T>(place: impl Into<String>, cause: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { place: place.into(), cause: cause.into() })
}

/// The length of the header, from the first eight bytes of a file of `file_len` bytes.
pub(crate) fn header_len(first: [u8; 8], file_len: u64) -> Result<usize, Refusal> {
    let len = u64::from_le_bytes(first);
    if len > MAX_HEADER {
        return refuse("byte 0", format!("a header of {len} bytes; at most {MAX_HEADER} are read"));
    }
    if len > file_len.saturating_sub(8) {
        return refuse("byte 0", format!("a header of {len} bytes in a file of {file_len}"));
    }
    usize::try_from(len).map_err(|e| Refusal { place: "byte 0".into(), cause: e.to_string() })
}

/// Reads the header's JSON; `data_len` is what the file holds after it, `data_start` where that begins.
pub(crate) fn parse(json: &[u8], data_start: u64, data_len: u64) -> Result<BTreeMap<String, Entry>, Refusal> {
    let value: Value = match serde_json::from_slice(json) {
        Ok(value) => value,
        Err(e) => return refuse("header", e.to_string()),
    };
    let Value::Object(fields) = value else {
        return refuse("header", "not an object");
    };
    let mut entries = BTreeMap::new();
    for (name, value) in fields.into_iter().filter(|(name, _)| name != "__metadata__") {
        let (entry, offset) = entry(&name, &value, data_len)?;
        entries.insert(name, Entry { start: data_start + offset, ..entry });
    }
    tiled(&entries, data_start, data_len)?;
    Ok(entries)
}

/// One tensor of the header, and its offset in the data.
fn entry(name: &str, value: &Value, data_len: u64) -> Result<(Entry, u64), Refusal> {
    let Some(dtype) = value.get("dtype").and_then(Value::as_str) else {
        return refuse(name, "no dtype");
    };
    let dtype = match dtype {
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::Bf16,
        _ => DType::Other,
    };
    let Some(shape) = value.get("shape").and_then(Value::as_array) else {
        return refuse(name, "no shape");
    };
    if shape.len() > MAX_RANK {
        return refuse(name, format!("{} dimensions; at most {MAX_RANK} are read", shape.len()));
    }
    let shape: Option<Vec<usize>> = shape.iter().map(|n| usize::try_from(n.as_u64()?).ok()).collect();
    let Some(shape) = shape else {
        return refuse(name, "a shape that is not whole numbers");
    };
    let offsets = value.get("data_offsets").and_then(Value::as_array).map(Vec::as_slice);
    let Some([start, end]) = offsets else {
        return refuse(name, "no pair of data_offsets");
    };
    let (Some(start), Some(end)) = (start.as_u64(), end.as_u64()) else {
        return refuse(name, "data_offsets that are not whole numbers");
    };
    if start > end || end > data_len {
        return refuse(name, format!("data_offsets {start}..{end} outside the {data_len} bytes of the file"));
    }
    let Ok(len) = usize::try_from(end - start) else {
        return refuse(name, "too large for this machine");
    };
    if let Some(size) = dtype.bytes() {
        let expected = shape.iter().try_fold(size, |n, d| n.checked_mul(*d));
        if expected != Some(len) {
            return refuse(name, format!("{len} bytes do not hold shape {shape:?}"));
        }
    }
    Ok((Entry { dtype, shape, start, len }, start))
}

/// The format asks that tensors fill the file without holes or overlaps; so two names never share bytes.
fn tiled(entries: &BTreeMap<String, Entry>, data_start: u64, data_len: u64) -> Result<(), Refusal> {
    let mut order: Vec<_> = entries.iter().map(|(name, e)| (e.start, e.len as u64, name)).collect();
    order.sort_unstable();
    let mut at = data_start;
    for (start, len, name) in order {
        if start != at {
            return refuse(name, format!("starts at byte {start}, the tensor before it ends at {at}"));
        }
        at += len;
    }
    if at != data_start + data_len {
        return refuse("end of file", format!("{} bytes belong to no tensor", data_start + data_len - at));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_decoded() {
        for (bits, value) in
            [(0x3c00u16, 1.0f32), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8)]
        {
            assert_eq!(DType::F16.decode(&bits.to_le_bytes()), [value]);
        }
        assert_eq!(f16_to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(f16_to_f32(0x7e00).is_nan());
        assert_eq!(DType::Bf16.decode(&[0x80, 0x3f, 0x20, 0xc1]), [1.0, -10.0]);
    }
}
