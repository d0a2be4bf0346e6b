//! Which variant of each operator runs.

use super::external::ExternalOp;
use crate::error::LabError;

/// A variant of an operator.
#[derive(Debug, Clone, Default)]
pub enum OpKind {
    /// A pass of its own: plain loops, one operator after the other.
    #[default]
    Naive,
    /// Joined with its neighbours, or reading its inputs once.
    Fused,
    /// A function from outside.
    External(ExternalOp),
}

impl OpKind {
    /// Whether this is [`OpKind::Fused`].
    #[must_use]
    pub fn is_fused(&self) -> bool {
        matches!(self, Self::Fused)
    }

    /// `naive`, `fused` or `external:NAME`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Naive => "naive".into(),
            Self::Fused => "fused".into(),
            Self::External(op) => format!("external:{}", op.name()),
        }
    }
}

/// Names of the operators, in the order of [`OpTable`].
pub const OP_NAMES: [&str; 7] = ["rmsnorm", "residual", "rope", "gemm", "attention", "silu_mul", "sampling"];

/// The variant of each operator. What fused means:
///
/// | operator | fused |
/// |---|---|
/// | `rmsnorm`, `residual` | with both: the addition and the norm are one pass over a row |
/// | `rope` | rotation of queries and keys and the store in the cache are one pass |
/// | `gemm` | query, key and value are one product, gate and up are one |
/// | `attention` | online softmax; a group of query heads reads keys and values once |
/// | `silu_mul` | with fused `gemm`: applied to the product before it is written |
/// | `sampling` | selects the candidates in place of sorting the vocabulary |
#[derive(Debug, Clone, Default)]
pub struct OpTable {
    /// Root-mean-square norm.
    pub rmsnorm: OpKind,
    /// Addition to the residual stream.
    pub residual: OpKind,
    /// Rotary positions.
    pub rope: OpKind,
    /// All projections.
    pub gemm: OpKind,
    /// Attention, prefill and decode.
    pub attention: OpKind,
    /// `silu(gate) * up`.
    pub silu_mul: OpKind,
    /// The choice of the next token.
    pub sampling: OpKind,
}

impl OpTable {
    /// Every operator naive.
    #[must_use]
    pub fn naive() -> Self {
        Self::default()
    }

    /// Every operator fused.
    #[must_use]
    pub fn fused() -> Self {
        let mut table = Self::default();
        for name in OP_NAMES {
            if let Some(kind) = table.get_mut(name) {
                *kind = OpKind::Fused;
            }
        }
        table
    }

    /// Reads `naive`, `fused`, or a list like `naive,rmsnorm=fused`: later entries win, the rest is naive.
    ///
    /// # Errors
    /// When a name or variant is not known.
    pub fn parse(text: &str) -> Result<Self, LabError> {
        let error = |cause: String| LabError::Setting { setting: "ops", cause };
        let mut table = Self::naive();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None if part == "naive" => table = Self::naive(),
                None if part == "fused" => table = Self::fused(),
                None => return Err(error(format!("{part:?} is not naive, fused or OPERATOR=VARIANT"))),
                Some((name, variant)) => {
                    let kind = match variant {
                        "naive" => OpKind::Naive,
                        "fused" => OpKind::Fused,
                        _ => return Err(error(format!("{variant:?} is not naive or fused"))),
                    };
                    let slot = table.get_mut(name);
                    *slot
                        .ok_or_else(|| error(format!("{name:?} is not one of {}", OP_NAMES.join(", "))))? =
                        kind;
                }
            }
        }
        Ok(table)
    }

    /// The variant of the operator of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OpKind> {
        Some(match name {
            "rmsnorm" => &self.rmsnorm,
            "residual" => &self.residual,
            "rope" => &self.rope,
            "gemm" => &self.gemm,
            "attention" => &self.attention,
            "silu_mul" => &self.silu_mul,
            "sampling" => &self.sampling,
            _ => return None,
        })
    }

    /// The place of the operator of that name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut OpKind> {
        Some(match name {
            "rmsnorm" => &mut self.rmsnorm,
            "residual" => &mut self.residual,
            "rope" => &mut self.rope,
            "gemm" => &mut self.gemm,
            "attention" => &mut self.attention,
            "silu_mul" => &mut self.silu_mul,
            "sampling" => &mut self.sampling,
            _ => return None,
        })
    }

    /// `rmsnorm=naive,residual=...`: every operator with its variant.
    #[must_use]
    pub fn describe(&self) -> String {
        let label = |name| self.get(name).map(OpKind::label).unwrap_or_default();
        OP_NAMES.map(|name| format!("{name}={}", label(name))).join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let table = OpTable::parse("rmsnorm=fused, attention=fused").unwrap();
        assert_eq!(
            table.describe(),
            "rmsnorm=fused,residual=naive,rope=naive,gemm=naive,attention=fused,silu_mul=naive,sampling=naive"
        );
        assert!(
            OpTable::parse("fused,gemm=naive").unwrap().describe().contains("gemm=naive,attention=fused")
        );
        for wrong in ["", "fast", "rmsnorm=fast", "norm=fused", "rmsnorm"] {
            assert!(OpTable::parse(wrong).is_err(), "{wrong}");
        }
    }
}
