//! GPUs: `catalog/hardware`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::format::Compute;

const FILES: [(&str, &str); 2] = [
    ("hardware/nvidia.toml", include_str!("../../../catalog/hardware/nvidia.toml")),
    ("hardware/amd.toml", include_str!("../../../catalog/hardware/amd.toml")),
];

/// A figure and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The value in the field's unit.
    pub value: u64,
    /// What says so.
    pub source: String,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Its name here.
    pub name: String,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Dense operations per second in bf16.
    pub bf16_flops: Figure,
    /// The same in fp8 or int8.
    pub fp8_flops: Option<Figure>,
    /// The same in fp4.
    pub fp4_flops: Option<Figure>,
    /// Bytes per second of its memory.
    pub bandwidth: Figure,
    /// Bytes of memory a process sees.
    pub memory_bytes: Figure,
    /// Bytes per second to the other GPUs of a node, one way.
    pub link: Option<Figure>,
    /// Bytes per second between nodes, one way.
    pub network: Option<Figure>,
    /// GPUs of a node.
    pub gpus_per_node: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: Vec<Source>,
    gpu: Vec<Gpu>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    id: String,
    what: String,
    url: String,
}

impl Gpu {
    /// Dense operations per second for products in `compute`. A GPU without that precision widens to the next one.
    pub fn flops(&self, compute: Compute) -> f64 {
        let bf16 = self.bf16_flops.value as f64;
        let fp8 = self.fp8_flops.as_ref().map_or(bf16, |f| f.value as f64);
        match compute {
            // tf32 runs at half the rate of bf16 at best.
            Compute::Fp32 => bf16 / 2.0,
            Compute::Bf16 => bf16,
            Compute::Fp8 => fp8,
            Compute::Fp4 => self.fp4_flops.as_ref().map_or(fp8, |f| f.value as f64),
        }
    }

    /// The figures, with the names of their fields.
    pub fn figures(&self) -> Vec<(&'static str, &Figure)> {
        let optional = [
            ("fp8_flops", &self.fp8_flops),
            ("fp4_flops", &self.fp4_flops),
            ("link", &self.link),
            ("network", &self.network),
        ];
        let given = [
            ("bf16_flops", &self.bf16_flops),
            ("bandwidth", &self.bandwidth),
            ("memory_bytes", &self.memory_bytes),
        ];
        let optional = optional.into_iter().filter_map(|(name, figure)| Some((name, figure.as_ref()?)));
        given.into_iter().chain(optional).collect()
    }
}

/// Every GPU of the catalogue. Each figure's source is replaced by its text and address.
///
/// # Errors
/// Where the catalogue that is compiled in does not follow its form; a test keeps that from being released.
pub fn all() -> Result<Vec<Gpu>, ModelError> {
    let mut gpus = Vec::new();
    for (name, text) in FILES {
        let broken = |cause: String| ModelError::Catalog { file: name.to_owned(), cause };
        let mut file: File = toml::from_str(text).map_err(|e| broken(e.to_string()))?;
        for gpu in &mut file.gpu {
            let owner = gpu.name.clone();
            let named = [
                Some(&mut gpu.bf16_flops),
                gpu.fp8_flops.as_mut(),
                gpu.fp4_flops.as_mut(),
                Some(&mut gpu.bandwidth),
                Some(&mut gpu.memory_bytes),
                gpu.link.as_mut(),
                gpu.network.as_mut(),
            ];
            for figure in named.into_iter().flatten() {
                let source = file.source.iter().find(|s| s.id == figure.source);
                let source = source.filter(|s| s.what.len() > 10 && s.url.starts_with("https://"));
                let source =
                    source.ok_or_else(|| broken(format!("{owner}: no source `{}`", figure.source)))?;
                if figure.value == 0 {
                    return Err(broken(format!("{owner}: a figure is 0")));
                }
                figure.source = format!("{} <{}>", source.what, source.url);
            }
        }
        gpus.append(&mut file.gpu);
    }
    Ok(gpus)
}

/// The GPU of that name or alias.
///
/// # Errors
/// Where there is none, with the names there are.
pub fn find(name: &str) -> Result<Gpu, ModelError> {
    let gpus = all()?;
    let wanted = name.to_ascii_lowercase();
    let is = |gpu: &&Gpu| gpu.name == wanted || gpu.aliases.contains(&wanted);
    gpus.iter().find(is).cloned().ok_or_else(|| ModelError::NoGpu {
        name: name.to_owned(),
        known: gpus.into_iter().map(|gpu| gpu.name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_source_and_names_are_unique() {
        let gpus = all().unwrap();
        let mut names: Vec<&str> =
            gpus.iter().flat_map(|g| g.aliases.iter().chain([&g.name])).map(String::as_str).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(gpus.iter().flat_map(Gpu::figures).all(|(_, figure)| figure.source.contains("https://")));
        assert_eq!(find("H200").unwrap().bandwidth.value, 4_800_000_000_000);
    }

    /// Dense rates: sparsity figures from data sheets are twice as high.
    #[test]
    fn rates_are_dense_and_narrower_formats_are_not_slower() {
        for gpu in all().unwrap() {
            assert!(gpu.flops(Compute::Fp8) >= gpu.flops(Compute::Bf16), "{}", gpu.name);
            assert!(gpu.flops(Compute::Fp4) >= gpu.flops(Compute::Fp8), "{}", gpu.name);
        }
        assert_eq!(find("h100").unwrap().flops(Compute::Bf16), 989e12);
    }

    /// Known defect C13: marketing gigabytes taken for gibibytes.
    #[test]
    fn trap_c13_memory_is_what_a_process_sees() {
        let gib = |name: &str| find(name).unwrap().memory_bytes.value as f64 / f64::from(1 << 30);
        assert!(gib("h100") < 79.7 && gib("h200") < 140.5);
    }

    /// Known defect S10: an unknown GPU silently drops the result.
    #[test]
    fn trap_s10_an_unknown_gpu_is_an_error_with_the_known_names() {
        let error = find("h900").unwrap_err();
        assert!(matches!(error, ModelError::NoGpu { known, .. } if known.contains(&"mi300x".to_owned())));
    }
}
