//! What a pass had to work on: tokens, requests, context.

use perfwright_model::ops::Phase;

use super::report::TokensFrom;
use super::run::MapOptions;
use crate::steps::grammar::{Sums, sums};
use crate::steps::{Class, Step};

/// Most tokens and requests of a pass that are believed; the model's operators are counted up to these.
const TOKENS: u64 = 1 << 24;
const REQUESTS: u64 = 1 << 18;

/// Requests alike in a pass: their number, and tokens and context of each on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) phase: bool,
    pub(super) requests: u64,
    pub(super) tokens: u64,
    pub(super) context: u64,
    /// Query-key pairs of all of them where the label's sums give it, and their keys.
    pub(super) exact: Option<(u128, u64)>,
}

impl Group {
    pub(super) fn phase(&self) -> Phase {
        if self.phase { Phase::Decode } else { Phase::Prefill }
    }
}

/// The work of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Load {
    pub(super) decode: bool,
    pub(super) requests: Option<u64>,
    pub(super) tokens: Option<u64>,
    pub(super) from: From,
    /// What attention works on; empty where the trace does not tell.
    pub(super) attention: Vec<Group>,
    /// A prompt's context was taken to be empty, as nothing tells it.
    pub(super) assumed_empty: bool,
}

/// [`TokensFrom`] in a form that can be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum From {
    Given,
    Label,
    Recorded,
    Unknown,
}

impl From {
    pub(super) fn row(self) -> TokensFrom {
        match self {
            From::Given => TokensFrom::Given,
            From::Label => TokensFrom::Label,
            From::Recorded => TokensFrom::RecordedShapes,
            From::Unknown => TokensFrom::Unknown,
        }
    }
}

/// Rows and requests that operators recorded: those of most products, and the embedding's batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rows {
    pub(super) tokens: Option<u64>,
    pub(super) requests: Option<u64>,
}

pub(super) fn load(
    class: Class,
    step: Option<&Step>,
    label: Option<&str>,
    rows: Rows,
    options: &MapOptions<'_>,
) -> Load {
    let believed = |n: Option<u64>, most: u64| n.filter(|n| (1..=most).contains(n));
    let requests = options.batch.or_else(|| step.and_then(|s| s.batch)).or(rows.requests);
    let requests = believed(requests, REQUESTS);
    let labelled = step.and_then(|s| s.tokens).or_else(|| requests.filter(|_| class == Class::Decode));
    let given = options.tokens.or_else(|| options.batch.filter(|_| class == Class::Decode));
    let sources = [(given, From::Given), (labelled, From::Label), (rows.tokens, From::Recorded)];
    let found = sources.into_iter().find_map(|(n, from)| Some((believed(n, TOKENS)?, from)));
    let (tokens, from) = found.map_or((None, From::Unknown), |(n, from)| (Some(n), from));
    // Without a class, one row a request is a decode.
    let one_each = class == Class::Unknown && tokens.is_some() && tokens == requests;
    let decode = matches!(class, Class::Decode | Class::Verify | Class::Draft) || one_each;
    let mut out = Load { decode, requests, tokens, from, attention: Vec::new(), assumed_empty: false };
    let (Some(tokens), Some(requests)) = (tokens, requests.filter(|&r| tokens.is_some_and(|t| r <= t)))
    else {
        return out;
    };
    if from != From::Given && options.context.is_none() {
        let summed = label.and_then(sums).and_then(|[prompts, generating]| groups(prompts, generating));
        if let Some(groups) = summed {
            out.attention = groups;
            return out;
        }
    }
    let each = tokens.div_ceil(requests);
    let sum = step.and_then(|s| s.context).filter(|_| from == From::Label);
    let context = options.context.or_else(|| sum.map(|keys| (keys / requests).saturating_sub(each)));
    let context = match context {
        Some(context) => context,
        None if !decode && class != Class::Mixed => {
            out.assumed_empty = true;
            0
        }
        None => return out,
    };
    if context <= TOKENS {
        out.attention.push(Group { phase: decode, requests, tokens: each, context, exact: None });
    }
    out
}

fn groups(prompts: Sums, generating: Sums) -> Option<Vec<Group>> {
    let mut out = Vec::new();
    for (sums, phase) in [(prompts, false), (generating, true)] {
        if sums.requests == 0 && sums.queries == 0 {
            continue;
        }
        let tokens = (sums.queries / sums.requests.max(1)).max(1);
        let context = (sums.keys / sums.requests.max(1)).saturating_sub(tokens);
        // Each of q new tokens sees the k - q before them and those up to itself: qk - (qq - q) / 2.
        let twice =
            2 * i128::from(sums.queries_keys) - i128::from(sums.queries_squared) + i128::from(sums.queries);
        let pairs = u128::try_from(twice / 2).ok().filter(|&p| p >= u128::from(sums.queries))?;
        let fits = sums.requests > 0
            && sums.requests <= REQUESTS
            && sums.queries >= sums.requests
            && sums.queries <= TOKENS
            && sums.keys >= sums.queries
            && context <= TOKENS;
        if !fits {
            return None;
        }
        out.push(Group { phase, requests: sums.requests, tokens, context, exact: Some((pairs, sums.keys)) });
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_sums_are_exact() {
        // Two prompts of 3 and 5 tokens, the second after 4 cached ones: 6 pairs and 5 x 4 + 15.
        let sums = Sums { requests: 2, queries: 8, keys: 12, queries_squared: 9 + 25, queries_keys: 9 + 45 };
        let all = groups(sums, Sums::default()).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].exact, Some((6 + 35, 12)));
        // Sums that no requests have say nothing.
        let odd = Sums { requests: 37, queries: 37, keys: 9, queries_squared: 37, queries_keys: 9 };
        assert_eq!(groups(Sums::default(), odd), None);
    }
}
