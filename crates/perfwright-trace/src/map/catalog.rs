//! Which operators are one matrix product, and where their shapes stand: `catalog/ops`.

use hashbrown::HashMap;
use serde::Deserialize;

use super::dims::Dims;
use super::report::Precision;

const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/ops/gemm.toml"));

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    product: Vec<Entry>,
}

/// One kind of operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[cfg_attr(not(test), expect(dead_code, reason = "named by tests and readers of the catalogue"))]
    id: String,
    op: Vec<String>,
    a: usize,
    b: usize,
    layout: Layout,
    #[serde(default = "one")]
    packed: u64,
    pub(super) dtype: Option<Precision>,
    #[cfg_attr(not(test), expect(dead_code, reason = "named by tests and readers of the catalogue"))]
    source: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "an example for tests"))]
    dims: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "an example for tests"))]
    mnk: [u64; 3],
}

fn one() -> u64 {
    1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Layout {
    Kn,
    Nk,
}

/// Sizes of one product: `batch` times [m, k] by [k, n].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Product {
    pub(super) batch: u64,
    pub(super) m: u64,
    pub(super) n: u64,
    pub(super) k: u64,
}

impl Product {
    /// Two for every multiplication and addition.
    pub(super) fn flops(&self) -> u128 {
        [self.batch, self.m, self.n, self.k].iter().fold(2u128, |all, &x| all.saturating_mul(x.into()))
    }
}

impl Entry {
    /// The product of an operator with these arguments; `None` where they do not fit together.
    pub(super) fn product(&self, args: &[Dims]) -> Option<Product> {
        let (a, b) = (args.get(self.a)?.tensor()?, args.get(self.b)?.tensor()?);
        let ([lead_a @ .., last_m, ka], [lead_b @ .., x, y]) = (a, b) else { return None };
        let (n, kb) = match self.layout {
            Layout::Kn => (*y, *x),
            Layout::Nk => (*x, *y),
        };
        // The factors share K; without that the arguments are not what the entry takes them for.
        if *ka != kb {
            return None;
        }
        let product = |sizes: &[u64]| sizes.iter().try_fold(1u64, |all, &x| all.checked_mul(x));
        let (batch, m) = match lead_b.iter().all(|&size| size == 1) {
            true => (1, product(lead_a)?.checked_mul(*last_m)?),
            false if lead_a == lead_b => (product(lead_a)?, *last_m),
            false => return None,
        };
        let out = Product { batch, m, n, k: ka.checked_mul(self.packed)? };
        (out.flops() > 0).then_some(out)
    }
}

/// The operators by name.
pub(super) struct Products {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl Products {
    /// The catalogue that is compiled in.
    ///
    /// # Errors
    /// Only when it is broken, which a test excludes.
    pub(super) fn builtin() -> Result<Self, String> {
        let file: File = toml::from_str(TEXT).map_err(|e| e.to_string())?;
        let names =
            file.product.iter().enumerate().flat_map(|(i, e)| e.op.iter().map(move |n| (n.clone(), i)));
        let by_name = names.collect();
        Ok(Self { entries: file.product, by_name })
    }

    pub(super) fn find(&self, op: &str) -> Option<&Entry> {
        self.by_name.get(op).map(|&i| &self.entries[i])
    }
}

#[cfg(test)]
mod tests {
    use super::super::dims::parse;
    use super::*;

    #[test]
    fn every_entry_reads_its_example_and_has_a_source() {
        let products = Products::builtin().unwrap();
        assert_eq!(products.by_name.len(), products.entries.iter().map(|e| e.op.len()).sum::<usize>());
        for e in &products.entries {
            let p = e.product(&parse(e.dims.as_bytes()).unwrap()).unwrap_or_else(|| panic!("{}", e.id));
            assert_eq!([p.m, p.n, p.k], e.mnk, "{}", e.id);
            assert!(e.source.contains(": ") && e.source.contains('/'), "{}: {}", e.id, e.source);
        }
    }

    #[test]
    fn batches_count_and_arguments_that_do_not_fit_are_refused() {
        let products = Products::builtin().unwrap();
        let of = |op: &str, dims: &str| products.find(op)?.product(&parse(dims.as_bytes())?);
        let bmm = of("aten::bmm", "[[16, 32, 128], [16, 128, 512]]").unwrap();
        assert_eq!(
            (bmm.batch, bmm.m, bmm.n, bmm.k, bmm.flops()),
            (16, 32, 512, 128, 2 * 16 * 32 * 512 * 128)
        );
        assert_eq!(of("aten::mm", "[[8, 4], [5, 6]]"), None);
        assert_eq!(of("aten::mm", "[[8, 4]]"), None);
        assert_eq!(of("aten::mm", "[[], []]"), None);
        assert_eq!(of("aten::mm", "[[0, 4], [4, 6]]"), None);
        assert_eq!(of("aten::bmm", "[[3, 8, 4], [5, 4, 6]]"), None);
        let big = 1u64 << 48;
        assert_eq!(of("aten::linear", &format!("[[{big}, {big}, 4], [6, 4]]")), None);
    }
}
