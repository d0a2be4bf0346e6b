//! Charts as plain data, drawn as SVG that stands in a page or a file of its own.
//!
//! Colours are CSS variables of the page ([`crate::html`]), with a fallback each, so a chart follows the page's light
//! and dark themes and still reads alone. Series differ in marker as well as in colour.

mod axis;
mod plot;
mod spans;
mod svg;

pub use plot::{Mark, Plot, Point, Series, Threshold, plot};
pub use spans::{Lane, Span, Spans, Tone, spans};
