//! The mutation check: a verifier with any one of the planted faults gives a wrong answer to some vector.

use super::answers::answer;
use super::vector::load;
use crate::verify::faults::{ALL, with_fault};

#[test]
fn every_planted_fault_is_caught_by_a_vector() {
    let vectors = load();
    let mut missed = Vec::new();
    for &fault in ALL {
        let mut caught = 0;
        // The strongest catch is a different exit code; other differences alone would still be a wrong answer.
        let mut by_exit = None;
        for vector in &vectors {
            let stated = &vector.expect.perfwright;
            let (exit, differences) = with_fault(fault, || answer(vector));
            caught += usize::from(exit != stated.exit || differences != stated.differences);
            by_exit = by_exit.or((exit != stated.exit).then_some(&vector.name));
        }
        println!("{fault:?}: caught by {caught} vectors, exit code changes on {by_exit:?}");
        if by_exit.is_none() {
            missed.push(fault);
        }
    }
    println!("mutation score {}/{}", ALL.len() - missed.len(), ALL.len());
    assert!(missed.is_empty(), "not caught by any vector's exit code: {missed:?}");
}
