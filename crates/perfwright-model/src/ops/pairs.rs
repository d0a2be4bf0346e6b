//! How many query-key pairs attention computes.

/// Pairs of `tokens` new tokens after `context` earlier ones, each seeing those before it and itself.
pub fn causal(context: u64, tokens: u64) -> u128 {
    let (c, t) = (u128::from(context), u128::from(tokens));
    t * c + t * (t + 1) / 2
}

/// The same where each sees the last `cap` tokens at most, itself included.
pub fn capped(context: u64, tokens: u64, cap: u64) -> u128 {
    // The first of the new tokens may see fewer than the cap.
    let growing = cap.saturating_sub(context).min(tokens);
    causal(context, growing) + u128::from(tokens - growing) * u128::from(cap)
}

/// The same where each sees the tokens of its chunk up to itself.
pub fn chunked(context: u64, tokens: u64, chunk: u64) -> u128 {
    let upto = |n: u64| {
        let (full, rest) = (u128::from(n / chunk), n % chunk);
        full * causal(0, chunk) + causal(0, rest)
    };
    upto(context + tokens) - upto(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(context: u64, tokens: u64, sees: impl Fn(u64) -> u64) -> u128 {
        (context..context + tokens).map(|at| u128::from(sees(at))).sum()
    }

    #[test]
    fn closed_forms_equal_counting() {
        for (context, tokens) in [(0, 1), (0, 7), (5, 1), (5, 20), (100, 3), (31, 33)] {
            assert_eq!(causal(context, tokens), slow(context, tokens, |at| at + 1));
            for cap in [1, 4, 16, 1000] {
                assert_eq!(
                    capped(context, tokens, cap),
                    slow(context, tokens, |at| (at + 1).min(cap)),
                    "{context} {tokens} {cap}"
                );
                assert_eq!(
                    chunked(context, tokens, cap),
                    slow(context, tokens, |at| at % cap + 1),
                    "{context} {tokens} {cap}"
                );
            }
        }
    }
}
