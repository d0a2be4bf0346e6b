//! What each renderer makes of the same document, and what holds for any document.

use perfwright_report::{Cell, Column, Document, LeftOff, Table, csv, json, markdown, terminal};
use proptest::prelude::*;

fn kernels() -> Table {
    let mut table = Table::new(
        "kernels",
        "Kernels",
        vec![
            Column::text("class", "Class"),
            Column::code("kernel", "Kernel"),
            Column::number("launches", "Launches"),
            Column::number("total_ns", "Time"),
            Column::number("share", "Share"),
        ],
    )
    .weighted_by("total_ns");
    let rows = [
        ("decode", "void cutlass::device_kernel<GemmUniversal<128, 64>>(Params)", 320, 8_123_456, 0.8),
        (
            "decode",
            "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
            64,
            1_523_000,
            0.15,
        ),
        ("prefill", "act|and\x1b[31m_mul", 2, 507_691, 0.05),
    ];
    for (class, kernel, launches, ns, share) in rows {
        table.push(vec![
            class.into(),
            kernel.into(),
            Cell::Int(launches),
            Cell::DurationNs(ns),
            Cell::Share(share),
        ]);
    }
    table
}

fn document() -> Document {
    let mut doc = Document::new("Trace triage");
    doc.warnings.push("the file ends inside an event; 12 of 13 MiB were read".to_owned());
    doc.fact("device time", Cell::DurationNs(10_154_147));
    doc.fact("input", "traces/decode.json");
    doc.tables.push(kernels());
    doc.notes.push("Times are sums over launches.".to_owned());
    doc
}

#[test]
fn terminal_fits_the_width_and_keeps_both_ends_of_names() {
    insta::assert_snapshot!(
        terminal::document(&document(), terminal::Options { width: Some(72), color: false }),
        @r#"
Trace triage
warning: the file ends inside an event; 12 of 13 MiB were read
device time  10.15 ms
input        traces/decode.json

Kernels
Class    Kernel                              Launches      Time    Share
-------  ----------------------------------  --------  --------  -------
decode   void cutlass::dev…28, 64>>(Params)       320  8.123 ms  80.00 %
decode   ncclDevKernel_All…Storage<4096ul>)        64  1.523 ms  15.00 %
prefill  act|and\x1b[31m_mul                        2  507.7 us   5.00 %

Times are sums over launches.
"#
    );
}

#[test]
fn terminal_too_narrow_for_a_grid_writes_records() {
    let mut table = kernels();
    table.limit(1);
    insta::assert_snapshot!(terminal::table(&table, terminal::Options { width: Some(36), color: false }), @r#"
Kernels
Class     decode
Kernel    void cutlass:…64>>(Params)
Launches  320
Time      8.123 ms
Share     80.00 %
left off 2 rows (20.00 %)
"#);
}

#[test]
fn terminal_styles_only_when_asked() {
    let mut doc = document();
    doc.tables[0].limit(0);
    let plain = terminal::document(&doc, terminal::Options { width: Some(72), color: false });
    assert!(!plain.contains('\x1b'));
    insta::assert_snapshot!(
        terminal::document(&doc, terminal::Options { width: Some(72), color: true }).replace('\x1b', "ESC"),
        @r#"
ESC[1mTrace triageESC[0m
ESC[33mwarning: the file ends inside an event; 12 of 13 MiB were readESC[0m
device time  10.15 ms
input        traces/decode.json

ESC[1mKernelsESC[0m
ESC[1mClass  Kernel  Launches  Time  ShareESC[0m
ESC[2m-----  ------  --------  ----  -----ESC[0m
ESC[2mleft off 3 rows (100.00 %)ESC[0m

ESC[2mTimes are sums over launches.ESC[0m
"#
    );
}

#[test]
fn markdown_writes_every_cell_in_full() {
    insta::assert_snapshot!(markdown::document(&document(), markdown::Options::default()), @r#"
# Trace triage

> **warning:** the file ends inside an event; 12 of 13 MiB were read

- device time: 10.15 ms
- input: traces/decode.json

## Kernels

| Class | Kernel | Launches | Time | Share |
| --- | --- | ---: | ---: | ---: |
| decode | `void cutlass::device_kernel<GemmUniversal<128, 64>>(Params)` | 320 | 8.123 ms | 80.00 % |
| decode | `ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)` | 64 | 1.523 ms | 15.00 % |
| prefill | `act\|and\x1b[31m_mul` | 2 | 507.7 us | 5.00 % |

- Times are sums over launches.
"#);
}

#[test]
fn json_has_exact_values_under_column_keys() {
    let mut table = kernels();
    table.limit(1);
    let mut bytes = Vec::new();
    json::write(&mut bytes, &table).unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @r#"
{
  "name": "kernels",
  "title": "Kernels",
  "columns": [
    {
      "key": "class",
      "label": "Class",
      "align": "left"
    },
    {
      "key": "kernel",
      "label": "Kernel",
      "align": "left"
    },
    {
      "key": "launches",
      "label": "Launches",
      "align": "right"
    },
    {
      "key": "total_ns",
      "label": "Time",
      "align": "right"
    },
    {
      "key": "share",
      "label": "Share",
      "align": "right"
    }
  ],
  "rows": [
    {
      "class": "decode",
      "kernel": "void cutlass::device_kernel<GemmUniversal<128, 64>>(Params)",
      "launches": 320,
      "total_ns": 8123456,
      "share": 0.8
    }
  ],
  "left_off": {
    "rows": 2,
    "share": 0.19998637010080708
  },
  "notes": []
}
"#);
}

#[test]
fn left_off_rows_add_up() {
    let mut table = kernels();
    table.limit(2);
    let first = table.left_off.unwrap();
    assert_eq!(first.rows, 1);
    assert!((first.share.unwrap() - 507_691.0 / 10_154_147.0).abs() < 1e-12);
    table.limit(1);
    let second = table.left_off.unwrap();
    assert_eq!(second.rows, 2);
    assert!((second.share.unwrap() - (507_691.0 + 1_523_000.0) / 10_154_147.0).abs() < 1e-12);
    table.limit(5);
    assert_eq!(table.left_off, Some(second), "a limit above the row count changes nothing");
}

#[test]
fn left_off_shares_are_summed_where_the_weight_is_a_share() {
    let mut table = kernels().weighted_by("share");
    table.left_off = Some(LeftOff { rows: 10, share: Some(0.1) });
    table.limit(1);
    let left_off = table.left_off.unwrap();
    assert_eq!(left_off.rows, 12);
    assert!((left_off.share.unwrap() - 0.3).abs() < 1e-12);
    assert_eq!(left_off.line(), "left off 12 rows (30.00 %)");
    assert_eq!(LeftOff { rows: 1, share: None }.line(), "left off 1 row");
}

/// Text with a generous part of what hurts: controls, escapes, markup, wide and zero-width characters.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "[a-z_:<>]{1,20}",
        prop::sample::select(vec![
            "\x1b[2J",
            "\u{9b}",
            "\n",
            "|",
            "\\",
            "`",
            "漢",
            "e\u{301}",
            "\u{202e}",
            "=",
            "👩‍💻",
            " "
        ])
        .prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        4 => text().prop_map(Cell::Text),
        1 => any::<i64>().prop_map(Cell::Int),
        1 => any::<i64>().prop_map(Cell::DurationNs),
        1 => any::<f64>().prop_map(Cell::Share),
        1 => any::<f64>().prop_map(Cell::Ratio),
        1 => any::<u64>().prop_map(Cell::Bytes),
        1 => Just(Cell::Empty),
    ]
}

prop_compose! {
    fn any_document()(
        title in text(),
        warning in text(),
        fact in (text(), cell()),
        columns in prop::collection::vec((text(), any::<bool>(), any::<bool>()), 0..6),
        rows in prop::collection::vec(prop::collection::vec(cell(), 0..7), 0..6),
        limit in 0_usize..8,
        note in text(),
    ) -> Document {
        let columns = columns
            .into_iter()
            .enumerate()
            .map(|(at, (label, number, code))| {
                let key = format!("c{at}");
                match (number, code) {
                    (true, _) => Column::number(key, label),
                    (false, true) => Column::code(key, label),
                    (false, false) => Column::text(key, label),
                }
            })
            .collect();
        let mut table = Table::new("t", title.clone(), columns).weighted_by("c0");
        table.rows = rows;
        table.notes.push(note.clone());
        table.limit(limit);
        let mut doc = Document::new(title);
        doc.warnings.push(warning);
        doc.fact(fact.0, fact.1);
        doc.tables.push(table);
        doc.notes.push(note);
        doc
    }
}

fn is_steering(c: char) -> bool {
    c.is_control() && c != '\n'
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
        || ('\u{2028}'..='\u{2029}').contains(&c)
}

proptest! {
    #[test]
    fn terminal_never_exceeds_the_width(doc in any_document(), width in 1_usize..100) {
        let page = terminal::document(&doc, terminal::Options { width: Some(width), color: false });
        for line in page.lines() {
            prop_assert!(perfwright_report::text::width(line) <= width, "{line:?} is wider than {width}");
        }
        prop_assert!(!page.contains(is_steering));
    }

    #[test]
    fn a_wide_terminal_changes_nothing(doc in any_document()) {
        let free = terminal::document(&doc, terminal::Options { width: None, color: false });
        prop_assert!(!free.contains(is_steering));
        prop_assert_eq!(free.matches('…').count(), all_text(&doc).matches('…').count());
    }

    #[test]
    fn markdown_rows_keep_their_cells(doc in any_document()) {
        let page = markdown::document(&doc, markdown::Options::default());
        prop_assert!(!page.contains(is_steering));
        let table = &doc.tables[0];
        let bars = |line: &str| {
            let mut bars = 0;
            let mut escaped = false;
            for c in line.chars() {
                if c == '|' && !escaped { bars += 1; }
                escaped = c == '\\' && !escaped;
            }
            bars
        };
        if !table.columns.is_empty() {
            let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
            prop_assert_eq!(rows.len(), table.rows.len() + 2);
            for row in rows {
                prop_assert_eq!(bars(row), table.columns.len() + 1, "{}", row);
            }
        }
    }

    #[test]
    fn csv_has_one_line_per_record(doc in any_document()) {
        let text = csv::document(&doc);
        prop_assert!(!text.replace("\r\n", "\n").contains(is_steering));
        prop_assert_eq!(text.matches("\r\n").count(), doc.tables[0].rows.len() + 1);
        for line in text.split_terminator("\r\n") {
            prop_assert_eq!(fields(line), doc.tables[0].columns.len() + 1);
        }
    }

    #[test]
    fn json_reads_back(doc in any_document()) {
        let mut bytes = Vec::new();
        json::write(&mut bytes, &doc).unwrap();
        let written = String::from_utf8(bytes).unwrap();
        prop_assert!(!written.contains(is_steering));
        let value: serde_json::Value = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(value["title"].as_str(), Some(doc.title.as_str()));
        prop_assert_eq!(value["tables"][0]["rows"].as_array().map(Vec::len), Some(doc.tables[0].rows.len()));
    }
}

/// The texts a terminal page is made of.
fn all_text(doc: &Document) -> String {
    let table = &doc.tables[0];
    let mut all = format!("{}{}{}{}", doc.title, table.title, doc.warnings.concat(), doc.notes.concat());
    all.push_str(&table.notes.concat());
    for fact in &doc.facts {
        all.push_str(&fact.label);
        all.push_str(&fact.value.shown());
    }
    for column in &table.columns {
        all.push_str(&column.label);
    }
    for row in &table.rows {
        for cell in row.iter().take(table.columns.len()) {
            all.push_str(&cell.shown());
        }
    }
    all
}

/// Fields of one CSV record, by a second reading of RFC 4180.
fn fields(record: &str) -> usize {
    let mut fields = 1;
    let mut quoted = false;
    for c in record.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields += 1,
            _ => {}
        }
    }
    fields
}
