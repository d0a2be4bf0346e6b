//! Batch, tokens and annotation text of a pass.

use super::options::{Annotation, Class, Engine, Options};
use super::rng::Rng;

/// Query and key token sums of a group of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests.
    pub n: i64,
    /// Sum of query tokens.
    pub sq: i64,
    /// Sum of key tokens.
    pub sk: i64,
    /// Sum of squared query tokens.
    pub sqsq: i64,
    /// Sum of query times key tokens.
    pub sqsk: i64,
}

impl Sums {
    fn add(&mut self, q: i64, k: i64) {
        self.n += 1;
        self.sq += q;
        self.sk += k;
        self.sqsq += q * q;
        self.sqsk += q * k;
    }

    fn text(&self) -> String {
        format!("{}(sq{}sk{}sqsq{}sqsk{})", self.n, self.sq, self.sk, self.sqsq, self.sqsk)
    }
}

/// The size of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Prompt requests.
    pub context: Sums,
    /// Running requests.
    pub generation: Sums,
    /// Draft model passes inside (draft class).
    pub draft_steps: i64,
}

impl Shape {
    /// Requests in the pass.
    pub fn batch(&self) -> i64 {
        self.context.n + self.generation.n
    }

    /// Tokens in the pass.
    pub fn tokens(&self) -> i64 {
        (self.context.sq + self.generation.sq) * self.draft_steps
    }
}

/// Batch sizes of running requests; most do not begin with the digit 1.
const BATCHES: [u32; 12] = [4, 8, 32, 37, 64, 5, 27, 96, 1, 16, 48, 23];
const PROMPTS: [(u32, u32); 7] =
    [(15, 15360), (2, 2048), (8, 8192), (9, 8192), (1, 888), (3, 6144), (23, 16384)];

/// Draws the size of a pass.
pub fn draw(class: Class, extend: bool, o: &Options, rng: &mut Rng) -> Shape {
    let batch = o.batch.unwrap_or_else(|| rng.pick(&BATCHES));
    let (prompts, prompt_tokens) = rng.pick(&PROMPTS);
    let mut context = Sums::default();
    let mut generation = Sums::default();
    if matches!(class, Class::Prefill | Class::Mixed) {
        let each = i64::from(prompt_tokens / prompts);
        for at in 0..prompts {
            let rest = if at == 0 { i64::from(prompt_tokens % prompts) } else { 0 };
            let cached = if rng.below(3) == 0 { rng.range(16, 2048) } else { 0 };
            context.add(each + rest, each + rest + cached);
        }
    }
    if class != Class::Prefill {
        let query = match class {
            Class::Verify => i64::from(o.draft_steps) + 1,
            Class::Draft if extend => i64::from(o.draft_steps) + 1,
            _ => 1,
        };
        for _ in 0..if class == Class::Capture { o.batch.unwrap_or(32) } else { batch } {
            generation.add(query, query + rng.range(120, 2400));
        }
    }
    let draft_steps = if class == Class::Draft && !extend { i64::from(o.draft_steps) } else { 1 };
    Shape { context, generation, draft_steps }
}

/// The annotations of a pass: the one around it and, inside it, the one around the model.
pub fn annotations(
    class: Class,
    extend: bool,
    shape: &Shape,
    pass: u64,
    o: &Options,
) -> (Option<String>, Option<String>) {
    let (batch, tokens) = (shape.batch(), shape.tokens());
    if o.annotation == Annotation::None {
        return (None, None);
    }
    if o.engine == Engine::Torch {
        return (Some(format!("ProfilerStep#{}", pass + 10)), None);
    }
    let mode = match class {
        Class::Prefill => "EXTEND",
        Class::Decode => "DECODE",
        Class::Mixed => "MIXED",
        Class::Verify => "TARGET_VERIFY",
        Class::Draft if extend => "DRAFT_EXTEND",
        Class::Draft => "DRAFT_DECODE",
        Class::Capture => {
            let mode = if o.engine == Engine::Sglang { "DECODE" } else { "FULL" };
            return (Some(format!("capture_{batch}_{mode}")), None);
        }
    };
    let step = if class == Class::Decode {
        format!("step[DECODE bs={batch}]")
    } else {
        format!("step[{mode} bs={batch} toks={tokens}]")
    };
    if o.engine == Engine::Vllm && class == Class::Draft {
        return (Some("gpu_model_runner: draft".to_owned()), None);
    }
    if o.annotation == Annotation::StepOnly || class == Class::Draft {
        return (Some(step), None);
    }
    let outer = if o.annotation == Annotation::Old {
        let (c, g) = (&shape.context, &shape.generation);
        let context = if c.n == 0 { "0(0)".to_owned() } else { format!("{}({}_{})", c.n, c.sq, c.sqsk) };
        let generation = if g.n == 0 { "0(0)".to_owned() } else { format!("{}({})", g.n, g.sk) };
        format!("execute_context_{context}_generation_{generation}")
    } else {
        format!("execute_{tokens}_context_{}_generation_{}", shape.context.text(), shape.generation.text())
    };
    (Some(outer), (o.engine == Engine::Sglang).then_some(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_follow_the_engines() {
        let decode = Shape {
            context: Sums::default(),
            generation: Sums { n: 32, sq: 32, sk: 32785, sqsq: 32, sqsk: 32785 },
            draft_steps: 1,
        };
        let o = Options::default();
        let (outer, inner) = annotations(Class::Decode, false, &decode, 0, &o);
        assert_eq!(
            outer.unwrap(),
            "execute_32_context_0(sq0sk0sqsq0sqsk0)_generation_32(sq32sk32785sqsq32sqsk32785)"
        );
        assert_eq!(inner.unwrap(), "step[DECODE bs=32]");
        let old = Options { engine: Engine::Vllm, annotation: Annotation::Old, ..Options::default() };
        let prefill = Shape {
            context: Sums { n: 1, sq: 888, sk: 888, sqsq: 788_544, sqsk: 788_544 },
            generation: Sums::default(),
            draft_steps: 1,
        };
        let (outer, inner) = annotations(Class::Prefill, false, &prefill, 0, &old);
        assert_eq!(outer.unwrap(), "execute_context_1(888_788544)_generation_0(0)");
        assert_eq!(inner, None);
    }

    #[test]
    fn sums_are_consistent_and_verify_has_more_queries_than_requests() {
        let mut rng = Rng::new(5);
        for class in Class::ALL {
            let shape = draw(class, false, &Options::default(), &mut rng);
            let both = [shape.context, shape.generation];
            assert!(both.iter().all(|s| s.sk >= s.sq && s.sqsk >= s.sqsq), "{class:?} {shape:?}");
            assert_eq!(class == Class::Verify, shape.generation.sq > shape.generation.n, "{class:?}");
            assert_eq!(matches!(class, Class::Prefill | Class::Mixed), shape.context.n > 0);
        }
    }
}
