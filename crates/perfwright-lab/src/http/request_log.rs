//! Log lines of requests, in the text form of SGLang's request logger.

use super::active::Answer;
use super::app::App;
use crate::engine::handle::NewRequest;

/// Characters of a prompt at level 2.
const CUT: usize = 2048;

/// A request came.
pub(crate) fn received(app: &App, new: &NewRequest) {
    let wanted = app.request_log();
    if !wanted.on || !new.counted {
        return;
    }
    let mut object = format!("rid={:?}, prompt_tokens={}", new.rid, new.input_ids.len());
    if wanted.level >= 1 {
        let (sampling, stop) = (&new.sampling, &new.stop);
        object.push_str(&format!(
            ", sampling_params={{'max_new_tokens': {}, 'temperature': {}, 'top_p': {}, 'top_k': {}, 'ignore_eos': {}, \
             'stop': {:?}, 'stop_token_ids': {:?}}}",
            stop.max_new_tokens,
            sampling.temperature,
            sampling.top_p,
            sampling.top_k.map_or(-1, |k| i64::try_from(k).unwrap_or(i64::MAX)),
            if stop.ignore_eos { "True" } else { "False" },
            stop.strings,
            stop.token_ids,
        ));
    }
    if wanted.level >= 2 {
        let text = app.tokenizer.decode(&new.input_ids);
        object.push_str(&format!(", text={:?}", cut(&text, wanted.level)));
    }
    app.log.info(&format!("Receive: obj=GenerateReqInput({object})"));
}

/// A request ended.
pub(crate) fn finished(app: &App, answer: &Answer) {
    let wanted = app.request_log();
    if !wanted.on {
        return;
    }
    let reason = answer.finish.as_ref().map(crate::engine::request::Finish::native).unwrap_or_default();
    let mut out = format!(
        "'meta_info': {{'id': {:?}, 'prompt_tokens': {}, 'completion_tokens': {}, 'cached_tokens': 0, \
         'finish_reason': {reason}, 'e2e_latency': {:.6}}}",
        answer.rid(),
        answer.prompt_tokens(),
        answer.ids.len(),
        answer.elapsed(),
    );
    if wanted.level >= 2 {
        out.push_str(&format!(", 'text': {:?}", cut(&answer.text, wanted.level)));
    }
    app.log.info(&format!("Finish: obj=GenerateReqInput(rid={:?}), out={{{out}}}", answer.rid()));
}

fn cut(text: &str, level: u8) -> String {
    if level >= 3 { text.to_owned() } else { text.chars().take(CUT).collect() }
}
