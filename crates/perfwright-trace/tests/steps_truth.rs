//! Steps against the truth that the generator writes: class, start and duration of every pass, exactly, for every
//! engine, GPU maker, attention library and label form, with and without stacks and graphs.

use perfwright_trace::triage::{Catalogs, triage_text};
use xtask::tracegen::{Annotation, Attention, Class, Engine, Extent, Gpu, Options, generate};

const PATTERNS: [&[Class]; 4] = [
    &[Class::Prefill, Class::Decode, Class::Decode, Class::Decode, Class::Mixed],
    &[Class::Prefill, Class::Draft, Class::Verify, Class::Draft, Class::Verify, Class::Decode],
    &[Class::Prefill, Class::Decode, Class::Decode, Class::Mixed, Class::Capture],
    &[Class::Decode],
];

fn options() -> Vec<Options> {
    let mut all = Vec::new();
    for (engine, gpu) in [
        (Engine::Sglang, Gpu::Nvidia),
        (Engine::Sglang, Gpu::Amd),
        (Engine::Vllm, Gpu::Nvidia),
        (Engine::Vllm, Gpu::Amd),
    ] {
        let own = if engine == Engine::Sglang { Annotation::StepOnly } else { Annotation::Old };
        for attention in [Attention::Fa3, Attention::FlashInfer] {
            for annotation in [Annotation::Engine, own, Annotation::None] {
                for stack in [true, false] {
                    for graph_decode in [false, true] {
                        for pattern in PATTERNS {
                            let pattern = pattern.to_vec();
                            let extent = Extent::Passes(pattern.len() as u64 + 2);
                            let base = Options { extent, tp: 2, layers: 5, seed: 11, ..Options::default() };
                            all.push(Options {
                                engine,
                                gpu,
                                attention,
                                annotation,
                                stack,
                                graph_decode,
                                pattern,
                                ..base
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

#[test]
fn steps_equal_the_truth() {
    let catalogs = Catalogs::new(&[], &[]).unwrap();
    let mut checked = 0;
    for options in options() {
        let mut text = Vec::new();
        // Combinations that no engine writes are refused by the generator.
        let Ok(truth) = generate(&options, &mut text) else { continue };
        // One kind of attention kernel in every pass and nothing else to go by: no reader can tell.
        let undecidable = options.annotation == Annotation::None && options.pattern.len() == 1;
        let answer = triage_text(&text, &catalogs).unwrap();
        let want: Vec<_> =
            truth.steps.iter().map(|s| (s.class.name().to_owned(), s.start_ns, s.duration_ns)).collect();
        let got: Vec<_> =
            answer.steps.iter().map(|s| (s.class.as_str().to_owned(), s.start_ns, s.duration_ns)).collect();
        if undecidable && got.len() != want.len() {
            continue;
        }
        assert_eq!(got, want, "{options:?}");
        checked += 1;
    }
    assert!(checked >= 200, "only {checked} combinations were checked");
}
