//! Loads every plan of a folder and says how many listed values its budget leaves untried:
//! `cargo run -p perfwright-bench --example check_plans -- DIR`.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use perfwright_bench::plan::read_plan;
use perfwright_bench::search::dry::dry_run;
use perfwright_bench::search::space;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("name a folder of plans")?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    let (mut loaded, mut sections, mut untried) = (0, 0, 0);
    for path in &files {
        match read_plan(&std::fs::read_to_string(path)?) {
            Err(faults) => println!("{}: {faults:#?}", path.display()),
            Ok(plan) => {
                dry_run(&plan, &BTreeMap::new(), |_, _| None)?;
                loaded += 1;
                for framework in &plan.frameworks {
                    let all = space::candidates(framework, &plan.search);
                    sections += 1;
                    untried += space::coverage(framework, &all).never_tried.len();
                }
            }
        }
    }
    println!(
        "{loaded} of {} plans load; {sections} framework sections, {untried} listed values never tried",
        files.len()
    );
    Ok(())
}
