//! GPUs, their drivers and who uses them, from the vendors' tools.
//!
//! Formats: NVIDIA `nvidia-smi --help-query-gpu`; AMD `rocm-smi --json` and `amd-smi static --json` (ROCm documentation).

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tool::run_tool;

/// One GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuDevice {
    /// Number on this machine.
    pub index: u32,
    /// Product name.
    pub name: String,
    /// Identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory in use, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Busy time in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_percent: Option<u32>,
    /// Driver version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Clock of the processors, in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<u32>,
    /// Highest such clock, in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clock_mhz: Option<u32>,
}

/// A process that holds GPU memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuProcess {
    /// The GPU's identity.
    pub uuid: String,
    /// Its id, as the driver sees it.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
}

/// What the vendors' tools say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuProbe {
    /// The tool that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The GPUs.
    pub devices: Vec<GpuDevice>,
    /// Versions of the tools and of what they belong to, such as `cuda` and `rocm`, as the tool names them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
    /// Processes on them; empty also where the tool does not tell.
    pub processes: Vec<GpuProcess>,
    /// Why there are no devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

const QUERY: &str = "--query-gpu=index,name,uuid,memory.total,memory.used,utilization.gpu,driver_version,clocks.sm,clocks.max.sm";
const APPS: &str = "--query-compute-apps=gpu_uuid,pid,used_memory,process_name";
const CSV: &str = "--format=csv,noheader,nounits";
const LIMIT: Duration = Duration::from_secs(20);
const MAX_DEVICES: usize = 256;

/// Asks `nvidia-smi`, `amd-smi` and `rocm-smi` of `path`, in this order, until one names a GPU.
#[must_use]
pub fn probe_gpus(path: &str) -> GpuProbe {
    let find = |program: &str| {
        path.split(':')
            .filter(|d| !d.is_empty())
            .map(|d| std::path::Path::new(d).join(program))
            .find(|p| p.is_file())
            .map(|p| p.to_string_lossy().into_owned())
    };
    let mut reasons = Vec::new();
    let mut ask = |program: &str, args: &[&str]| -> Option<String> {
        let Some(full) = find(program) else {
            reasons.push(format!("{program} is not there"));
            return None;
        };
        match run_tool(&full, args, path, LIMIT) {
            Ok(output) if output.ok => Some(output.stdout),
            Ok(_) => {
                reasons.push(format!("{program} fails"));
                None
            }
            Err(e) => {
                reasons.push(e.to_string());
                None
            }
        }
    };
    if let Some(devices) = ask("nvidia-smi", &[QUERY, CSV]) {
        let apps = ask("nvidia-smi", &[APPS, CSV]).unwrap_or_default();
        let (devices, processes) = parse_nvidia_smi(&devices, &apps);
        if !devices.is_empty() {
            let versions = ask("nvidia-smi", &["--version"]).map(|t| parse_versions(&t)).unwrap_or_default();
            return GpuProbe {
                tool: Some("nvidia-smi".to_owned()),
                versions,
                devices,
                processes,
                reason: None,
            };
        }
    }
    type Parse = fn(&str) -> Vec<GpuDevice>;
    let amd: [(&str, &[&str], Parse); 2] = [
        ("amd-smi", &["static", "--json"], parse_amd_smi),
        (
            "rocm-smi",
            &[
                "--showproductname",
                "--showdriverversion",
                "--showmeminfo",
                "vram",
                "--showuse",
                "--showuniqueid",
                "--json",
            ],
            parse_rocm_smi,
        ),
    ];
    for (tool, args, parse) in amd {
        let devices = ask(tool, args).map(|text| parse(&text)).unwrap_or_default();
        if !devices.is_empty() {
            let how: &[&str] = if tool == "amd-smi" { &["version"] } else { &["--version"] };
            let versions = ask(tool, how).map(|t| parse_versions(&t)).unwrap_or_default();
            return GpuProbe { tool: Some(tool.to_owned()), versions, devices, ..GpuProbe::default() };
        }
    }
    GpuProbe { reason: Some(reasons.join("; ")), ..GpuProbe::default() }
}

/// Reads both answers of `nvidia-smi` (`csv,noheader,nounits`); memory is in MiB there. `[N/A]` and `[Not Supported]` are
/// absent. Lines that are no devices are left out.
#[must_use]
pub fn parse_nvidia_smi(devices: &str, apps: &str) -> (Vec<GpuDevice>, Vec<GpuProcess>) {
    let devices = devices
        .lines()
        .filter_map(|line| {
            let f: Vec<&str> = line.split(',').map(str::trim).collect();
            let [index, name, uuid, total, used, busy, driver, clock, max] = f[..] else { return None };
            Some(GpuDevice {
                index: index.parse().ok()?,
                name: clean(name)?,
                uuid: clean(uuid),
                memory_bytes: mib(total),
                used_bytes: mib(used),
                busy_percent: busy.parse().ok(),
                driver: clean(driver),
                clock_mhz: clock.parse().ok(),
                max_clock_mhz: max.parse().ok(),
            })
        })
        .take(MAX_DEVICES)
        .collect();
    let processes = apps
        .lines()
        .filter_map(|line| {
            // The name comes last, since it may hold commas.
            let mut f = line.splitn(4, ',').map(str::trim);
            let (uuid, pid, used, name) = (f.next()?, f.next()?, f.next()?, f.next()?);
            Some(GpuProcess {
                uuid: clean(uuid)?,
                pid: pid.parse().ok()?,
                used_bytes: mib(used),
                name: clean(name)?,
            })
        })
        .take(4096)
        .collect();
    (devices, processes)
}

/// Reads `rocm-smi --json`: `card0`, `card1`, ... and `system`.
#[must_use]
pub fn parse_rocm_smi(text: &str) -> Vec<GpuDevice> {
    let Ok(Value::Object(all)) = serde_json::from_str(text) else { return Vec::new() };
    let driver =
        all.get("system").and_then(|s| s.get("Driver version")).and_then(Value::as_str).and_then(clean);
    let mut devices: Vec<GpuDevice> = all
        .iter()
        .filter_map(|(key, card)| {
            let index = key.strip_prefix("card")?.parse().ok()?;
            let field = |names: &[&str]| names.iter().find_map(|n| card.get(*n)).and_then(Value::as_str);
            Some(GpuDevice {
                index,
                name: field(&["Card Series", "Card series", "Card Model", "Card model"]).and_then(clean)?,
                uuid: field(&["Unique ID"]).and_then(clean),
                memory_bytes: field(&["VRAM Total Memory (B)"]).and_then(|v| v.parse().ok()),
                used_bytes: field(&["VRAM Total Used Memory (B)"]).and_then(|v| v.parse().ok()),
                busy_percent: field(&["GPU use (%)"]).and_then(|v| v.parse().ok()),
                driver: driver.clone(),
                ..GpuDevice::default()
            })
        })
        .take(MAX_DEVICES)
        .collect();
    devices.sort_by_key(|d| d.index);
    devices
}

/// Reads `amd-smi static --json`: a list, in newer releases inside `gpu_data`.
#[must_use]
pub fn parse_amd_smi(text: &str) -> Vec<GpuDevice> {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let list = value.get("gpu_data").unwrap_or(&value).as_array().cloned().unwrap_or_default();
    list.iter()
        .filter_map(|gpu| {
            let text = |at: &str| gpu.pointer(at).and_then(Value::as_str).and_then(clean);
            let size = gpu.pointer("/vram/size");
            let unit = match size.and_then(|s| s.get("unit")).and_then(Value::as_str) {
                Some("GB") => 1 << 30,
                _ => 1 << 20,
            };
            let amount = size.and_then(|s| s.get("value").unwrap_or(s).as_u64());
            Some(GpuDevice {
                index: gpu.get("gpu").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())?,
                name: text("/asic/market_name").or_else(|| text("/board/product_name"))?,
                uuid: text("/asic/asic_serial"),
                memory_bytes: amount.and_then(|n| n.checked_mul(unit)),
                driver: text("/driver/version"),
                ..GpuDevice::default()
            })
        })
        .take(MAX_DEVICES)
        .collect()
}

/// Reads what the tools print of their versions: `CUDA Version : 12.4` a line (`nvidia-smi --version`), or
/// `AMDSMI Tool: 24.6.2 | ROCm version: 6.2.0` in one (`amd-smi version`). Names come out in lower case with underscores.
fn parse_versions(text: &str) -> BTreeMap<String, String> {
    let parts = text.lines().take(64).flat_map(|line| line.split('|'));
    let pair = |part: &str| {
        let (name, value) = part.split_once(':')?;
        let name: String = name.trim().to_ascii_lowercase();
        let name = name.trim_end_matches(" version").replace([' ', '-'], "_");
        let plain = !name.is_empty()
            && name.len() <= 60
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let value = clean(value)?;
        (plain && value.contains(|c: char| c.is_ascii_digit())).then_some((name, value))
    };
    parts.filter_map(pair).take(16).collect()
}

fn mib(text: &str) -> Option<u64> {
    text.parse::<u64>().ok()?.checked_mul(1 << 20)
}

fn clean(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    (!text.is_empty() && !text.starts_with("[N") && text != "N/A").then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nvidia() {
        let devices = "0, NVIDIA H100 80GB HBM3, GPU-1, 81559, 1024, 3, 550.54.15, 1980, 1980\n\
                       1, NVIDIA GB10, GPU-2, [N/A], [N/A], [Not Supported], 580.95.05, 2405, 3003\n\
                       No devices were found\n";
        let apps = "GPU-1, 4242, 18000, python3 -c a,b\nGPU-2, 7, [N/A], /usr/bin/x\n\n";
        let (devices, apps) = parse_nvidia_smi(devices, apps);
        assert_eq!(devices.len(), 2);
        assert_eq!((devices[0].memory_bytes, devices[0].busy_percent), (Some(81559 << 20), Some(3)));
        assert_eq!(devices[0].driver.as_deref(), Some("550.54.15"));
        assert_eq!(
            (devices[1].memory_bytes, devices[1].busy_percent, devices[1].max_clock_mhz),
            (None, None, Some(3003))
        );
        assert_eq!(
            (apps[0].pid, apps[0].name.as_str(), apps[0].used_bytes),
            (4242, "python3 -c a,b", Some(18000 << 20))
        );
        assert_eq!((apps.len(), apps[1].used_bytes), (2, None));
    }

    #[test]
    fn amd() {
        let rocm = r#"{"card1": {"Card Series": "AMD Instinct MI300X", "VRAM Total Memory (B)": "206141652992", "GPU use (%)": "0"},
            "card0": {"Card series": "AMD Instinct MI300X", "Unique ID": "0x1"}, "system": {"Driver version": "6.10.5"}}"#;
        let devices = parse_rocm_smi(rocm);
        assert_eq!(devices.iter().map(|d| d.index).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(
            (devices[1].memory_bytes, devices[1].driver.as_deref()),
            (Some(206_141_652_992), Some("6.10.5"))
        );
        let list = r#"[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X", "asic_serial": "0xA"},
            "driver": {"name": "amdgpu", "version": "6.10.5"}, "vram": {"type": "HBM", "size": {"value": 196592, "unit": "MB"}}}]"#;
        for text in [list.to_owned(), format!("{{\"gpu_data\": {list}}}")] {
            let devices = parse_amd_smi(&text);
            assert_eq!((devices.len(), devices[0].memory_bytes), (1, Some(196_592 << 20)));
        }
        for junk in ["", "[]", "{}", "[1, {\"gpu\": -1}]", "WARNING: no GPU"] {
            assert!(parse_rocm_smi(junk).is_empty() && parse_amd_smi(junk).is_empty());
        }
    }

    #[test]
    fn versions() {
        let nvidia = "NVIDIA-SMI version  : 550.54.14\nNVML version        : 550.54\nDRIVER version      : 550.54.14\nCUDA Version        : 12.4\n";
        let v = parse_versions(nvidia);
        assert_eq!((v["nvidia_smi"].as_str(), v["cuda"].as_str(), v.len()), ("550.54.14", "12.4", 4));
        let v = parse_versions(
            "AMDSMI Tool: 24.6.2+2b02a07 | AMDSMI Library version: 24.6.2.0 | ROCm version: 6.2.0\n",
        );
        assert_eq!((v["amdsmi_tool"].as_str(), v["rocm"].as_str()), ("24.6.2+2b02a07", "6.2.0"));
        assert!(parse_versions("junk\n: 1\nname: none\n").is_empty());
    }

    #[test]
    fn no_tool_is_stated() {
        let dir = tempfile::tempdir().expect("a folder");
        let probe = probe_gpus(&dir.path().to_string_lossy());
        assert!(
            probe.devices.is_empty() && probe.reason.expect("a reason").contains("nvidia-smi is not there")
        );
    }

    #[test]
    fn a_tool_that_answers_is_believed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let tool = dir.path().join("nvidia-smi");
        let script = "#!/bin/sh\ncase $1 in *gpu=*) echo '0, NVIDIA L4, GPU-1, 23034, 1, 0, 550.1, 210, 2040';; --version) echo 'CUDA Version : 12.4';; esac\n";
        std::fs::write(&tool, script).expect("a tool");
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        let mut probe = GpuProbe::default();
        // Another test's child may hold the script open for writing between its fork and its exec (ETXTBSY).
        for _ in 0..100 {
            probe = probe_gpus(&dir.path().to_string_lossy());
            if probe.tool.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!((probe.tool.as_deref(), probe.devices.len()), (Some("nvidia-smi"), 1), "{probe:?}");
        assert_eq!(probe.versions.get("cuda").map(String::as_str), Some("12.4"));
    }
}
