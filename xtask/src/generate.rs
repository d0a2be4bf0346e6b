//! The generator commands.

use std::path::Path;

use xtask::tracegen::{self, Options, odd, options, worst};

/// `gen-trace` and `gen-capture`.
pub(crate) fn trace(args: &[String], capture: bool) -> Result<(), String> {
    let (out, rest) = args.split_first().ok_or("OUT(.json|.json.gz) missing")?;
    if matches!(out.as_str(), "--help" | "-h") {
        println!("OUT(.json|.json.gz) and:\n{}", options::USAGE);
        return Ok(());
    }
    let mut o = Options::parse(rest)?;
    if capture {
        o = tracegen::capture_options(&o);
    }
    let truth = tracegen::generate_file(&o, Path::new(out)).map_err(|e| format!("{out}: {e}"))?;
    println!("{out}: {} bytes of JSON, {} events, {} passes", truth.bytes, truth.events, truth.steps.len());
    Ok(())
}

fn number(args: &[String], flag: &str, default: u64) -> Result<u64, String> {
    match args.iter().position(|a| a == flag) {
        None => Ok(default),
        Some(at) => args
            .get(at + 1)
            .and_then(|v| v.parse().ok())
            .ok_or_else(|| format!("{flag} takes a whole number")),
    }
}

/// `gen-worst`.
pub(crate) fn worst(args: &[String]) -> Result<(), String> {
    let out = args.first().ok_or("OUT missing")?;
    let frames = number(args, "--frames", 20_000)?;
    let launches = number(args, "--launches", 4_000)?;
    tracegen::create(Path::new(out))
        .and_then(|mut file| worst::quadratic(frames, launches, &mut *file))
        .map_err(|e| format!("{out}: {e}"))
}

fn write_odd(name: &str, path: &Path, bytes: u64) -> Result<(), String> {
    // The case itself says whether it is gzip; the file name must not compress it again.
    std::fs::File::create(path)
        .and_then(|file| odd::write(name, bytes, &mut std::io::BufWriter::new(file)))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// `gen-odd`.
pub(crate) fn odd(args: &[String]) -> Result<(), String> {
    let bytes = number(args, "--mb", 16)? << 20;
    match args {
        [list] if list == "list" => {
            for case in odd::CASES {
                println!(
                    "{:22} {:9} {:5} kernels  {}",
                    case.name,
                    format!("{:?}", case.answer),
                    case.kernels.0,
                    case.about
                );
            }
            Ok(())
        }
        [all, folder, ..] if all == "all" => {
            std::fs::create_dir_all(folder).map_err(|e| format!("{folder}: {e}"))?;
            for case in odd::CASES {
                let name = format!("{}.json{}", case.name, if case.gzip { ".gz" } else { "" });
                write_odd(case.name, &Path::new(folder).join(name), bytes)?;
            }
            Ok(())
        }
        [name, out, ..] => write_odd(name, Path::new(out), bytes),
        _ => Err("`list`, `all FOLDER` or `NAME OUT` wanted".to_owned()),
    }
}
