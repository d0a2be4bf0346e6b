//! Prometheus text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

use std::fmt::Write as _;

use super::registry::{Family, Series, Value};

/// Media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text of all families.
pub fn render(families: &[Family]) -> String {
    let mut out = String::with_capacity(32 * 1024);
    for family in families {
        let kind = match family.series.first().map(|series| &series.value) {
            Some(Value::Counter(_)) => "counter",
            Some(Value::Gauge(_)) => "gauge",
            Some(Value::Histogram(_)) => "histogram",
            None => continue,
        };
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(out, "# HELP {} {help}\n# TYPE {} {kind}", family.name, family.name);
        for series in &family.series {
            one(&mut out, family.name, series);
        }
    }
    out
}

fn one(out: &mut String, name: &str, series: &Series) {
    match &series.value {
        Value::Counter(value) => line(out, name, "", &series.labels, None, value.get()),
        Value::Gauge(value) => line(out, name, "", &series.labels, None, value.get()),
        Value::Histogram(histogram) => {
            let state = histogram.state();
            let mut total = 0;
            for (at, count) in state.counts.iter().enumerate() {
                total += count;
                let bound = histogram.bounds().get(at).map_or_else(|| "+Inf".to_owned(), |b| number(*b));
                line(out, name, "_bucket", &series.labels, Some(&bound), total as f64);
            }
            line(out, name, "_sum", &series.labels, None, state.sum);
            line(out, name, "_count", &series.labels, None, total as f64);
        }
    }
}

fn line(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&str, String)],
    bound: Option<&str>,
    value: f64,
) {
    out.push_str(name);
    out.push_str(suffix);
    let le = bound.map(|b| ("le", b));
    let all = labels.iter().map(|(key, value)| (*key, value.as_str())).chain(le);
    for (at, (key, value)) in all.enumerate() {
        let _ = write!(out, "{}{key}=\"{}\"", if at == 0 { '{' } else { ',' }, escape(value));
    }
    if !labels.is_empty() || le.is_some() {
        out.push('}');
    }
    let _ = writeln!(out, " {}", number(value));
}

/// Backslash, quote and line feed are the three characters a label value escapes.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Whole numbers keep a `.0`, as the Python client writes them.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::{Counter, Gauge, Histogram};
    use super::*;

    #[test]
    fn every_kind_and_every_escape() {
        let counter = Counter::default();
        counter.add(3.0);
        let gauge = Gauge::default();
        gauge.set(f64::NAN);
        let histogram = Histogram::new(vec![0.1, 1.0]);
        histogram.observe(0.1);
        histogram.observe(5.0);
        let labels = vec![("model_name", "a\"b\\c\n}".to_owned())];
        let family =
            |name, value, labels| Family { name, help: "a\\b\nc", series: vec![Series { labels, value }] };
        let text = render(&[
            family("c_total", Value::Counter(counter), labels.clone()),
            family("g", Value::Gauge(gauge), vec![]),
            family("h", Value::Histogram(histogram), labels),
        ]);
        insta::assert_snapshot!(text, @r#"
        # HELP c_total a\\b\nc
        # TYPE c_total counter
        c_total{model_name="a\"b\\c\n}"} 3.0
        # HELP g a\\b\nc
        # TYPE g gauge
        g NaN
        # HELP h a\\b\nc
        # TYPE h histogram
        h_bucket{model_name="a\"b\\c\n}",le="0.1"} 1.0
        h_bucket{model_name="a\"b\\c\n}",le="1.0"} 1.0
        h_bucket{model_name="a\"b\\c\n}",le="+Inf"} 2.0
        h_sum{model_name="a\"b\\c\n}"} 5.1
        h_count{model_name="a\"b\\c\n}"} 2.0
        "#);
    }
}
