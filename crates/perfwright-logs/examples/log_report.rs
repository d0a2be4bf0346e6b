//! Reads a log and prints its report as JSON, with the time it took on standard error.
//!
//! `cargo run --release -p perfwright-logs --example log_report -- server.log`

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use perfwright_logs::{Catalog, Digest, Reader};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example is a program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: log_report FILE")?;
    let catalog = Catalog::builtin()?;
    let (mut reader, mut digest) = (Reader::new(&catalog), Digest::new());
    let start = Instant::now();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        reader.feed(&buffer[..n], &mut digest);
    }
    reader.finish(&mut digest);
    let report = digest.report(&reader);
    println!("{}", serde_json::to_string_pretty(&report)?);
    let seconds = start.elapsed().as_secs_f64();
    let peak = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = peak.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default().to_owned();
    eprintln!(
        "{} bytes in {seconds:.2} s, {:.0} MB/s, {peak}",
        report.bytes,
        report.bytes as f64 / seconds / 1e6
    );
    Ok(())
}
