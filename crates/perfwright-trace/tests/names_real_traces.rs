//! Kernel names of the real traces beside the checkout: categories against the given truth, unknown
//! share, display names. Not part of the repository, so ignored where the folder is absent.

#![allow(clippy::print_stdout, reason = "figures for the report, shown with --nocapture")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use perfwright_trace::names::{Catalog, Symbol};
use serde_json::Value;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/trace");

/// Rows of the truth file we argue are wrong: (file part, kernel part, given, ours).
const ARGUED: &[(&str, &str, &str, &str)] = &[
    // FBGEMM's table-batched embedding look-up and its optimiser step: no matrix product in them, and
    // the same kernels are accepted as embedding for the other traces of the truth file.
    ("hta/multirank/sampled_rank-", "split_embedding_backward_codegen_rowwise_adagrad", "gemm", "embedding"),
    ("hta/multirank/sampled_rank-", "split_embedding_codegen_forward_unweighted_kernel", "gemm", "embedding"),
];

/// A kernel of a trace: name, most frequent CPU operation, device time in ns.
struct Kernel {
    name: String,
    op: Option<String>,
    ns: u64,
}

fn traces() -> Vec<PathBuf> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> =
            fs::read_dir(dir).expect("data folder").map(|e| e.expect("entry").path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                if name != "ref_output" {
                    walk(&path, out);
                }
            } else if (name.ends_with(".json") || name.ends_with(".json.gz")) && name != "facts.json" {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(Path::new(DATA), &mut out);
    out
}

fn kernels(path: &Path) -> Vec<Kernel> {
    let mut bytes = fs::read(path).expect("trace");
    if path.extension().is_some_and(|e| e == "gz") {
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).expect("gzip");
        bytes = text;
    }
    // Some profilers print control characters raw; they carry nothing here.
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    text.retain(|c| !c.is_control());
    let root: Value = serde_json::from_str(&text).expect("json");
    let Some(events) = root.get("traceEvents").unwrap_or(&root).as_array() else { return Vec::new() };
    let mut ops: BTreeMap<i64, &str> = BTreeMap::new();
    let mut launches: BTreeMap<i64, i64> = BTreeMap::new();
    let arg = |e: &Value, key: &str| e.get("args").and_then(|a| a.get(key)).and_then(Value::as_i64);
    for e in events {
        let cat = e.get("cat").and_then(Value::as_str).unwrap_or_default();
        if cat == "cpu_op"
            && let Some(id) = arg(e, "External id")
        {
            ops.insert(id, e["name"].as_str().unwrap_or_default());
        }
        if cat.starts_with("cuda_")
            && let (Some(c), Some(id)) = (arg(e, "correlation"), arg(e, "External id"))
        {
            launches.insert(c, id);
        }
    }
    let mut seen: BTreeMap<&str, (u64, BTreeMap<&str, u64>)> = BTreeMap::new();
    for e in events {
        let is_kernel =
            e.get("cat").and_then(Value::as_str).is_some_and(|c| c.eq_ignore_ascii_case("kernel"));
        let dur = e.get("dur").and_then(Value::as_f64).unwrap_or_default();
        if !is_kernel || dur <= 0.0 {
            continue;
        }
        let entry = seen.entry(e["name"].as_str().unwrap_or_default()).or_default();
        entry.0 += (dur * 1000.0).round() as u64;
        let id = arg(e, "External id").or_else(|| launches.get(&arg(e, "correlation")?).copied());
        if let Some(op) = id.and_then(|id| ops.get(&id)) {
            *entry.1.entry(op).or_default() += 1;
        }
    }
    seen.into_iter()
        .map(|(name, (ns, ops))| Kernel {
            name: name.to_owned(),
            op: ops.into_iter().max_by_key(|(_, n)| *n).map(|(op, _)| op.to_owned()),
            ns,
        })
        .collect()
}

#[test]
#[ignore = "needs ../shared/data"]
fn categories_agree_with_the_given_truth() {
    let catalog = Catalog::builtin().expect("catalogue");
    let truth = fs::read_to_string(format!("{DATA}/categories.tsv")).expect("truth");
    let mut faults = Vec::new();
    let mut rows = 0;
    let mut excused = vec![0; ARGUED.len()];
    let mut loaded: BTreeMap<String, Vec<Kernel>> = BTreeMap::new();
    for line in truth.lines().skip(1) {
        let [file, kernel, given, _ns] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("row {line}")
        };
        rows += 1;
        let path = format!("{DATA}/{}", file.trim_start_matches("trace/"));
        // The kernel column may be cut, and some named traces are kept elsewhere.
        let op = Path::new(&path).exists().then(|| {
            let all = loaded.entry(path.clone()).or_insert_with(|| kernels(Path::new(&path)));
            all.iter().find(|k| k.name.starts_with(kernel)).and_then(|k| k.op.clone())
        });
        for op in [None, op.flatten()] {
            let ours = catalog.classify(&Symbol::parse(kernel), op.as_deref()).category;
            if given.split('|').any(|g| g == ours.as_str()) {
                continue;
            }
            match ARGUED.iter().position(|(f, k, g, o)| {
                file.contains(f) && kernel.contains(k) && *g == given && *o == ours.as_str()
            }) {
                Some(at) => excused[at] += 1,
                None => faults.push(format!(
                    "{file}: {given} given, {ours} ours (op {op:?}): {}",
                    &kernel[..kernel.len().min(150)]
                )),
            }
        }
    }
    assert!(rows > 100, "only {rows} rows");
    assert!(faults.is_empty(), "{} disagreements\n{}", faults.len(), faults.join("\n"));
    assert!(excused.iter().all(|n| *n > 0), "an argued exception no longer occurs: {excused:?}");
}

#[test]
#[ignore = "needs ../shared/data"]
fn unknown_names_stay_below_one_percent_of_device_time() {
    let catalog = Catalog::builtin().expect("catalogue");
    let mut faults = Vec::new();
    for path in traces() {
        let kernels = kernels(&path);
        let total: u64 = kernels.iter().map(|k| k.ns).sum();
        let mut unknown = 0;
        for kernel in &kernels {
            let symbol = Symbol::parse(&kernel.name);
            let by_name = catalog.classify(&symbol, None);
            if by_name.rule.is_none() {
                unknown += kernel.ns;
                println!(
                    "unknown {} ns in {}: {} (op {:?})",
                    kernel.ns,
                    path.display(),
                    kernel.name,
                    kernel.op
                );
            }
        }
        if unknown * 100 > total {
            faults.push(format!("{}: {unknown} of {total} ns", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
