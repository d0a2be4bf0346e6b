//! Prometheus text (exposition format 0.0.4 and the lines that OpenMetrics shares with it): samples out of lines.

/// Longest text that is read, in bytes.
pub const MAX_TEXT: usize = 16 << 20;
/// Most samples that are kept.
pub const MAX_SAMPLES: usize = 200_000;
/// Most labels of one sample.
pub const MAX_LABELS: usize = 128;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Labels in the order of the text.
    pub labels: Vec<(String, String)>,
    /// The value; may be NaN or infinite.
    pub value: f64,
    /// Milliseconds, where the line has a time stamp.
    pub timestamp: Option<f64>,
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Samples, and how many lines were none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// The samples in the order of the text.
    pub samples: Vec<Sample>,
    /// Lines that could not be read.
    pub bad_lines: usize,
    /// The text was longer than the limits, and the rest was left out.
    pub cut: bool,
}

impl Metrics {
    /// Reads a text. Lines that are no samples are counted and passed over.
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        let mut text = text;
        if text.len() > MAX_TEXT {
            let mut end = MAX_TEXT;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            (text, metrics.cut) = (&text[..end], true);
        }
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if metrics.samples.len() == MAX_SAMPLES {
                metrics.cut = true;
                break;
            }
            match sample(line) {
                Some(sample) => metrics.samples.push(sample),
                None => metrics.bad_lines += 1,
            }
        }
        metrics
    }

    /// The sum over all samples of that name, whatever their labels; `None` when there is none or one is no number.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let mut found = self.samples.iter().filter(|s| s.name == name).peekable();
        found.peek()?;
        Some(found.map(|s| s.value).sum::<f64>()).filter(|v| v.is_finite())
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(|c: char| c == '{' || c.is_ascii_whitespace()).unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let starts_well = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    let goes_on = |c: char| starts_well(c) || c.is_ascii_digit();
    if !name.starts_with(starts_well) || !name.chars().all(goes_on) {
        return None;
    }
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = number(words.next()?)?;
    // An exemplar of OpenMetrics follows after `#`.
    let timestamp = match words.next() {
        None | Some("#") => None,
        Some(word) => Some(number(word)?),
    };
    Some(Sample { name: name.to_owned(), labels, value, timestamp })
}

fn number(word: &str) -> Option<f64> {
    match word {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ => word.parse().ok().filter(|v: &f64| v.is_finite()),
    }
}

type Labels = Vec<(String, String)>;

/// Labels up to the closing brace, and what follows it. Values may hold braces, commas and escapes.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        if labels.len() == MAX_LABELS {
            return None;
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => {
                    if other != '"' && other != '\\' {
                        value.push('\\');
                    }
                    value.push(other);
                }
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_a_line() {
        let m = Metrics::parse(
            "# HELP a b\n# TYPE a counter\na 1\nvllm:x_total{model=\"a}b\",p=\"q\\\"\\\\\\n\\d\"} 2.5e3 1700000000000\n\
             b{} NaN\nc{le=\"+Inf\",} +Inf\nd -Inf # {id=\"1\"} 2\n  e  7  \n\nnot a number\n1bad 2\nf{x=\"1\" 3\ng{x=1} 3\nh\n",
        );
        let names: Vec<&str> = m.samples.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["a", "vllm:x_total", "b", "c", "d", "e"]);
        let x = &m.samples[1];
        assert_eq!((x.label("model"), x.label("p")), (Some("a}b"), Some("q\"\\\n\\d")));
        assert_eq!((x.value, x.timestamp), (2500.0, Some(1.7e12)));
        assert!(m.samples[2].value.is_nan() && m.samples[3].value == f64::INFINITY);
        assert_eq!(m.bad_lines, 5);
        assert_eq!((m.sum("a"), m.sum("b"), m.sum("none")), (Some(1.0), None, None));
    }

    #[test]
    fn sizes_are_bounded() {
        let many = "a 1\n".repeat(MAX_SAMPLES + 5);
        let m = Metrics::parse(&many);
        assert_eq!((m.samples.len(), m.cut), (MAX_SAMPLES, true));
        let labels: String = (0..MAX_LABELS + 1).map(|i| format!("l{i}=\"\",")).collect();
        assert_eq!(Metrics::parse(&format!("a{{{labels}}} 1")).bad_lines, 1);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in any::<f64>(), label in "\\PC{0,20}") {
            let escaped = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let m = Metrics::parse(&format!("x{{l=\"{escaped}\"}} {value:e}"));
            if value.is_finite() {
                prop_assert_eq!(m.samples[0].value, value);
                prop_assert_eq!(m.samples[0].label("l"), Some(label.as_str()));
            }
        }

        #[test]
        fn any_text_is_survived(text in "[a-z{}\\\\\"=,0-9 \n#]{0,200}") {
            let _ = Metrics::parse(&text);
        }
    }
}
