//! All phrases of a catalogue looked up in a name at once.
//!
//! A few hundred conditions ask for about a thousand phrases. Asking each phrase of each name costs
//! tens of microseconds; looking up every short run of the name's words in one table costs one or two.

use hashbrown::HashMap;

use super::cond::Cond;
use super::symbol::Symbol;
use super::words::Words;

/// Longest run of words that is looked up, and its longest text in bytes.
const MAX_RUN: usize = 10;
const MAX_PHRASE: usize = 40;

/// Phrase -> bit number.
#[derive(Default)]
pub(super) struct Phrases {
    bits: HashMap<String, u32>,
}

/// Which phrases of the catalogue a name holds.
pub(super) struct Present(Vec<u64>);

/// A condition with its phrases replaced by bit numbers.
pub(super) struct Compiled {
    cond: Cond,
    words: Vec<Vec<u32>>,
    not: Vec<u32>,
    functor: Vec<Vec<u32>>,
}

/// What conditions ask of one symbol, computed once.
pub(super) struct Probe<'a> {
    symbol: &'a Symbol,
    words: Present,
    functor: Present,
}

impl Phrases {
    fn bit(&mut self, phrase: &str) -> u32 {
        let next = u32::try_from(self.bits.len()).unwrap_or(u32::MAX);
        *self.bits.entry_ref(phrase).or_insert(next)
    }

    pub(super) fn compile(&mut self, cond: Cond) -> Compiled {
        let either = |this: &mut Self, list: &[String]| -> Vec<Vec<u32>> {
            list.iter().map(|w| w.split('|').map(|p| this.bit(p)).collect()).collect()
        };
        let words = either(self, &cond.words);
        let functor = either(self, &cond.functor);
        let not = cond.not.iter().map(|p| self.bit(p)).collect();
        Compiled { cond, words, not, functor }
    }

    fn present(&self, words: &Words) -> Present {
        let mut set = vec![0_u64; self.bits.len().div_ceil(64)];
        words.runs(MAX_RUN, MAX_PHRASE, |run| {
            if let Some(&bit) = self.bits.get(run) {
                set[bit as usize / 64] |= 1 << (bit % 64);
            }
        });
        Present(set)
    }

    pub(super) fn probe<'a>(&self, symbol: &'a Symbol) -> Probe<'a> {
        Probe { symbol, words: self.present(&symbol.words), functor: self.present(&symbol.functor_words) }
    }
}

impl Present {
    fn has(&self, bit: u32) -> bool {
        self.0.get(bit as usize / 64).is_some_and(|w| w >> (bit % 64) & 1 == 1)
    }
}

impl Compiled {
    /// Same answer as [`Cond::matches`].
    pub(super) fn matches(&self, probe: &Probe<'_>) -> bool {
        self.words.iter().all(|any| any.iter().any(|&b| probe.words.has(b)))
            && !self.not.iter().any(|&b| probe.words.has(b))
            && self.functor.iter().all(|any| any.iter().any(|&b| probe.functor.has(b)))
            && self.cond.matches_shape(probe.symbol)
    }
}

/// Phrases longer than the look-up can find; such a phrase would never match.
pub(super) fn too_long(phrase: &str) -> bool {
    phrase.len() > MAX_PHRASE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_conditions_answer_as_the_plain_ones() {
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let conds = [
            Cond { words: list(&["rmsnorm|layernorm", "add"]), ..Cond::default() },
            Cond { words: list(&["gemm"]), not: list(&["gemma"]), ..Cond::default() },
            Cond { functor: list(&["silu"]), prefix: list(&["act_"]), ..Cond::default() },
            Cond { not: list(&["kernel"]), ns: list(&["norm"]), ..Cond::default() },
        ];
        let mut phrases = Phrases::default();
        let compiled: Vec<Compiled> = conds.iter().map(|c| phrases.compile(c.clone())).collect();
        let mut hits = 0;
        for name in [
            "void flashinfer::norm::GemmaFusedAddRMSNormKernel<8u>(int)",
            "void act_and_mul_kernel<__nv_bfloat16, &(silu(float const&))>(int)",
            "_gemm_w8a8_blockscale",
            "void a::norm::f(int)",
            "",
        ] {
            let symbol = Symbol::parse(name);
            let probe = phrases.probe(&symbol);
            for (plain, compiled) in conds.iter().zip(&compiled) {
                assert_eq!(plain.matches(&symbol), compiled.matches(&probe), "{name}: {plain:?}");
                hits += usize::from(plain.matches(&symbol));
            }
        }
        assert_eq!(hits, 4);
    }
}
