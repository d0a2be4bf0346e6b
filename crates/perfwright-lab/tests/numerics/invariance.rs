//! The logits of a token depend on the tokens before it and on nothing else.

use crate::common::{greedy, model, run_chunks};
use perfwright_lab::{
    BlockTable, KvCache, Model, ModelConfig, ModelOptions, OpTable, SeqChunk, Simd, Tokenizer, Weights,
    argmax,
};
use proptest::prelude::*;

fn tables() -> [OpTable; 3] {
    let mixed = "fused,gemm=naive,attention=naive,rope=naive";
    [OpTable::naive(), OpTable::fused(), OpTable::parse(mixed).unwrap()]
}

/// A shape with everything odd: three heads to a group, a feed-forward width that is not whole panels, head norms.
fn odd() -> ModelConfig {
    ModelConfig {
        hidden_size: 72,
        intermediate_size: 100,
        num_layers: 2,
        num_heads: 6,
        num_kv_heads: 2,
        head_dim: 32,
        qk_norm: true,
        qkv_bias: true,
        tie_word_embeddings: true,
        ..ModelConfig::tiny()
    }
}

/// Runs all sequences together; each step takes the next piece of some of them, with other pages in between.
fn run_batched(model: &mut Model, page_size: usize, sequences: &[(Vec<u32>, Vec<usize>)]) -> Vec<Vec<f32>> {
    let mut kv = KvCache::new(model.config(), 8 * sequences.len() + 8, page_size).unwrap();
    let mut tables: Vec<_> = sequences.iter().map(|_| BlockTable::new()).collect();
    let mut starts = vec![0usize; sequences.len()];
    let mut last = vec![Vec::new(); sequences.len()];
    let mut step = 0;
    while starts.iter().zip(sequences).any(|(s, (tokens, _))| *s < tokens.len()) {
        let mut taken = Vec::new();
        for (i, (tokens, cuts)) in sequences.iter().enumerate() {
            // Sequences join late and pause, so that batches differ.
            if starts[i] < tokens.len() && (step >= i % 3) && (step + i) % 5 != 0 {
                let piece = cuts[step % cuts.len()].min(tokens.len() - starts[i]);
                kv.reserve(&mut tables[i], starts[i] + piece).unwrap();
                taken.push((i, piece));
            }
        }
        let batch: Vec<_> = taken
            .iter()
            .map(|(i, piece)| SeqChunk {
                table: &tables[*i],
                start: starts[*i],
                tokens: &sequences[*i].0[starts[*i]..starts[*i] + piece],
                want_logits: starts[*i] + piece == sequences[*i].0.len(),
            })
            .collect();
        let logits = model.forward(&mut kv, &batch, None).unwrap();
        let mut rows = logits.rows();
        for (i, piece) in taken {
            starts[i] += piece;
            if starts[i] == sequences[i].0.len() {
                last[i] = rows.next().unwrap().to_vec();
            }
        }
        step += 1;
    }
    for table in &mut tables {
        kv.release(table);
    }
    assert_eq!(kv.used_pages(), 0);
    last
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn logits_do_not_depend_on_batch_chunks_pages_or_threads(
        sequences in prop::collection::vec(
            (prop::collection::vec(0u32..260, 1..120), prop::collection::vec(1usize..50, 1..4)), 1..9),
        page_size in prop::sample::select(vec![16usize, 32, 48]),
        threads in 1usize..4,
        table in 0usize..3,
        odd_shape in any::<bool>(),
    ) {
        let config = if odd_shape { odd() } else { ModelConfig::tiny() };
        let ops = tables()[table].clone();
        let mut together = model(&config, ops.clone(), threads);
        let mut alone = model(&config, ops, 1);
        let batched = run_batched(&mut together, page_size, &sequences);
        for ((tokens, _), batched) in sequences.iter().zip(&batched) {
            let single = run_chunks(&mut alone, 16, &[tokens]);
            prop_assert_eq!(bits(&single[0]), bits(batched));
        }
    }
}

#[test]
fn one_token_at_a_time_is_the_same_as_all_at_once() {
    let tokens = Tokenizer
        .encode_prompt("Batch-invariant means that this text always has the same logits, to the bit.");
    for config in [ModelConfig::tiny(), odd()] {
        for ops in tables() {
            let mut model = model(&config, ops, 2);
            let single: Vec<&[u32]> = tokens.chunks(1).collect();
            let stepwise = run_chunks(&mut model, 16, &single);
            for (len, expected) in (1..).zip(&stepwise) {
                let whole = run_chunks(&mut model, 32, &[&tokens[..len]]);
                assert_eq!(bits(&whole[0]), bits(expected), "after {len} tokens");
            }
        }
    }
}

#[test]
fn greedy_output_is_the_same_in_every_batch_size() {
    let prompts: Vec<Vec<u32>> = (0..32)
        .map(|i| Tokenizer.encode_prompt(&"The quick brown fox. ".repeat(1 + i % 7)[i % 20..]))
        .collect();
    for ops in [OpTable::naive(), OpTable::fused()] {
        let mut model = model(&ModelConfig::tiny(), ops, 2);
        let alone: Vec<_> = prompts.iter().map(|p| greedy(&mut model, p, 24)).collect();
        for size in [1, 2, 3, 5, 8, 13, 21, 32] {
            let mut kv = KvCache::new(model.config(), 32 * 16, 16).unwrap();
            let mut tables: Vec<_> = (0..size).map(|_| BlockTable::new()).collect();
            let mut tokens: Vec<_> = prompts[..size].to_vec();
            let mut starts = vec![0; size];
            for _ in 0..24 {
                for (table, tokens) in tables.iter_mut().zip(&tokens) {
                    kv.reserve(table, tokens.len()).unwrap();
                }
                let batch: Vec<_> = (0..size)
                    .map(|i| SeqChunk {
                        table: &tables[i],
                        start: starts[i],
                        tokens: &tokens[i][starts[i]..],
                        want_logits: true,
                    })
                    .collect();
                let logits = model.forward(&mut kv, &batch, None).unwrap();
                for (i, row) in logits.rows().enumerate() {
                    starts[i] = tokens[i].len();
                    tokens[i].push(argmax(row));
                }
            }
            for i in 0..size {
                assert_eq!(tokens[i][prompts[i].len()..], alone[i], "sequence {i} in a batch of {size}");
            }
        }
    }
}

/// What `ARCHITECTURE.md` states: the largest difference of a logit between naive and fused operators, as a share of
/// the largest logit.
const NAIVE_FUSED_TOLERANCE: f32 = 2e-5;

#[test]
fn naive_and_fused_agree_within_the_tolerance() {
    let tokens: Vec<u32> = (0..300).map(|i| (i * i / 3 % 256) as u32).collect();
    for config in [ModelConfig::tiny(), odd()] {
        let run = |ops: &str| {
            run_chunks(&mut model(&config, OpTable::parse(ops).unwrap(), 2), 16, &[&tokens]).remove(0)
        };
        let naive = run("naive");
        let largest = naive.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest > 1.0, "logits that say something");
        for ops in [
            "fused",
            "attention=fused",
            "rmsnorm=fused,residual=fused",
            "gemm=fused,silu_mul=fused",
            "rope=fused",
        ] {
            let error = run(ops).iter().zip(&naive).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / largest;
            println!("{} {ops}: {error:.2e}", config.hidden_size);
            assert!(error <= NAIVE_FUSED_TOLERANCE, "{ops}: {error}");
        }
    }
}

#[test]
fn vector_width_does_not_change_a_bit() {
    let tokens: Vec<u32> = (0..100).map(|i| i * 2).collect();
    let run = |simd| {
        let weights = Weights::from_seed(&odd(), 7).unwrap();
        let options = ModelOptions { threads: 1, ops: OpTable::fused(), simd: Some(simd) };
        run_chunks(&mut Model::new(weights, options).unwrap(), 16, &[&tokens]).remove(0)
    };
    let baseline = run(Simd::Baseline);
    if Simd::Avx2.available() {
        let avx2 = run(Simd::Avx2);
        for (a, b) in avx2.iter().zip(&baseline) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        if Simd::Avx512.available() {
            assert_eq!(bits(&run(Simd::Avx512)), bits(&avx2));
        }
    }
}
