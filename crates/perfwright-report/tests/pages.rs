//! HTML pages and charts: nothing from outside becomes markup, and nothing is loaded from elsewhere.

#[path = "common/whole.rs"]
mod whole;

use perfwright_report::html::document;
use perfwright_report::{Cell, Column, Document, Table};
use proptest::prelude::*;
use whole::whole;

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202e}\u{1b}[31m</svg></style>";

/// Every tag of the page, without attributes.
fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split([' ', '>', '/']).find(|s| !s.is_empty()).unwrap_or(""))
        .collect()
}

#[test]
fn text_from_outside_is_never_markup() {
    let (plain, hostile) = (whole("x", 1.5), whole(HOSTILE, 1.5));
    assert_eq!(tags(&plain), tags(&hostile));
    assert!(!hostile.contains("<script"));
    assert!(!hostile.contains('\u{202e}') && !hostile.contains('\u{1b}'));
}

#[test]
fn a_page_loads_nothing() {
    let html = whole("x", 1.5);
    for reach in ["src=", "@import", "url(", "http://", "https://"] {
        // The name of the SVG format is no address that anything fetches.
        assert!(!html.replace("http://www.w3.org/2000/svg", "").contains(reach), "{reach}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn a_document_is_a_page() {
    let mut doc = Document::new("Kernels");
    doc.warnings.push("partial".into());
    doc.fact("total", Cell::DurationNs(1_500));
    let mut table = Table::new("k", "Kernel table", vec![Column::number("t", "Time")]);
    table.push(vec![Cell::DurationNs(1_234_567)]);
    doc.tables.push(table);
    let html = document(&doc);
    assert!(html.contains("<td class=\"num\"><span title=\"1234567 ns\">1.235 ms</span></td>"), "{html}");
    assert!(html.contains("<b>warning:</b> partial"));
}

proptest! {
    #[test]
    fn any_text_and_number_gives_the_same_structure(text in "\\PC{0,40}|.{0,40}", number in any::<f64>()) {
        let (plain, odd) = (whole("x", 1.0), whole(&text, number));
        // Charts leave out what has no place; the rest of the page has the same elements.
        let keep = |html: &str| {
            let kept = ["h1", "h2", "h3", "table", "td", "li", "dd", "nav", "svg", "script", "style", "pre"];
            tags(html).iter().filter(|t| kept.contains(t)).map(|t| (*t).to_owned()).collect::<Vec<_>>()
        };
        prop_assert_eq!(keep(&plain), keep(&odd));
        for wrong in ["NaN", "inf"] {
            if !text.contains(wrong) {
                let svg = odd.split("<svg").nth(1).unwrap_or("").split("</svg>").next().unwrap_or("");
                prop_assert!(!svg.contains(wrong), "{svg}");
            }
        }
    }
}
