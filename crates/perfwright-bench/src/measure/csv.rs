//! Records as CSV, one row for each request; gaps are summed up.

use std::fmt::Write as _;

use super::record::{Phase, Record};

/// The header and one row for each record. Times are nanoseconds from the start.
pub fn csv(records: &[Record]) -> String {
    let mut out = String::from(
        "session,turn,phase,ok,failure,http,intended_ns,picked_ns,started_ns,sent_ns,first_token_ns,last_token_ns,end_ns,\
         ttft_ms,tpot_ms,e2e_ms,mean_gap_ms,max_gap_ms,input_nominal,output_asked,prompt_tokens,completion_tokens,\
         cached_tokens,chunks,finish,done,retries,reused\n",
    );
    let whole = |v: Option<u64>| v.map_or_else(String::new, |v| v.to_string());
    let part = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    for r in records {
        let phase = if r.phase == Phase::Warmup { "warmup" } else { "measured" };
        let gaps = r.gaps_ns.len();
        let mean_gap = (gaps > 0).then(|| r.gaps_ns.iter().sum::<u64>() as f64 / gaps as f64 / 1e6);
        let max_gap = r.gaps_ns.iter().max().map(|g| *g as f64 / 1e6);
        let cells = [
            r.session.to_string(),
            r.turn.to_string(),
            phase.to_owned(),
            r.is_ok().to_string(),
            r.failure.clone().unwrap_or_default(),
            r.http.map_or_else(String::new, |h| h.to_string()),
            r.intended_ns.to_string(),
            r.picked_ns.to_string(),
            r.started_ns.to_string(),
            whole(r.sent_ns),
            whole(r.first_token_ns),
            whole(r.last_token_ns),
            whole(r.end_ns),
            part(r.ttft_ms()),
            part(r.tpot_ms()),
            part(r.e2e_ms()),
            part(mean_gap),
            part(max_gap),
            r.input_nominal.to_string(),
            r.output_asked.to_string(),
            whole(r.prompt_tokens),
            whole(r.completion_tokens),
            whole(r.cached_tokens),
            (r.content_chunks + r.reasoning_chunks).to_string(),
            plain(r.finish.as_deref().unwrap_or_default()),
            r.done.to_string(),
            r.retries.to_string(),
            r.reused.to_string(),
        ];
        let _ = writeln!(out, "{}", cells.join(","));
    }
    out
}

/// A server's word without anything that a spreadsheet could act on.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .collect::<String>()
        .trim_start_matches('-')
        .to_owned()
}
