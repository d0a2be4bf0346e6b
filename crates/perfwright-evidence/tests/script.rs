//! The independent verifier answers every vector as the vector says. Without `python3` this is reported as ignored.

#![expect(clippy::print_stdout, reason = "this target is its own test harness")]

#[expect(unreachable_pub, reason = "the crate's own tests include the same file")]
#[path = "common/vector.rs"]
mod vector;

use std::process::Command;

const NAME: &str = "the_script_answers_every_vector";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|a| a == "--list") {
        println!("{NAME}: test");
        return;
    }
    let filtered = args.iter().skip(1).filter(|a| !a.starts_with('-')).any(|a| !NAME.contains(a.as_str()));
    let ignored_only = args.iter().any(|a| a == "--ignored");
    println!("\nrunning 1 test");
    if filtered || ignored_only {
        println!("\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out\n");
        return;
    }
    let Some(python) = find_python() else {
        println!("test {NAME} ... ignored, needs python3");
        println!("\ntest result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n");
        return;
    };
    let (vectors, wrong) = run(python);
    for line in &wrong {
        println!("{line}");
    }
    let word = if wrong.is_empty() { "ok" } else { "FAILED" };
    println!("test {NAME} ... {word} ({vectors} vectors, {} wrong)", wrong.len());
    println!(
        "\ntest result: {word}. {} passed; {} failed; 0 ignored; 0 measured; 0 filtered out\n",
        u8::from(wrong.is_empty()),
        u8::from(!wrong.is_empty())
    );
    assert!(wrong.is_empty(), "{} vectors answered wrongly", wrong.len());
}

fn find_python() -> Option<&'static str> {
    let works = Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success());
    works.then_some("python3")
}

fn run(python: &str) -> (usize, Vec<String>) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../verify/verify_run.py");
    let vectors = vector::load();
    let mut wrong = Vec::new();
    for vector in &vectors {
        let root = vector::scratch();
        let dir = vector.materialise(root.path());
        let output = Command::new(python).arg(script).arg(&dir).output().expect("python runs");
        let code = output.status.code();
        let text = String::from_utf8_lossy(&output.stdout);
        if code != Some(i32::from(vector.expect.script.exit)) || !text.contains("gates: not re-evaluated") {
            let err = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!(
                "{}: expected {}, found {code:?}\n{text}{err}",
                vector.name, vector.expect.script.exit
            ));
        }
    }
    assert!(vectors.len() >= 40, "only {} vectors", vectors.len());
    (vectors.len(), wrong)
}
