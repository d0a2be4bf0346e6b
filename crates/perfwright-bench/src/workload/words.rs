//! Prompts without a tokenizer: short frequent English words, which byte-pair vocabularies hold as one token with the
//! space before them. A prompt of n words is nominally n tokens; what the server counts is in its usage.

use rand_chacha::rand_core::RngCore;

/// The words.
pub const VOCABULARY: &[&str] = &[
    "the", "of", "and", "to", "in", "is", "it", "you", "that", "he", "was", "for", "on", "are", "with", "as",
    "his", "they", "be", "at", "one", "have", "this", "from", "or", "had", "by", "hot", "but", "some",
    "what", "there", "we", "can", "out", "other", "were", "all", "your", "when", "up", "use", "word", "how",
    "said", "an", "each", "she", "which", "do", "their", "time", "if", "will", "way", "about", "many",
    "then", "them", "would", "write", "like", "so", "these", "her", "long", "make", "thing", "see", "him",
    "two", "has", "look", "more", "day", "could", "go", "come", "did", "my", "sound", "no", "most", "number",
    "who", "over", "know", "water", "than", "call", "first", "people", "may", "down", "side", "been", "now",
    "find", "any", "new", "work", "part", "take", "get", "place", "made", "live", "where", "after", "back",
    "little", "only", "round", "man", "year", "came", "show", "every", "good", "me", "give", "our", "under",
    "name", "very", "through", "just", "form", "much", "great", "think", "say", "help", "low", "line",
    "before", "turn", "cause", "same", "mean", "differ", "move", "right", "boy", "old", "too", "does",
    "tell", "sentence", "set", "three", "want", "air", "well", "also", "play", "small", "end", "put", "home",
    "read", "hand", "port", "large", "spell", "add", "even", "land", "here", "must", "big", "high", "such",
    "follow", "act", "why", "ask", "men", "change", "went", "light", "kind", "off", "need", "house",
    "picture", "try", "us", "again", "animal", "point", "mother", "world", "near", "build", "self", "earth",
    "father", "head", "stand", "own", "page", "should", "country", "found", "answer", "school", "grow",
    "study", "still", "learn", "plant", "cover", "food", "sun", "four", "thought", "let", "keep", "eye",
    "never", "last", "door", "between", "city", "tree", "cross", "since", "hard", "start", "might", "story",
    "saw", "far", "sea", "draw", "left", "late", "run", "while", "press", "close", "night", "real", "life",
    "few", "stop", "open", "seem", "together", "next", "white", "children", "begin", "got", "walk",
    "example", "ease", "paper", "often", "always", "music", "those", "both", "mark", "book", "letter",
    "until", "mile", "river", "car", "feet", "care", "second", "group", "carry", "took", "rain", "eat",
    "room", "friend", "began", "idea", "fish", "mountain", "north", "once", "base", "hear", "horse", "cut",
    "sure", "watch", "color", "face", "wood", "main",
];

/// `n` random words.
pub(super) fn text(rng: &mut impl RngCore, n: u32) -> String {
    let mut out = String::with_capacity(n as usize * 6);
    for _ in 0..n {
        if !out.is_empty() {
            out.push(' ');
        }
        // The bias of the product form is below 1e-7 for a few hundred words.
        let at = (u64::from(rng.next_u32()) * VOCABULARY.len() as u64) >> 32;
        out.push_str(VOCABULARY[at as usize]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::generator;

    #[test]
    fn words_are_many_short_and_different() {
        let mut sorted = VOCABULARY.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() == VOCABULARY.len() && sorted.len() > 250);
        assert!(sorted.iter().all(|w| w.len() <= 8 && w.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn a_text_has_the_length_and_depends_on_the_seed() {
        let make = |seed| text(&mut generator(seed, "words", 0), 100);
        assert_eq!(make(1).split(' ').count(), 100);
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert_eq!(text(&mut generator(1, "words", 0), 0), "");
    }
}
