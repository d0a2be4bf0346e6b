//! Tokens are drawn as often as their probabilities say.

use perfwright_lab::{
    ExternalOp, OpKind, SamplingParams, TensorData, argmax, logprobs, sample, sample_with, sampling_rng,
};
use proptest::prelude::*;

const DRAWS: usize = 40_000;

fn shares(logits: &[f32], params: SamplingParams, kind: &OpKind) -> Vec<f64> {
    let mut rng = sampling_rng(params.seed);
    let mut counts = vec![0.0; logits.len()];
    for _ in 0..DRAWS {
        counts[sample_with(kind, logits, &params, &mut rng).unwrap() as usize] += 1.0 / DRAWS as f64;
    }
    counts
}

/// Five standard deviations of a share are below this.
fn close(shares: &[f64], expected: &[f64]) {
    for (a, b) in shares.iter().zip(expected) {
        assert!((a - b).abs() < 0.0125, "{shares:?} {expected:?}");
    }
}

#[test]
fn shares_follow_the_distribution() {
    let logits = [0.4f32, 0.1, 0.3, 0.2].map(f32::ln);
    let plain = SamplingParams { seed: 3, ..SamplingParams::default() };
    for kind in [OpKind::Naive, OpKind::Fused] {
        close(&shares(&logits, plain, &kind), &[0.4, 0.1, 0.3, 0.2]);
        let halved = SamplingParams { temperature: 0.5, ..plain };
        close(&shares(&logits, halved, &kind), &[0.16 / 0.3, 0.01 / 0.3, 0.09 / 0.3, 0.04 / 0.3]);
        close(
            &shares(&logits, SamplingParams { top_k: 2, ..plain }, &kind),
            &[4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0],
        );
        // 0.4 + 0.3 do not reach 0.75, with 0.2 they do.
        let nucleus = [4.0 / 9.0, 0.0, 3.0 / 9.0, 2.0 / 9.0];
        close(&shares(&logits, SamplingParams { top_p: 0.75, ..plain }, &kind), &nucleus);
        close(&shares(&logits, SamplingParams { min_p: 0.45, ..plain }, &kind), &nucleus);
    }
}

#[test]
fn greedy_takes_the_first_of_equals_and_no_nan() {
    assert_eq!(argmax(&[f32::NAN, 1.0, 3.0, 3.0, f32::NAN]), 2);
    assert_eq!(argmax(&[f32::NEG_INFINITY; 3]), 0);
    let mut rng = sampling_rng(0);
    assert_eq!(sample(&[0.0, 5.0], &SamplingParams::greedy(), &mut rng), 1);
}

#[test]
fn an_operator_from_outside_chooses_and_is_checked() {
    let mut rng = sampling_rng(0);
    let last = |offset: i64| {
        OpKind::External(ExternalOp::new("last", move |tensors, _| {
            let len = tensors[0].f32().len() as i64;
            if let TensorData::I64Mut(token) = &mut tensors[1].data {
                token[0] = len - offset;
            }
            Ok(())
        }))
    };
    let params = SamplingParams::default();
    assert_eq!(sample_with(&last(1), &[0.0; 7], &params, &mut rng).unwrap(), 6);
    assert!(sample_with(&last(0), &[0.0; 7], &params, &mut rng).is_err());
}

proptest! {
    #[test]
    fn any_logits_give_a_token_and_both_variants_the_same(
        logits in prop::collection::vec(prop_oneof![8 => -20f32..20.0, 1 => Just(f32::NAN), 1 => Just(f32::NEG_INFINITY),
            1 => Just(f32::INFINITY)], 1..60),
        temperature in 0f32..3.0, top_p in 0.01f32..=1.0, top_k in 0usize..70, min_p in 0f32..=1.0, seed in any::<u64>(),
    ) {
        let params = SamplingParams { temperature, top_p, top_k, min_p, seed };
        params.check().unwrap();
        let naive = sample_with(&OpKind::Naive, &logits, &params, &mut sampling_rng(seed)).unwrap();
        let fused = sample_with(&OpKind::Fused, &logits, &params, &mut sampling_rng(seed)).unwrap();
        prop_assert!((naive as usize) < logits.len());
        prop_assert_eq!(naive, fused);
    }

    #[test]
    fn log_probabilities_add_up(logits in prop::collection::vec(-20f32..20.0, 1..50), top in 0usize..60) {
        let chosen = argmax(&logits);
        let all = logprobs(&logits, chosen, logits.len());
        let sum: f64 = all.top.iter().map(|(_, p)| f64::from(*p).exp()).sum();
        prop_assert!((sum - 1.0).abs() < 1e-4, "{}", sum);
        prop_assert_eq!(all.top[0], (chosen, all.chosen));
        prop_assert!(all.top.windows(2).all(|w| w[0].1 >= w[1].1));
        prop_assert_eq!(&logprobs(&logits, chosen, top).top[..], &all.top[..top.min(logits.len())]);
    }
}

#[test]
fn settings_without_meaning_are_refused() {
    let base = SamplingParams::default();
    for wrong in [
        SamplingParams { temperature: -1.0, ..base },
        SamplingParams { temperature: f32::NAN, ..base },
        SamplingParams { top_p: 0.0, ..base },
        SamplingParams { top_p: 1.5, ..base },
        SamplingParams { min_p: f32::NAN, ..base },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}
