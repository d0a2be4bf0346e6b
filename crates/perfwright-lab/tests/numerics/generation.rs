//! The preset models produce something.

use crate::common::{greedy, model};
use perfwright_lab::{ModelConfig, OpTable, Tokenizer};

#[test]
fn greedy_output_of_random_weights_is_not_a_short_cycle() {
    for prompt in ["Hello", "The capital of France is", "fn main() {"] {
        let mut model = model(&ModelConfig::tiny(), OpTable::fused(), 1);
        let tokens = greedy(&mut model, &Tokenizer.encode_prompt(prompt), 256);
        let mut distinct = tokens.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let tail = &tokens[128..];
        let period = (1..64).find(|p| tail.iter().zip(&tail[*p..]).all(|(a, b)| a == b));
        println!("{:?} {} distinct, period {period:?}", Tokenizer.decode(&tokens), distinct.len());
        assert!(distinct.len() >= 40, "{} distinct tokens of 256", distinct.len());
        assert_eq!(period, None, "a cycle");
    }
}

#[test]
fn the_seed_decides_the_output() {
    let prompt = Tokenizer.encode_prompt("seed");
    let mut first = model(&ModelConfig::tiny(), OpTable::naive(), 1);
    let mut again = model(&ModelConfig::tiny(), OpTable::naive(), 2);
    assert_eq!(greedy(&mut first, &prompt, 64), greedy(&mut again, &prompt, 64));
}
