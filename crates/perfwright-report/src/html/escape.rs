//! Text from outside in HTML and SVG.

use std::borrow::Cow;

use crate::text::visible;

/// Text for an element or a quoted attribute: steering characters visible, markup escaped.
pub fn escape(text: &str) -> String {
    let shown: Cow<'_, str> = visible(text);
    let mut out = String::with_capacity(shown.len() + 8);
    for c in shown.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
