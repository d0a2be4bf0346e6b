//! `perfwright loop report`: the campaign as it is shown to others.

use std::path::Path;

use perfwright_evidence::{Status as RunStatus, VerifyOptions, verify};
use perfwright_loop::{Lane, account, change, change_text, page, run_lanes, timeline};
use perfwright_report::html::{self, Block};
use perfwright_report::{Cell, Document};

use crate::cli::loops::ReportArgs;
use crate::cmd::loops::{failed, folder, head_of, open, registry, show, standing};
use crate::cmd::run::verify_error;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::settings::Format;

/// Runs the verb.
pub(super) fn run(args: &ReportArgs, context: &mut Context) -> Outcome {
    let head = head_of(args.dir.as_deref(), context)?;
    if args.close && !head.closed {
        let journal = open(args.dir.as_deref(), None, context)?;
        if !journal.state().phase.is_terminal() {
            return Err(Diagnostic::new(codes::LOOP_STATE, "the campaign has not ended")
                .help("`perfwright loop cancel` ends it without success"));
        }
        journal.close().map_err(|e| failed(&e))?;
    }
    if !args.perfetto && !args.pr && context.settings.format != Format::Html {
        let status = show(Some(&head.root), context)?;
        return Ok(standing(&status, context));
    }
    let account = account(&registry(context)?, &folder(Some(&head.root))).map_err(|e| failed(&e))?;
    if args.pr {
        let change = change(&account).map_err(|e| failed(&e))?;
        if context.settings.format == Format::Json {
            context.json(&change)?;
        } else {
            context.text(&change_text(&change))?;
        }
        return Ok(Exit::Done);
    }
    if args.perfetto {
        let mut more: Vec<Lane> = Vec::new();
        for run in &args.with {
            more.extend(run_lanes(run).map_err(|e| failed(&e))?);
        }
        context.json(&timeline(&account, &more))?;
    } else {
        let checked = if account.chain.closed { verified(&head.run_dir)? } else { Vec::new() };
        context.text(&html::page(&page(&account, checked)))?;
    }
    Ok(standing(&account.status, context))
}

/// What `run verify` says of a closed run, for its page.
pub(crate) fn verified(run_dir: &Path) -> Result<Vec<Block>, Diagnostic> {
    let registry = crate::record::registry()?;
    let report = verify(run_dir, &registry, &VerifyOptions::default()).map_err(|e| verify_error(&e))?;
    let mut doc = Document::default();
    doc.fact("run verify", Cell::word(&report.status));
    let c = &report.checked;
    doc.fact("checked", Cell::text(format!("{} events, {} files, {} bytes", c.events, c.files, c.bytes)));
    for (label, verdict) in
        [("verdict (stored)", &report.stored_verdict), ("verdict (recomputed)", &report.recomputed_verdict)]
    {
        if let Some(verdict) = verdict {
            crate::cmd::run::verdict_fact(&mut doc, label, verdict);
        }
    }
    let mut blocks = vec![Block::Heading("Verification".to_owned()), Block::Facts(doc.facts)];
    if report.status != RunStatus::Clean {
        blocks
            .extend(report.differences.iter().map(|d| Block::Warning(format!("{}: {}", d.place, d.detail))));
    }
    Ok(blocks)
}
