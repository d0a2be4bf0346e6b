//! The layer that each piece of device work belongs to, for setting two traces side by side.

use super::kind::kinds;
use super::passes::{Scene, passes};
use super::segment::NO_MODULE;
use crate::attribution::Attribution;
use crate::part::Meanings;
use crate::steps::{NO_STEP, Steps};
use crate::store::Store;

/// Work of a step whose layers are not known, or of none.
pub(crate) const NOWHERE: u32 = u32::MAX;
/// Work before the first layer of a step.
pub(crate) const BEFORE: u32 = u32::MAX - 1;
/// Work after the last layer of a step.
pub(crate) const AFTER: u32 = u32::MAX - 2;

/// Where device work is.
pub(crate) struct Positions {
    /// Number of the layer, or one of the constants, by device row.
    pub(crate) of_device: Vec<u32>,
    /// Layers of each step; 0 where they are not known.
    pub(crate) layers: Vec<u32>,
}

/// The layers of every step that holds exactly one pass.
pub(crate) fn positions(
    store: &Store,
    steps: &Steps,
    meanings: &Meanings,
    attribution: &Attribution,
) -> Positions {
    let kinds = kinds(store, meanings);
    let modules: Vec<u32> = attribution.found.iter().map(|f| f.layer.unwrap_or(NO_MODULE)).collect();
    let scene = Scene { store, steps, kinds: &kinds, modules: &modules, anchor: None, config_layers: None };
    let (cut, _) = passes(&scene);
    let mut held = vec![0u32; steps.list.len()];
    cut.iter().filter(|p| p.step != NO_STEP).for_each(|p| held[p.step as usize] += 1);
    let mut out = Positions { of_device: vec![NOWHERE; store.devices.len()], layers: vec![0; held.len()] };
    for pass in cut.iter().filter(|p| p.step != NO_STEP && held[p.step as usize] == 1) {
        let layers = pass.layers.len() as u32;
        if layers == 0 {
            continue;
        }
        out.layers[pass.step as usize] = layers;
        for (&row, &part) in pass.rows.iter().zip(&pass.parts) {
            out.of_device[row as usize] = match part {
                0 => BEFORE,
                part if part > layers => AFTER,
                part => part - 1,
            };
        }
    }
    out
}
