//! Comments that people leave in a plan: `CMT: ... ENDCMT`, `<cmt>...</cmt>`, `<comment>...</comment>`.
//!
//! Code blocks and HTML comments are not looked into. A comment in a comment, an end without a beginning and a
//! beginning without an end are errors, because what they mean cannot be known.

/// One comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// `CMT-1`, counted in order.
    pub id: String,
    /// Line where it begins, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// A plan without its comments, and the comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comments {
    /// The document without them.
    pub rest: String,
    /// They, in order.
    pub comments: Vec<Comment>,
}

/// Comments that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommentError {
    /// A comment begins within another.
    #[error("line {line}: a comment within a comment")]
    Nested {
        /// Where.
        line: usize,
    },
    /// An end without a beginning.
    #[error("line {line}: the end of a comment that never began")]
    Stray {
        /// Where.
        line: usize,
    },
    /// A beginning without an end.
    #[error("line {line}: a comment without an end")]
    Open {
        /// Where it begins.
        line: usize,
    },
}

const FORMS: [(&str, &str); 3] = [("CMT:", "ENDCMT"), ("<cmt>", "</cmt>"), ("<comment>", "</comment>")];

/// Takes the comments out of a plan.
///
/// # Errors
/// They do not fit together.
pub fn extract(text: &str) -> Result<Comments, CommentError> {
    let mut out = Comments { rest: String::new(), comments: Vec::new() };
    let mut open: Option<(usize, &str, String)> = None;
    let (mut fenced, mut hidden) = (false, false);
    for (n, line) in text.lines().enumerate() {
        let line_no = n + 1;
        if open.is_none() {
            let trimmed = line.trim();
            if trimmed.starts_with("```") {
                fenced = !fenced;
            }
            let begins = !fenced && !hidden && trimmed.starts_with("<!--");
            if fenced || trimmed.starts_with("```") || hidden || begins {
                hidden = (hidden || begins) && !trimmed.contains("-->");
                out.rest.push_str(line);
                out.rest.push('\n');
                continue;
            }
        }
        let mut rest = line;
        let mut kept = String::new();
        let mut touched = open.is_some();
        loop {
            if let Some((_, end, said)) = &mut open {
                let nested = FORMS.iter().filter_map(|(begin, _)| rest.find(begin)).min();
                match rest.find(*end) {
                    Some(at) if nested.is_none_or(|nested| nested > at) => {
                        said.push_str(&rest[..at]);
                        rest = &rest[at + end.len()..];
                        if let Some((line, _, said)) = open.take() {
                            let id = format!("CMT-{}", out.comments.len() + 1);
                            out.comments.push(Comment { id, line, text: said.trim().to_owned() });
                        }
                    }
                    _ if nested.is_some() => return Err(CommentError::Nested { line: line_no }),
                    _ => {
                        said.push_str(rest);
                        said.push('\n');
                        break;
                    }
                }
            } else {
                let begin = FORMS.iter().filter_map(|(b, e)| rest.find(b).map(|at| (at, *b, *e))).min();
                let until = begin.map_or(rest.len(), |(at, ..)| at);
                if FORMS.iter().any(|(_, e)| rest[..until].contains(e)) {
                    return Err(CommentError::Stray { line: line_no });
                }
                kept.push_str(&rest[..until]);
                let Some((at, begin, end)) = begin else { break };
                touched = true;
                open = Some((line_no, end, String::new()));
                rest = &rest[at + begin.len()..];
            }
        }
        // A line that held nothing but a comment goes with it.
        if !touched || !kept.trim().is_empty() {
            out.rest.push_str(kept.trim_end());
            out.rest.push('\n');
        }
    }
    match open {
        Some((line, ..)) => Err(CommentError::Open { line }),
        None => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_taken_out() {
        let text = "a\nCMT: why\nnot? ENDCMT\nb <cmt>x</cmt> c\n```\nCMT: code\n```\n<!-- CMT: hidden -->\n<comment>last</comment>\n";
        let found = extract(text).expect("fits");
        let said: Vec<(usize, &str)> = found.comments.iter().map(|c| (c.line, c.text.as_str())).collect();
        assert_eq!(said, [(2, "why\nnot?"), (4, "x"), (9, "last")]);
        assert_eq!(found.rest, "a\nb  c\n```\nCMT: code\n```\n<!-- CMT: hidden -->\n");
        assert_eq!(extract("CMT: a <cmt>b</cmt> ENDCMT"), Err(CommentError::Nested { line: 1 }));
        assert_eq!(extract("a\nENDCMT"), Err(CommentError::Stray { line: 2 }));
        assert_eq!(extract("a\n<cmt>b"), Err(CommentError::Open { line: 2 }));
    }
}
