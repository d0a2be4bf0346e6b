//! Published parameters and cache sizes of real models. The data is outside the repository.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::path::PathBuf;

use perfwright_model::arch::Architecture;
use perfwright_model::format::KvDtype;
use perfwright_model::{config, kv, params};

fn data() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/model"))
}

fn read(name: &str) -> Architecture {
    config::read(&data().join(format!("configs/{name}_config.json"))).unwrap()
}

fn default_of(class: &str) -> Architecture {
    config::read(&data().join(format!("configs_class_defaults/{class}.json"))).unwrap()
}

#[test]
#[ignore = "needs ../shared/data"]
fn every_row_of_the_truth_table_holds() {
    let table = std::fs::read_to_string(data().join("params_truth.tsv")).unwrap();
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let number = |i: usize| cells[i].parse::<f64>().unwrap();
        let model = read(cells[0]);
        let counted = params::count(&model);
        let total = counted.total as f64 / 1e9;
        let limit = if cells[0].contains("MiMo-7B") { 0.025 } else { 0.013 };
        assert!((total / number(1) - 1.0).abs() <= limit, "{}: {total} against {}", cells[0], cells[1]);
        // The closed form of the table rounds to four digits.
        assert!((total - number(3)).abs() < 1e-4, "{}: {total} against {}", cells[0], cells[3]);
        assert!((counted.active as f64 / 1e9 - number(4)).abs() < 1e-4, "{}", cells[0]);
        assert_eq!(
            kv::whole(&model, KvDtype::Bf16).per_token,
            cells[5].parse::<u64>().unwrap(),
            "{}",
            cells[0]
        );
        rows += 1;
    }
    assert_eq!(rows, 31);
}

#[test]
#[ignore = "needs ../shared/data"]
fn class_defaults_that_equal_releases() {
    for (class, billions, per_token) in [
        ("qwen3_next", 79.67, 24_576),
        ("gemma2", 2.614, 106_496),
        ("mistral", 7.242, 131_072),
        ("phi3", 3.821, 393_216),
        ("phimoe", 41.87, 131_072),
        ("mixtral", 46.70, 131_072),
    ] {
        let model = default_of(class);
        assert!((params::count(&model).total as f64 / 1e9 / billions - 1.0).abs() < 1e-3, "{class}");
        assert_eq!(kv::whole(&model, KvDtype::Bf16).per_token, per_token, "{class}");
    }
}

/// Models of the spec's list that have a config but no row in the table.
#[test]
#[ignore = "needs ../shared/data"]
fn further_published_sizes() {
    for (name, billions, limit) in [
        ("XiaomiMiMo--MiMo-V2-Flash", 309.0, 0.013),
        ("nvidia--Llama-3_3-Nemotron-Super-49B-v1", 49.9, 0.013),
        ("moonshotai--Kimi-K2.5", 1026.0, 0.013),
        ("deepseek-ai--DeepSeek-V4-Flash", 284.0, 0.013),
        // Its compressor is not counted and said so.
        ("deepseek-ai--DeepSeek-V4-Pro", 1600.0, 0.02),
        ("stepfun-ai--Step-3.7-Flash", 196.0, 0.013),
    ] {
        let total = params::count(&read(name)).total as f64 / 1e9;
        assert!((total / billions - 1.0).abs() < limit, "{name}: {total}");
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn checkpoints_take_the_bytes_they_take() {
    // Sizes of the files on the hub: MXFP4 experts with bf16 around them.
    for (name, gigabytes) in [("openai--gpt-oss-20b", 13.76), ("openai--gpt-oss-120b", 65.25)] {
        let bytes = params::rank_bytes(&read(name), &perfwright_model::parallel::Parallel::default()).total
            as f64
            / 1e9;
        assert!((bytes / gigabytes - 1.0).abs() < 0.01, "{name}: {bytes}");
    }
}

/// Every config there is reads without an error, and without a panic in any answer.
#[test]
#[ignore = "needs ../shared/data"]
fn all_configs_read() {
    let mut read = 0;
    for folder in ["configs", "configs_class_defaults"] {
        for entry in std::fs::read_dir(data().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with("_hf_quant_config.json") {
                continue;
            }
            match config::read(&path) {
                Ok(model) => {
                    assert!(params::count(&model).total > 0, "{name}");
                    let _ = perfwright_model::show::show(&model);
                    read += 1;
                }
                // Class defaults that describe no model: experts without a number per token; heads that do not divide.
                Err(e) => {
                    assert!(["deepseek_v2.json", "glm4_moe.json"].contains(&name.as_str()), "{name}: {e}");
                }
            }
        }
    }
    assert_eq!(read, 89 + 36 - 2);
}
