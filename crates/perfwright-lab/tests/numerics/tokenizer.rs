//! Text to tokens and back.

use perfwright_lab::{BYTE_VOCAB, Decoder, EOS, Tokenizer};
use proptest::prelude::*;

fn stream(tokens: &[u32]) -> String {
    let mut decoder = Decoder::new();
    let mut text: String = tokens.iter().filter_map(|t| decoder.push(*t)).collect();
    text.extend(decoder.finish());
    text
}

proptest! {
    #[test]
    fn text_round_trips(text in any::<String>()) {
        let tokens = Tokenizer.encode(&text);
        prop_assert_eq!(Tokenizer.decode(&tokens), text.clone());
        prop_assert_eq!(stream(&tokens), text);
    }

    #[test]
    fn a_stream_of_any_bytes_is_their_lossy_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let tokens: Vec<u32> = bytes.iter().map(|b| u32::from(*b)).collect();
        prop_assert_eq!(stream(&tokens), String::from_utf8_lossy(&bytes).into_owned());
    }

    #[test]
    fn bytes_that_are_almost_text_too(
        text in "[a-z\u{e9}\u{20ac}\u{1f600}]{1,12}", cut in any::<prop::sample::Index>(), junk in any::<u8>(),
    ) {
        let mut bytes = text.into_bytes();
        let at = cut.index(bytes.len());
        bytes[at] = junk;
        let tokens: Vec<u32> = bytes.iter().map(|b| u32::from(*b)).collect();
        prop_assert_eq!(stream(&tokens), String::from_utf8_lossy(&bytes).into_owned());
    }

    #[test]
    fn no_token_breaks_a_stream(tokens in prop::collection::vec(0u32..2 * BYTE_VOCAB as u32, 0..100)) {
        prop_assert_eq!(stream(&tokens), Tokenizer.decode(&tokens));
    }
}

#[test]
fn half_a_character_is_held_back() {
    let mut decoder = Decoder::new();
    let euro = "\u{20ac}".as_bytes();
    assert_eq!(decoder.push(u32::from(euro[0])), None);
    assert_eq!(decoder.push(u32::from(euro[1])), None);
    assert_eq!(decoder.push(EOS), None);
    assert_eq!(decoder.push(u32::from(euro[2])).as_deref(), Some("\u{20ac}"));
    assert_eq!(decoder.finish(), None);
}

#[test]
fn tokens_have_a_text_of_their_own() {
    assert_eq!(Tokenizer.token_text(65), "A");
    assert_eq!(Tokenizer.token_text(0xe2), "bytes:\\xe2");
    assert_eq!(Tokenizer.token_text(EOS), "<|end_of_text|>");
    assert!(Tokenizer.is_end(EOS) && !Tokenizer.is_end(65));
}
