//! Limits for CI: `--fail-on 'EXPR'`.
//!
//! ```text
//! EXPR   := WHAT '>' LIMIT
//! WHAT   := 'step' | 'step.' CLASS          wall time of a step
//!         | 'kernel' | 'kernel.' CLASS      device time of any kernel in a step
//!         | 'category.' NAME | 'category.' NAME '.' CLASS
//! CLASS  := prefill | decode | mixed | verify | draft | capture | unknown
//! LIMIT  := NUMBER ('%' | 'ns' | 'us' | 'ms')
//! ```
//!
//! Without a class, every class that was compared is looked at. A limit is exceeded when the low end of a
//! difference's interval is above it: `%` is of A, so kernels that only B has can exceed limits in time only. What
//! was not compared, or has no interval, is unproven and never passes silently.

use super::report::{Comparison, LimitResult, LimitRow, Measure};
use crate::steps::Class;

/// An expression that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a limit: {cause}")]
pub struct LimitError {
    /// The expression.
    pub text: String,
    /// What is wrong with it.
    pub cause: String,
}

/// What a limit is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Wall time of a step.
    Step,
    /// Device time of any kernel.
    Kernel,
    /// Device time of a category.
    Category(String),
}

/// The largest difference that passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// As a part of A.
    Share(f64),
    /// Nanoseconds per step.
    Ns(f64),
}

/// A parsed limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The expression as given.
    pub text: String,
    /// What it is about.
    pub what: What,
    /// In which class; `None` for all.
    pub class: Option<Class>,
    /// The largest difference that passes.
    pub size: Size,
}

impl std::str::FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        parse(text).map_err(|cause| LimitError { text: text.chars().take(200).collect(), cause })
    }
}

fn parse(text: &str) -> Result<Limit, String> {
    let (what, size) = text.split_once('>').ok_or("it has no `>`")?;
    let mut words = what.trim().split('.');
    let first = words.next().unwrap_or_default();
    let what = match first {
        "step" => What::Step,
        "kernel" => What::Kernel,
        "category" => {
            let name = words.next().filter(|n| !n.is_empty()).ok_or("`category.` needs a name")?;
            What::Category(name.to_owned())
        }
        _ => return Err(format!("`{first}` is not one of step, kernel, category")),
    };
    let class = match words.next() {
        None => None,
        Some(word) => {
            let class = Class::ALL.into_iter().find(|c| c.as_str() == word);
            Some(class.ok_or_else(|| format!("`{word}` is not a class of steps"))?)
        }
    };
    if words.next().is_some() {
        return Err("it has too many `.`".to_owned());
    }
    let size = size.trim();
    let digits = size.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(size.len());
    let number: f64 = size[..digits].parse().map_err(|_| format!("`{size}` does not begin with a number"))?;
    let size = match size[digits..].trim() {
        "%" => Size::Share(number / 100.0),
        "ns" => Size::Ns(number),
        "us" => Size::Ns(number * 1e3),
        "ms" => Size::Ns(number * 1e6),
        _ => return Err(format!("`{size}` needs a unit: %, ns, us or ms")),
    };
    Ok(Limit { text: text.to_owned(), what, class, size })
}

/// One quantity that a limit is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) a_ns: f64,
    pub(super) ratio: Option<f64>,
    pub(super) delta_ns: f64,
    /// Low end of the difference's interval.
    pub(super) low_ns: Option<f64>,
}

impl Subject {
    fn new(name: String, m: &Measure) -> Self {
        Self { name, a_ns: m.a_ns_per_step, ratio: m.ratio, delta_ns: m.delta_ns_per_step, low_ns: m.ci_low }
    }
}

impl Limit {
    /// Holds the limit against a comparison.
    pub fn check(&self, c: &Comparison) -> LimitRow {
        let here = |class: Class| self.class.is_none_or(|want| want == class);
        let subjects: Vec<Subject> = match &self.what {
            What::Step => c
                .classes
                .iter()
                .filter(|r| here(r.class) && r.matched > 0)
                .map(|r| Subject::new(format!("step.{}", r.class.as_str()), &r.wall))
                .collect(),
            What::Kernel => c
                .rows
                .iter()
                .filter(|r| here(r.class))
                .map(|r| Subject::new(format!("{} in {}", r.kernel, r.class.as_str()), &r.time))
                .collect(),
            What::Category(name) => c
                .categories
                .iter()
                .filter(|r| here(r.class) && r.category == *name)
                .map(|r| Subject::new(format!("category.{name}.{}", r.class.as_str()), &r.time))
                .collect(),
        };
        self.judge(&subjects)
    }

    /// The list of the answer that the limit looks at, and the category of its rows.
    pub(super) fn source(&self) -> (&'static str, Option<&str>) {
        match &self.what {
            What::Step => ("classes", None),
            What::Kernel => ("rows", None),
            What::Category(name) => ("categories", Some(name)),
        }
    }

    /// Holds the limit against quantities.
    pub(super) fn judge(&self, subjects: &[Subject]) -> LimitRow {
        let mut row = LimitRow { limit: self.text.clone(), result: LimitResult::Within, found: Vec::new() };
        let mut proven = false;
        for s in subjects {
            let Some(low) = s.low_ns else { continue };
            proven = true;
            let over = match self.size {
                Size::Share(share) => s.a_ns > 0.0 && low > share * s.a_ns,
                Size::Ns(ns) => low > ns,
            };
            if over {
                row.result = LimitResult::Exceeded;
                let by = match s.ratio {
                    Some(ratio) => format!("{:+.2} %", (ratio - 1.0) * 100.0),
                    None => "new".to_owned(),
                };
                row.found.push(format!(
                    "{}: {by}, {:+.3} us/step, at least {:+.3} us",
                    s.name,
                    s.delta_ns / 1e3,
                    low / 1e3
                ));
            }
        }
        if !proven {
            row.result = LimitResult::Unproven;
            row.found.push(if subjects.is_empty() {
                "nothing of the kind was compared".to_owned()
            } else {
                "the compared steps are too few for an interval".to_owned()
            });
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let of = |t: &str| t.parse::<Limit>().map(|l| (l.what, l.class, l.size));
        assert_eq!(of("step.decode>3%"), Ok((What::Step, Some(Class::Decode), Size::Share(0.03))));
        assert_eq!(of(" kernel > 10 % "), Ok((What::Kernel, None, Size::Share(0.1))));
        let attention = What::Category("attention".to_owned());
        assert_eq!(of("category.attention>5us"), Ok((attention.clone(), None, Size::Ns(5000.0))));
        let wanted = Ok((attention, Some(Class::Prefill), Size::Ns(1.5e6)));
        assert_eq!(of("category.attention.prefill>1.5ms"), wanted);
        for bad in [
            "",
            ">",
            "step",
            "step>",
            "step>3",
            "step<3%",
            "steps>3%",
            "step.x>3%",
            "category>3%",
            "category.>3%",
            "step.decode.x>3%",
            "step>-3%",
            "step>1.2.3%",
            "step>3s",
            "kernel>%",
            "step>é%",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
