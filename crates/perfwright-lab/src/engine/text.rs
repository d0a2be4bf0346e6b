//! From tokens to text that can be sent: whole characters, and nothing that may still become a stop string.

/// The text of one answer as it grows.
#[derive(Debug, Clone, Default)]
pub(super) struct OutputText {
    /// Text that was decoded and not yet given out.
    held: String,
}

/// What a push gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Text to send.
    pub(super) text: String,
    /// The stop string that was met; the text ends before it.
    pub(super) stopped: Option<String>,
}

impl OutputText {
    /// Takes newly decoded text.
    pub(super) fn push(&mut self, decoded: &str, stops: &[String]) -> Pushed {
        self.held.push_str(decoded);
        let met = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at, stop)))
            .min_by_key(|(at, stop)| (*at, std::cmp::Reverse(stop.len())));
        if let Some((at, stop)) = met {
            let mut text = std::mem::take(&mut self.held);
            text.truncate(at);
            return Pushed { text, stopped: Some(stop.clone()) };
        }
        let keep = stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Pushed { text: std::mem::replace(&mut self.held, rest), stopped: None }
    }

    /// What is left when the answer ends for another reason.
    pub(super) fn finish(&mut self, decoded: &str) -> String {
        self.held.push_str(decoded);
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of `text` that begin `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    (1..stop.len())
        .rev()
        .filter(|n| stop.is_char_boundary(*n))
        .find(|n| stop.get(..*n).is_some_and(|head| text.ends_with(head)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stops(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn the_start_of_a_stop_string_is_held_back() {
        let stops = stops(&["END", "ENDING"]);
        let mut text = OutputText::default();
        assert_eq!(text.push("abE", &stops), Pushed { text: "ab".to_owned(), stopped: None });
        assert_eq!(text.push("N", &stops), Pushed { text: String::new(), stopped: None });
        assert_eq!(text.push("x", &stops), Pushed { text: "ENx".to_owned(), stopped: None });
        let met = text.push("yENDING", &stops);
        assert_eq!(met, Pushed { text: "y".to_owned(), stopped: Some("ENDING".to_owned()) });
    }

    #[test]
    fn what_was_held_comes_at_the_end() {
        let mut text = OutputText::default();
        assert_eq!(text.push("aEN", &stops(&["END"])).text, "a");
        assert_eq!(text.finish("\u{fffd}"), "EN\u{fffd}");
    }

    proptest! {
        #[test]
        fn pieces_give_the_text_before_the_first_stop(
            pieces in proptest::collection::vec("[abé]{0,3}", 0..12),
            stop in "[abé]{1,4}",
        ) {
            let whole = pieces.concat();
            let mut text = OutputText::default();
            let mut out = String::new();
            let mut stopped = false;
            for piece in &pieces {
                let pushed = text.push(piece, std::slice::from_ref(&stop));
                out.push_str(&pushed.text);
                if pushed.stopped.is_some() {
                    stopped = true;
                    break;
                }
            }
            if !stopped {
                out.push_str(&text.finish(""));
            }
            prop_assert_eq!(stopped, whole.contains(&stop));
            prop_assert_eq!(out, whole.split(&stop).next().unwrap_or_default());
        }
    }
}
