//! Runs recorded whole within another: a search, an A/B, the rounds. Each stays a run of its own, which
//! `perfwright run verify` takes by itself, and the outer run checks it once more.

use std::fs;
use std::path::Path;

use perfwright_evidence::{
    EvidenceMeta, EvidenceSet, Gate, LEDGER, Limits, MANIFEST, Manifest, Rule, RunError, RunWriter,
    ledger_of, sha256_hex,
};

use super::campaign::CampaignError;

/// Gates of runs that a campaign records whole.
fn known() -> impl Iterator<Item = &'static Gate> {
    perfwright_bench::gate::GATES.iter().chain(perfwright_trace::gate::GATES).chain(crate::close::GATES)
}

fn manifest_of(bytes: &[u8]) -> Result<Manifest, String> {
    serde_json::from_slice(bytes).map_err(|e| format!("the manifest cannot be read: {e}"))
}

/// Records the closed run `dir` below `prefix`. Files that are recorded already are left.
pub(super) fn embed(run: &mut RunWriter, prefix: &str, dir: &Path) -> Result<(), CampaignError> {
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read(&path).map_err(|source| CampaignError::Run(RunError::Io { path, source }))
    };
    let bytes = read(MANIFEST)?;
    let manifest = manifest_of(&bytes).map_err(CampaignError::Inner)?;
    let closed = ledger_of(&read(LEDGER)?, &Limits::default()).manifest_sha256;
    if closed.as_deref() != Some(&sha256_hex(&bytes)) {
        return Err(CampaignError::Inner(format!("{} is not a closed run", dir.display())));
    }
    let has = |run: &RunWriter, name: &str| run.evidence().iter().any(|e| e.name == name);
    for entry in &manifest.evidence {
        let name = format!("{prefix}/{}", entry.name);
        if entry.reference.is_some() {
            let why = format!("{name} is recorded by reference only, and cannot be recorded whole");
            return Err(CampaignError::Inner(why));
        }
        if !has(run, &name) {
            let mut meta = EvidenceMeta::new(&entry.media_type, entry.basis);
            meta.schema.clone_from(&entry.schema);
            run.add_file(&name, &dir.join(&entry.name), &meta)?;
        }
    }
    for (name, media) in [(LEDGER, "application/x-ndjson"), (MANIFEST, "application/json")] {
        let to = format!("{prefix}/{name}");
        if !has(run, &to) {
            let meta = EvidenceMeta::new(media, perfwright_evidence::Basis::Measured);
            run.add_file(&to, &dir.join(name), &meta)?;
        }
    }
    Ok(())
}

/// Folders of recorded runs, in order.
pub(super) fn folders(evidence: &EvidenceSet) -> Vec<String> {
    let suffix = format!("/{MANIFEST}");
    let runs = format!("{}/", super::names::RUNS);
    let of = |name: &str| {
        let folder = name.strip_suffix(&suffix)?;
        let own = folder.strip_prefix(&runs)?;
        (!own.contains('/')).then(|| folder.to_owned())
    };
    evidence.entries().iter().filter_map(|e| of(&e.name)).collect()
}

/// Checks a recorded run: its chain, its list of files, and its gates once more. The number of gates.
///
/// # Errors
/// What is not as it was.
pub(super) fn check(evidence: &EvidenceSet, prefix: &str) -> Result<usize, String> {
    let read = |name: &str| evidence.bytes(&format!("{prefix}/{name}")).map_err(|e| e.to_string());
    let bytes = read(MANIFEST)?;
    let manifest = manifest_of(&bytes)?;
    let ledger = ledger_of(&read(LEDGER)?, &Limits::default());
    if let Some(first) = ledger.differences.first() {
        return Err(format!("{}: {}", first.place, first.detail));
    }
    if ledger.manifest_sha256.as_deref() != Some(&sha256_hex(&bytes)) {
        return Err("its ledger was not closed with its manifest".to_owned());
    }
    let here = evidence.below(prefix);
    for entry in &manifest.evidence {
        match here.entries().iter().find(|e| e.name == entry.name) {
            None => return Err(format!("{} is missing", entry.name)),
            Some(there) if there.sha256 != entry.sha256 || there.basis != entry.basis => {
                return Err(format!("{} is not what was recorded", entry.name));
            }
            Some(_) => {}
        }
    }
    let listed = |name: &str| {
        name == LEDGER || name == MANIFEST || manifest.evidence.iter().any(|entry| entry.name == name)
    };
    if let Some(stranger) = here.entries().iter().find(|e| !listed(&e.name)) {
        return Err(format!("{} does not belong to it", stranger.name));
    }
    let mut again = Vec::new();
    for stored in &manifest.gates {
        let gate = known().find(|g| g.id == stored.id && g.version == stored.version);
        let gate = gate.ok_or_else(|| format!("its gate {} is not known here", stored.label()))?;
        let record = evidence.evaluate_below(prefix, gate);
        if (record.outcome, &record.measured) != (stored.outcome, &stored.measured) {
            return Err(format!("{} says something else when it is evaluated again", stored.label()));
        }
        again.push(record);
    }
    let rule = Rule::by_name(&manifest.verdict.rule).ok_or("its rule is not known")?;
    if rule.combine(&again).outcome != manifest.verdict.outcome {
        return Err("its verdict does not follow from its gates".to_owned());
    }
    Ok(again.len())
}
