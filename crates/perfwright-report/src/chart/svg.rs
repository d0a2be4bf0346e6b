//! Small SVG pieces.

use std::fmt::Write as _;

use crate::html::escape;

/// Text and background colours with what stands in for them where no page sets them.
pub(super) const INK: &str = "var(--ink, #1b1f24)";
pub(super) const FAINT: &str = "var(--faint, #57606a)";
pub(super) const RULE: &str = "var(--rule, #d0d7de)";

/// Colour of the n-th series. The eight colours are those of Okabe and Ito (2008), which people with any colour
/// vision can tell apart; black stands in the ink colour.
pub(super) fn colour(n: usize) -> &'static str {
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "var(--ink, #1b1f24)"][n % 7]
}

/// A number with at most two decimals, as SVG coordinates need them.
pub(super) fn at(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Opens an SVG of that size with its name for people who cannot see it.
pub(super) fn open(width: f64, height: f64, title: &str, about: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\
         <title>{}</title><desc>{}</desc>",
        escape(title),
        escape(about),
        w = at(width),
        h = at(height),
    )
}

pub(super) fn line(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, rest: &str) {
    let _ = write!(
        out,
        "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{colour}\" {rest}/>",
        at(from.0),
        at(from.1),
        at(to.0),
        at(to.1)
    );
}

pub(super) fn text(out: &mut String, place: (f64, f64), anchor: &str, colour: &str, content: &str) {
    let _ = write!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{}</text>",
        at(place.0),
        at(place.1),
        escape(content)
    );
}
