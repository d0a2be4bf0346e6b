//! From what was added up to the answer.

use std::path::Path;

use perfwright_model::show;

use super::account::{Need, figures};
use super::detect::detect;
use super::plan::Setup;
use super::report::{ClassRow, Question, SCHEMA, TpFrom, TraceMap};
use super::run::{Making, MapError};
use super::verdict::verdict;
use crate::error::TraceError;
use crate::report::{Role as InputRole, Total, Totals};
use crate::steps::Class;
use crate::triage::{stop, stop_at};

impl Making<'_> {
    pub(super) fn finish(mut self, path: &Path) -> Result<TraceMap, MapError> {
        let mut totals = Totals::default();
        self.inputs.iter().filter(|i| i.role == InputRole::Trace).for_each(|i| totals.add(&i.totals));
        let mut halt = stop(&self.inputs, &totals).or_else(|| self.unusable.take());
        if self.passes.is_empty() && halt.is_none() {
            if self.options.phase.is_some() || self.options.pass.is_some() {
                let what = match (self.options.pass, self.options.phase) {
                    (Some(pass), _) => format!("pass {pass} with layers of the asked class"),
                    (None, class) => format!("{} pass with layers", class.map_or("", Class::as_str)),
                };
                let have = format!("{} passes were found", self.seen);
                return Err(TraceError::NoSuchPart { path: path.to_owned(), what, have }.into());
            }
            let reason =
                "no forward pass with attention or recurrence layers was found, so there is nothing to map";
            halt = Some(stop_at("PW0221", reason.to_owned(), path));
        }
        let expected = self.expected();
        let setup = Setup { model: &self.model, parallel: self.parallel, kv_dtype: self.options.kv_dtype };
        let found = detect(&self.tallies, &self.account, &setup, self.options.gpu, self.tp_from, &expected);
        if halt.is_none() {
            halt = found.impossible.map(|reason| stop_at("PW0220", reason, path));
        }
        let classes = self.classes();
        let mut notes = vec![
            "figures are those of one rank; times are sums of kernel durations".to_owned(),
            "bytes are those of the model: weights once a pass, cache, activations in and out; experts under uniform routing".to_owned(),
        ];
        if self.assumed_empty {
            notes
                .push("no label tells the context of prompts: taken as empty (--context sets it)".to_owned());
        }
        if self.tp_from == TpFrom::RecordedShapes {
            notes.push(format!(
                "--tp was not given; the recorded sizes are those of {} ranks",
                self.parallel.tp
            ));
        }
        if let (TpFrom::Default, Some(world)) = (self.tp_from, self.tallies.world.filter(|&w| w > 1)) {
            self.warnings.push(format!(
                "the trace is one of {world} ranks and records no sizes; --tp was not given and 1 is assumed"
            ));
        }
        notes.extend(self.model.notes.iter().cloned());
        let mut out = TraceMap {
            schema: SCHEMA.to_owned(),
            verdict: Vec::new(),
            model: show::summary(&self.model),
            question: Question {
                gpu: self.options.gpu.name.clone(),
                parallel: self.parallel,
                tp_from: self.tp_from,
                dtype: self.options.weights.map_or_else(|| "checkpoint".to_owned(), |f| f.name.to_owned()),
                kv_dtype: self.options.kv_dtype.name().to_owned(),
                phase: self.options.phase,
                pass: self.options.pass,
            },
            classes,
            operators: self.account.operators(),
            unmapped: self.account.unmapped(),
            disagreements: found.rows,
            partial: self.inputs.iter().find_map(|i| i.partial.clone()),
            inputs: self.inputs,
            passes: self.passes,
            outside: Total {
                count: self.total.count - self.mapped.count,
                total_ns: self.total.total_ns - self.mapped.total_ns,
            },
            stop: halt,
            notes,
            warnings: self.warnings,
        };
        out.verdict = verdict(&out);
        Ok(out)
    }

    /// Numbers of mixing layers that a pass of one rank may have.
    pub(super) fn expected(&self) -> Vec<u32> {
        let mixing = |range: std::ops::Range<usize>| {
            self.model.layers[range].iter().filter(|l| !l.mixers.is_empty()).count() as u32
        };
        let mut all: Vec<u32> =
            self.parallel.stages(self.model.layers.len()).into_iter().map(mixing).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn classes(&self) -> Vec<ClassRow> {
        self.account
            .classes
            .iter()
            .filter(|c| c.1.passes > 0)
            .map(|(&class, sum)| {
                let n = u128::from(sum.passes);
                let (mut mapped, mut figured) = (0, 0);
                let (mut flops, mut bytes) = (0u128, 0u128);
                let mut need = Need::default();
                for (_, _, row) in self.account.rows.iter().filter(|r| r.0.class == class) {
                    mapped += row.ns;
                    if row.known() {
                        figured += row.ns;
                        flops += row.flops;
                        bytes += row.bytes;
                        need.add(row.need);
                    }
                }
                let mut gemm = sum.gemm;
                gemm.recorded /= sum.passes;
                gemm.ratio = gemm
                    .model_flops
                    .filter(|&m| m > 0 && sum.gemm_known && sum.gemm.recorded > 0)
                    .map(|m| gemm.recorded_flops as f64 / m as f64);
                gemm.recorded_flops /= n;
                gemm.model_flops = gemm.model_flops.filter(|_| sum.gemm_known).map(|f| f / n);
                gemm.model_all_flops = gemm.model_all_flops.filter(|_| sum.gemm_known).map(|f| f / n);
                ClassRow {
                    class,
                    passes: sum.passes,
                    partial: sum.partial,
                    device_ns: sum.device_ns,
                    mapped_ns: mapped,
                    figured_ns: figured,
                    gemm,
                    figures: figures(flops, bytes, &need, sum.device_ns, sum.passes),
                }
            })
            .collect()
    }
}
