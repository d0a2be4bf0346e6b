//! Weight matrices in the order in which the GEMM reads them.

/// Outputs of a panel.
pub(crate) const PANEL: usize = 16;

/// A weight matrix `[outputs, inputs]`, stored as panels of 16 outputs: `[panel][input][16]`, padded with zeros.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) data: Vec<f32>,
    pub(crate) inputs: usize,
}

/// Panels `first, first + step, ...` of a matrix that hold `outputs` outputs: a projection within a matrix that
/// several share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels {
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) outputs: usize,
}

impl Panels {
    pub(crate) fn count(self) -> usize {
        self.outputs.div_ceil(PANEL)
    }
}

impl Packed {
    /// Memory for `panels` panels.
    pub(crate) fn zeros(panels: usize, inputs: usize) -> Self {
        Self { data: vec![0.0; panels * inputs * PANEL], inputs }
    }

    #[inline(always)]
    pub(crate) fn panel(&self, index: usize) -> &[f32] {
        let len = self.inputs * PANEL;
        &self.data[index * len..(index + 1) * len]
    }

    /// Stores `rows` (`[outputs, inputs]`) in the given panels.
    pub(crate) fn store(&mut self, panels: Panels, rows: &[f32]) {
        assert_eq!(rows.len(), panels.outputs * self.inputs, "a matrix of the shape it is packed for");
        let inputs = self.inputs;
        for (output, row) in rows.chunks_exact(inputs).enumerate() {
            let panel = panels.first + output / PANEL * panels.step;
            let start = panel * inputs * PANEL + output % PANEL;
            for (slot, value) in self.data[start..].iter_mut().step_by(PANEL).zip(row) {
                *slot = *value;
            }
        }
    }

    /// The rows stored in the given panels, `[outputs, inputs]`.
    pub(crate) fn load(&self, panels: Panels) -> Vec<f32> {
        let mut rows = Vec::with_capacity(panels.outputs * self.inputs);
        for output in 0..panels.outputs {
            let panel = self.panel(panels.first + output / PANEL * panels.step);
            rows.extend(panel.iter().skip(output % PANEL).step_by(PANEL));
        }
        rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.data.len() * size_of::<f32>()
    }
}
