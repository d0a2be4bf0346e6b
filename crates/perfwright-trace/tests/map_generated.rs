//! Generated traces joined to the model they were generated for, and to models they were not.

mod common;

use std::path::Path;

use common::{Made, catalogs};
use perfwright_model::arch::Architecture;
use perfwright_model::config::from_value;
use perfwright_model::format::KvDtype;
use perfwright_model::hardware::{Gpu as Hardware, find};
use perfwright_model::ops::Category;
use perfwright_model::parallel::Parallel;
use perfwright_trace::map::report::{Basis, Kind, TokensFrom, TpFrom, TraceMap};
use perfwright_trace::map::{MapError, MapOptions, map};
use perfwright_trace::steps::Class as Step;
use xtask::tracegen::{Annotation, Class, Dims, Engine, Extent, Gpu, Options};

const DIMS: Dims =
    Dims { hidden: 1024, heads: 16, kv_heads: 4, head_dim: 64, inner: 3072, experts: 64, vocab: 32_000 };

fn model(layers: u32, moe: bool) -> Architecture {
    let mut config = serde_json::json!({
        "model_type": if moe { "qwen3_moe" } else { "qwen3" }, "hidden_size": DIMS.hidden,
        "num_hidden_layers": layers, "vocab_size": DIMS.vocab, "num_attention_heads": DIMS.heads,
        "num_key_value_heads": DIMS.kv_heads, "head_dim": DIMS.head_dim, "intermediate_size": DIMS.inner,
        "torch_dtype": "bfloat16",
    });
    if moe {
        config["num_experts"] = DIMS.experts.into();
        config["num_experts_per_tok"] = 8.into();
        config["moe_intermediate_size"] = 256.into();
    }
    from_value(Path::new("config.json"), &config, None).expect("a config")
}

fn trace(o: Options) -> Options {
    Options { layers: 4, dims: Some(DIMS), extent: Extent::Passes(4), fusions: o.fusions, ..o }
}

fn options<'a>(model: &'a Architecture, gpu: &'a Hardware, tp: Option<u64>) -> MapOptions<'a> {
    MapOptions {
        model,
        gpu,
        parallel: Parallel { tp: tp.unwrap_or(1), ..Parallel::default() },
        tp_given: tp.is_some(),
        kv_dtype: KvDtype::named("bf16").expect("a format"),
        weights: None,
        phase: None,
        pass: None,
        batch: None,
        tokens: None,
        context: None,
        capture: None,
        cache_dir: None,
        rank: None,
    }
}

fn ask(o: &Options, model: &Architecture, tp: Option<u64>) -> TraceMap {
    let made = Made::new(o);
    let gpu = find(if o.gpu == Gpu::Amd { "mi300x" } else { "h100" }).expect("a GPU");
    let answer = map(&made.path, catalogs(), &options(model, &gpu, tp)).unwrap_or_else(|e| panic!("{e}"));
    adds_up(&answer);
    answer
}

/// Every piece of device work is in one row, and no share is above its peak.
fn adds_up(m: &TraceMap) {
    for class in &m.classes {
        let of = m.operators.iter().filter(|r| r.class == class.class).map(|r| r.time_ns);
        let rest = m.unmapped.iter().filter(|r| r.class == class.class).map(|r| r.time_ns);
        assert_eq!(of.chain(rest).sum::<i64>(), class.device_ns, "{class:?}");
        let passes = m.passes.iter().filter(|p| p.class == class.class).map(|p| p.device_ns);
        assert_eq!(passes.sum::<i64>(), class.device_ns);
    }
    let total: i64 = m.inputs.iter().map(|i| i.totals.device_ns()).sum();
    assert_eq!(m.classes.iter().map(|c| c.device_ns).sum::<i64>() + m.outside.total_ns, total);
    for figures in m.operators.iter().map(|r| r.figures).chain(m.classes.iter().map(|c| c.figures)) {
        assert!(figures.mfu.is_none_or(|s| s <= 1.0) && figures.mbu.is_none_or(|s| s <= 1.0), "{figures:?}");
    }
    assert!(m.verdict.len() <= 10);
}

fn kinds(m: &TraceMap) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = m.disagreements.iter().map(|d| d.kind).collect();
    kinds.dedup();
    kinds
}

/// Each product of an eager pass counts once, whatever engine wrote it and on however many ranks.
#[test]
fn recorded_products_are_those_of_the_model() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        for gpu in [Gpu::Nvidia, Gpu::Amd] {
            for tp in [1, 2, 4] {
                let o = trace(Options { engine, gpu, tp, ranks: tp, ..Options::default() });
                let m = ask(&o, &model(4, false), None);
                let what = format!("{engine:?} {gpu:?} {tp}: {:?}", m.disagreements);
                assert_eq!(
                    (m.question.parallel.tp, m.question.tp_from),
                    (tp.into(), TpFrom::RecordedShapes),
                    "{what}"
                );
                assert_eq!(m.passes.len(), 4, "{what}");
                for pass in &m.passes {
                    assert_eq!(pass.gemm.recorded, 4 * 4 + 1, "{what}");
                    assert_eq!(Some(pass.gemm.recorded_flops), pass.gemm.model_all_flops, "{what}");
                    assert_eq!(pass.gemm.ratio, Some(1.0), "{what}");
                    assert_eq!(pass.tokens_from, TokensFrom::Label);
                }
                assert!(m.disagreements.is_empty(), "{what}");
                for row in m.operators.iter().filter(|r| r.category == Category::Gemm) {
                    assert_eq!(row.basis, Basis::RecordedShapes, "{row:?}");
                    assert!(row.figures.mfu.is_some() && row.figures.mbu.is_some(), "{row:?}");
                }
                let attention = m.operators.iter().find(|r| r.name == "attention").unwrap();
                assert_eq!(attention.basis, Basis::StepAnnotation);
                assert!(tp == 1 || m.operators.iter().any(|r| r.name == "tp_all_reduce"), "{what}");
            }
        }
    }
}

#[test]
fn quantised_products_are_recognised_by_their_operators() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        let o = trace(Options { engine, fp8: true, ..Options::default() });
        let m = ask(&o, &model(4, false), Some(1));
        assert!(m.passes.iter().all(|p| p.gemm.ratio == Some(1.0)), "{:?}", m.disagreements);
        // The config stores bf16, the kernels compute in fp8.
        let wrong: Vec<_> = m.disagreements.iter().filter(|d| d.kind == Kind::Dtype).collect();
        assert!(wrong.iter().any(|d| d.subject == "qkv_proj" && d.found == "fp8"), "{:?}", m.disagreements);
        assert!(wrong.iter().all(|d| d.subject != "lm_head"));
    }
}

/// Replays and traces without shapes are joined by the order of kernels, to the same work.
#[test]
fn order_gives_what_sizes_give() {
    for moe in [false, true] {
        let eager = trace(Options { moe, ..Options::default() });
        let with = ask(&eager, &model(4, moe), Some(1));
        for other in [
            Options { shapes: false, ..eager.clone() },
            Options { shapes: false, stack: false, ..eager.clone() },
            Options { graph_decode: true, ..eager.clone() },
        ] {
            let m = ask(&other, &model(4, moe), Some(1));
            assert!(m.disagreements.is_empty(), "{:?}", m.disagreements);
            assert!(with.disagreements.is_empty(), "{:?}", with.disagreements);
            for row in with.operators.iter().filter(|r| r.class == Step::Decode && r.figures.flops > Some(0))
            {
                let same = m.operators.iter().find(|o| (o.class, &o.name) == (row.class, &row.name));
                let same = same.unwrap_or_else(|| panic!("no {}", row.name));
                assert_eq!(same.figures.flops, row.figures.flops, "{}", row.name);
                assert_eq!(same.layers, row.layers);
                if row.name != "attention" {
                    assert_eq!(same.basis, Basis::Modelled, "{}", row.name);
                }
            }
        }
    }
}

#[test]
fn experts_are_modelled_and_dense_products_recorded() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        let o = trace(Options { engine, moe: true, ..Options::default() });
        let m = ask(&o, &model(4, true), None);
        assert!(m.disagreements.is_empty(), "{:?}", m.disagreements);
        for row in m.operators.iter().filter(|r| r.category == Category::Moe) {
            assert_eq!(row.basis, Basis::Modelled, "{row:?}");
            assert!(row.figures.flops > Some(0));
        }
        assert!(m.operators.iter().any(|r| r.category == Category::Moe));
        let router = m.operators.iter().find(|r| r.name == "router").unwrap();
        assert_eq!(router.basis, Basis::RecordedShapes);
        assert_eq!(router.shape.map(|s| (s[1], s[2])), Some((64, 1024)));
    }
}

#[test]
fn another_number_of_ranks_is_named() {
    let o = trace(Options { tp: 2, ranks: 2, ..Options::default() });
    for given in [1, 4] {
        let m = ask(&o, &model(4, false), Some(given));
        let row = m.disagreements.iter().find(|d| d.kind == Kind::TensorParallel).unwrap();
        assert_eq!((row.expected.as_str(), row.found.as_str()), (&*format!("--tp {given}"), "--tp 2"));
        assert!(row.evidence.iter().any(|e| e.contains("N 3072, K 1024")), "{row:?}");
    }
    assert!(ask(&o, &model(4, false), Some(2)).disagreements.is_empty());
}

#[test]
fn another_number_of_layers_is_named() {
    for graph_decode in [false, true] {
        let o = trace(Options { graph_decode, ..Options::default() });
        for layers in [2, 3, 8] {
            let m = ask(&o, &model(layers, false), None);
            let rows: Vec<_> = m.disagreements.iter().filter(|d| d.kind == Kind::LayerCount).collect();
            assert_eq!(rows.len(), 2, "prefill and decode: {:?}", m.disagreements);
            assert!(rows.iter().all(|d| d.expected == format!("{layers} layers") && d.found == "4 layers"));
        }
    }
    // Stages show a part of the layers.
    let made = Made::new(&trace(Options::default()));
    let (eight, gpu) = (model(8, false), find("h100").unwrap());
    let halves =
        MapOptions { parallel: Parallel { pp: 2, ..Parallel::default() }, ..options(&eight, &gpu, Some(1)) };
    let m = map(&made.path, catalogs(), &halves).unwrap();
    assert!(!kinds(&m).contains(&Kind::LayerCount), "{:?}", m.disagreements);
}

#[test]
fn products_of_another_model_are_left_over() {
    let mut config = model(4, false);
    config.hidden = 2048;
    let m = ask(&trace(Options::default()), &config, Some(1));
    assert!(kinds(&m).contains(&Kind::KernelWithoutOperator), "{:?}", kinds(&m));
    let missing = |name: &str| {
        m.disagreements.iter().any(|d| d.kind == Kind::OperatorWithoutKernels && d.subject == name)
    };
    assert!(missing("qkv_proj") && missing("o_proj") && missing("gate_up_proj"), "{:?}", m.disagreements);
}

/// Kernels faster than the hardware allows are refused with a reason, and nothing is above 100 %.
#[test]
fn faster_than_possible_is_refused() {
    let big = Dims { hidden: 8192, heads: 64, kv_heads: 8, head_dim: 128, inner: 28_672, ..DIMS };
    let mut large = model(4, false);
    let config = serde_json::json!({
        "model_type": "qwen3", "hidden_size": 8192, "num_hidden_layers": 4, "vocab_size": 32_000,
        "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 28_672,
        "torch_dtype": "bfloat16",
    });
    large.clone_from(&from_value(Path::new("config.json"), &config, None).unwrap());
    let made = Made::new(&Options { dims: Some(big), ..trace(Options::default()) });
    let gpu = find("l4").unwrap();
    let m = map(&made.path, catalogs(), &options(&large, &gpu, Some(1))).unwrap();
    adds_up(&m);
    assert_eq!(m.stop.as_ref().map(|s| s.code.as_str()), Some("PW0220"));
    assert_eq!(m.verdict[0].about, "refused");
    let row = m.disagreements.iter().find(|d| d.kind == Kind::FasterThanPossible).unwrap();
    assert!(row.evidence.iter().any(|e| e.contains("MFU would be") || e.contains("MBU would be")), "{row:?}");
    assert!(row.evidence.len() > 1, "no cause: {row:?}");
    let refused = m.operators.iter().find(|o| o.name == row.subject && Some(o.class) == row.class).unwrap();
    assert!(refused.figures.mfu.is_none() || refused.figures.mbu.is_none(), "{refused:?}");
}

/// Nothing tells the tokens: shapes are joined all the same, figures of what is not recorded are unknown.
#[test]
fn unknown_tokens_stay_unknown() {
    let o = trace(Options { annotation: Annotation::None, shapes: false, ..Options::default() });
    let made = Made::new(&o);
    let (four, gpu) = (model(4, false), find("h100").unwrap());
    let m = map(&made.path, catalogs(), &options(&four, &gpu, Some(1))).unwrap();
    adds_up(&m);
    assert!(m.passes.iter().all(|p| p.tokens.is_none() && p.tokens_from == TokensFrom::Unknown));
    assert!(m.operators.iter().all(|r| r.basis == Basis::Unknown && r.figures.flops.is_none()));
    assert!(m.operators.iter().any(|r| r.name == "gate_up_proj" && r.time_ns > 0));
    let told = MapOptions {
        batch: Some(8),
        context: Some(100),
        phase: Some(Step::Decode),
        ..options(&four, &gpu, Some(1))
    };
    let m = map(&made.path, catalogs(), &told).unwrap();
    assert!(m.passes.iter().all(|p| p.tokens == Some(8) && p.tokens_from == TokensFrom::Given));
    let attention = m.operators.iter().find(|r| r.name == "attention").unwrap();
    assert_eq!(attention.basis, Basis::Modelled);
    // Scores and sums over 101 keys in 4 layers for 8 requests.
    assert_eq!(attention.figures.flops, Some(4 * 16 * 64 * 101 * 8 * 4));
}

#[test]
fn passes_and_classes_can_be_chosen() {
    let made = Made::new(&trace(Options {
        pattern: vec![Class::Prefill, Class::Decode, Class::Mixed],
        ..Options::default()
    }));
    let (four, gpu) = (model(4, false), find("h100").unwrap());
    let with = |phase, pass| {
        let asked = MapOptions { phase, pass, ..options(&four, &gpu, None) };
        map(&made.path, catalogs(), &asked)
    };
    let m = with(Some(Step::Mixed), None).unwrap();
    assert!(m.passes.iter().all(|p| p.class == Step::Mixed && p.gemm.ratio == Some(1.0)), "{:?}", m.passes);
    let attention = m.operators.iter().find(|r| r.name == "attention").unwrap();
    assert_eq!(attention.basis, Basis::StepAnnotation);
    assert_eq!(with(None, Some(1)).unwrap().passes.len(), 1);
    assert!(matches!(with(None, Some(99)), Err(MapError::Trace(_))));
    assert!(matches!(with(Some(Step::Verify), None), Err(MapError::Trace(_))));
    let bad = map(&made.path, catalogs(), &options(&four, &gpu, Some(3)));
    assert!(matches!(bad, Err(MapError::Model(_))));
}
