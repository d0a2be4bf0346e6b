//! The weights of a layer as matrices and vectors, each with how tensor parallelism cuts it and where a checkpoint
//! keeps it. Parameters, memory and matrix products are all counted from this one list.

use crate::arch::{Attention, Ffn, Gate, KeyValue, Layer, Linear, Mixer, Moe, QkNorm, Rule, Span};

/// How ranks share a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Every rank holds all of it.
    Whole,
    /// Each rank holds a part of the output.
    Output,
    /// Each rank holds a part of the input; the results are summed.
    Input,
    /// Query, key and value projection: queries are cut, and of `heads` key and value heads each rank holds its
    /// share but never less than one.
    Qkv {
        /// Outputs for the queries.
        query: u64,
        /// Outputs per key and value head.
        per_head: u64,
        /// Key and value heads.
        heads: u64,
    },
    /// Experts, cut by expert and then by width. The flag says which side is the width.
    Experts {
        /// The output is the expert's width.
        output: bool,
    },
}

/// What a matrix belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Attention.
    Attention,
    /// Indexer of sparse attention.
    Indexer,
    /// Recurrent mixer.
    Mixer,
    /// Dense feed-forward network.
    Dense,
    /// Router.
    Router,
    /// Routed experts.
    Routed,
    /// Shared experts.
    Shared,
    /// Projections to and from the experts' latent width.
    Latent,
}

/// A weight matrix; `copies` of it exist (experts).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Name of the operator that multiplies by it.
    pub name: &'static str,
    /// What it belongs to.
    pub role: Role,
    /// Inputs.
    pub input: u64,
    /// Outputs.
    pub output: u64,
    /// Elements of the bias of one copy.
    pub bias: u64,
    /// How many there are.
    pub copies: u64,
    /// How ranks share it.
    pub cut: Cut,
    /// Its names in checkpoints, without the layer.
    pub modules: &'static [&'static str],
}

impl Matrix {
    /// One matrix without a bias.
    fn one(
        name: &'static str,
        role: Role,
        input: u64,
        output: u64,
        cut: Cut,
        modules: &'static [&'static str],
    ) -> Self {
        Self { name, role, input, output, bias: 0, copies: 1, cut, modules }
    }

    /// Weights of one copy, without the bias.
    pub fn weights(&self) -> u128 {
        u128::from(self.input) * u128::from(self.output)
    }

    /// All parameters.
    pub fn params(&self) -> u128 {
        (self.weights() + u128::from(self.bias)) * u128::from(self.copies)
    }

    /// Whether the router chooses among the copies.
    pub fn is_routed(&self) -> bool {
        self.role == Role::Routed
    }

    /// Input and output of one copy on a rank, under `tp` ranks (for experts: under `expert_tp` ranks).
    pub fn on_rank(&self, tp: u64, expert_tp: u64) -> (u64, u64) {
        match self.cut {
            Cut::Whole => (self.input, self.output),
            Cut::Output => (self.input, self.output.div_ceil(tp)),
            Cut::Input => (self.input.div_ceil(tp), self.output),
            Cut::Qkv { query, per_head, heads } => {
                (self.input, query.div_ceil(tp).saturating_add(per_head.saturating_mul(heads.div_ceil(tp))))
            }
            Cut::Experts { output: true } => (self.input, self.output.div_ceil(expert_tp)),
            Cut::Experts { output: false } => (self.input.div_ceil(expert_tp), self.output),
        }
    }
}

/// Weights that are no matrix: norms, convolutions, decays, sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// What it is.
    pub name: &'static str,
    /// Elements.
    pub count: u64,
    /// Cut among ranks.
    pub cut: bool,
}

/// All weights of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weights {
    /// Matrices.
    pub matrices: Vec<Matrix>,
    /// The rest.
    pub vectors: Vec<Vector>,
}

impl Weights {
    /// All parameters.
    pub fn params(&self) -> u128 {
        self.matrices.iter().map(Matrix::params).sum::<u128>()
            + self.vectors.iter().map(|v| u128::from(v.count)).sum::<u128>()
    }

    /// Parameters that one token uses.
    pub fn active(&self, layer: &Layer) -> u128 {
        let top_k = layer.ffns.iter().find_map(|ffn| match ffn {
            Ffn::Moe(moe) => Some(moe.active_experts()),
            Ffn::Dense { .. } => None,
        });
        let idle: u128 = self
            .matrices
            .iter()
            .filter(|m| m.is_routed())
            .map(|m| {
                let idle = u128::from(m.copies) - u128::from(top_k.unwrap_or(m.copies).min(m.copies));
                (m.weights() + u128::from(m.bias)) * idle
            })
            .sum();
        self.params() - idle
    }

    fn matrix(&mut self, matrix: Matrix) {
        self.matrices.push(matrix);
    }

    fn vector(&mut self, name: &'static str, count: u64, cut: bool) {
        if count > 0 {
            self.vectors.push(Vector { name, count, cut });
        }
    }
}

impl Moe {
    /// Experts with weights that a token uses; of `zero_experts` it uses their share for nothing.
    pub fn active_experts(&self) -> u64 {
        let all = self.experts.saturating_add(self.zero_experts).max(1);
        (self.top_k.saturating_mul(self.experts)).div_ceil(all)
    }
}

/// The weights of a layer of a model of width `hidden`.
pub fn of(layer: &Layer, hidden: u64) -> Weights {
    let mut w = Weights::default();
    for mixer in &layer.mixers {
        match mixer {
            Mixer::Attention(a) => attention(&mut w, a, hidden),
            Mixer::Linear(l) => linear(&mut w, l, hidden),
        }
    }
    for ffn in &layer.ffns {
        match ffn {
            Ffn::Dense { intermediate, gated, bias } => dense(&mut w, *intermediate, *gated, *bias, hidden),
            Ffn::Moe(moe) => experts(&mut w, moe, hidden, layer.ffns.len() > 1),
        }
    }
    w.vector("norms", layer.norms * hidden * if layer.norm_bias { 2 } else { 1 }, false);
    w
}

fn attention(w: &mut Weights, a: &Attention, hidden: u64) {
    let role = Role::Attention;
    let plain = |name, input, output, cut, modules| Matrix::one(name, role, input, output, cut, modules);
    let query = a.heads * a.qk_dim();
    let out = a.heads * a.v_dim();
    let gate = if a.gate == Gate::InQuery { query } else { 0 };
    match &a.kv {
        KeyValue::Latent { rank, rope, nope, v_dim } => {
            match a.q_lora {
                Some(q_rank) => {
                    w.matrix(plain(
                        "q_a_proj",
                        hidden,
                        q_rank,
                        Cut::Whole,
                        &["self_attn.q_a_proj", "self_attn.fused_qkv_a_proj_with_mqa"],
                    ));
                    w.vector("q_a_norm", q_rank, false);
                    w.matrix(plain("q_b_proj", q_rank, query + gate, Cut::Output, &["self_attn.q_b_proj"]));
                }
                None => w.matrix(plain("q_proj", hidden, query + gate, Cut::Output, &["self_attn.q_proj"])),
            }
            w.matrix(plain(
                "kv_a_proj",
                hidden,
                rank + rope,
                Cut::Whole,
                &["self_attn.kv_a_proj_with_mqa", "self_attn.fused_qkv_a_proj_with_mqa"],
            ));
            w.vector("kv_a_norm", *rank, false);
            w.matrix(plain(
                "kv_b_proj",
                *rank,
                a.heads * (nope + v_dim),
                Cut::Output,
                &["self_attn.kv_b_proj"],
            ));
        }
        KeyValue::Heads { heads, qk_dim, v_dim, shared, .. } => {
            let per_head = if a.borrowed_kv {
                0
            } else if *shared {
                *qk_dim
            } else {
                qk_dim + v_dim
            };
            let bias = if a.qkv_bias { query + gate + heads * per_head } else { 0 };
            match a.q_lora {
                Some(q_rank) => {
                    w.matrix(plain(
                        "q_a_proj",
                        hidden,
                        q_rank,
                        Cut::Whole,
                        &["self_attn.q_a_proj", "attn.wq_a"],
                    ));
                    w.vector("q_a_norm", q_rank, false);
                    w.matrix(plain(
                        "q_b_proj",
                        q_rank,
                        query + gate,
                        Cut::Output,
                        &["self_attn.q_b_proj", "attn.wq_b"],
                    ));
                    let cut = Cut::Qkv { query: 0, per_head, heads: *heads };
                    w.matrix(plain(
                        "kv_proj",
                        hidden,
                        heads * per_head,
                        cut,
                        &["self_attn.kv_proj", "attn.wkv"],
                    ));
                    w.vector("kv_norm", heads * per_head, false);
                }
                None => {
                    let cut = Cut::Qkv { query: query + gate, per_head, heads: *heads };
                    let modules = &[
                        "self_attn.q_proj",
                        "self_attn.qkv_proj",
                        "mixer.q_proj",
                        "mixer.qkv_proj",
                        "attn.q_proj",
                    ];
                    let qkv = plain("qkv_proj", hidden, query + gate + heads * per_head, cut, modules);
                    w.matrix(Matrix { bias, ..qkv });
                }
            }
            match a.qk_norm {
                QkNorm::None => {}
                QkNorm::Head => w.vector("qk_norm", 2 * qk_dim, false),
                QkNorm::Layer => w.vector("qk_norm", query + heads * qk_dim, true),
            }
        }
    }
    if a.gate == Gate::Own {
        w.matrix(plain(
            "attn_gate_proj",
            hidden,
            out,
            Cut::Output,
            &["self_attn.g_proj", "self_attn.gate_proj"],
        ));
    }
    if a.sinks {
        w.vector("sinks", a.heads, true);
    }
    if let Span::Sparse(s) = &a.span
        && s.own_indexer
    {
        indexer(w, a, s, hidden);
    }
    let o_modules: &[&str] = &["self_attn.o_proj", "mixer.o_proj", "self_attn.out_proj", "attn.wo_b"];
    let bias = if a.out_bias { hidden } else { 0 };
    match &a.out_lora {
        Some(lora) => {
            // Each group of heads has a matrix of its own.
            let per_group = out.div_ceil(lora.groups);
            let down = plain("o_a_proj", per_group, lora.rank * lora.groups, Cut::Output, &["attn.wo_a"]);
            w.matrix(down);
            w.matrix(Matrix {
                bias,
                ..plain("o_b_proj", lora.rank * lora.groups, hidden, Cut::Input, &["attn.wo_b"])
            });
        }
        None => w.matrix(Matrix { bias, ..plain("o_proj", out, hidden, Cut::Input, o_modules) }),
    }
}

/// DSA's indexer takes queries from the query latent; the block-sparse kin without one takes them from the input.
fn indexer(w: &mut Weights, a: &Attention, s: &crate::arch::Sparse, hidden: u64) {
    let modules: &[&str] = &["self_attn.indexer.wq_b", "self_attn.indexer"];
    let m = |name, input, output| Matrix::one(name, Role::Indexer, input, output, Cut::Whole, modules);
    let queries = s.index_heads * s.index_dim;
    w.matrix(m("index_q_proj", a.q_lora.unwrap_or(hidden), queries));
    w.matrix(m("index_k_proj", hidden, s.index_dim));
    if matches!(a.kv, KeyValue::Latent { .. }) {
        w.matrix(m("index_weights_proj", hidden, s.index_heads));
        w.vector("index_k_norm", 2 * s.index_dim, false);
    }
}

fn linear(w: &mut Weights, l: &Linear, hidden: u64) {
    const IN: &[&str] = &[
        "linear_attn.in_proj_qkvz",
        "linear_attn.in_proj_qkv",
        "mixer.in_proj",
        "mamba.in_proj",
        "self_attn.q_proj",
        "conv.in_proj",
    ];
    const OUT: &[&str] =
        &["linear_attn.out_proj", "mixer.out_proj", "mamba.out_proj", "self_attn.o_proj", "conv.out_proj"];
    const SMALL: &[&str] =
        &["linear_attn.in_proj_ba", "linear_attn.in_proj_b", "mamba.x_proj", "self_attn.b_proj"];
    let m = |name, input, output, cut, modules: &'static [&'static str]| {
        let bias = if l.proj_bias { output } else { 0 };
        Matrix { name, role: Role::Mixer, input, output, bias, copies: 1, cut, modules }
    };
    let conv = |w: &mut Weights, channels: u64| {
        w.vector("conv", channels * (l.conv + u64::from(l.conv_bias)), true);
    };
    match l.rule {
        Rule::Gdn { key_heads, value_heads, key_dim, value_dim } => {
            let (keys, values) = (key_heads * key_dim, value_heads * value_dim);
            w.matrix(m("in_proj_qkvz", hidden, 2 * keys + 2 * values, Cut::Output, IN));
            w.matrix(m("in_proj_ba", hidden, 2 * value_heads, Cut::Output, SMALL));
            conv(w, 2 * keys + values);
            w.vector("dt_bias", value_heads, true);
            w.vector("decay", value_heads, true);
            w.vector("gate_norm", value_dim, false);
            w.matrix(m("out_proj", values, hidden, Cut::Input, OUT));
        }
        Rule::Kda { heads, dim, full_gate } => {
            let all = heads * dim;
            w.matrix(m("qkv_proj", hidden, 3 * all, Cut::Output, IN));
            conv(w, 3 * all);
            w.matrix(m("decay_a_proj", hidden, dim, Cut::Whole, SMALL));
            w.matrix(m("decay_b_proj", dim, all, Cut::Output, SMALL));
            w.matrix(m("beta_proj", hidden, heads, Cut::Output, SMALL));
            if full_gate {
                w.matrix(m("gate_proj", hidden, all, Cut::Output, SMALL));
            } else {
                w.matrix(m("gate_a_proj", hidden, dim, Cut::Whole, SMALL));
                w.matrix(m("gate_b_proj", dim, all, Cut::Output, SMALL));
            }
            w.vector("dt_bias", all, true);
            w.vector("decay", heads, true);
            w.vector("gate_norm", dim, false);
            w.matrix(m("out_proj", all, hidden, Cut::Input, OUT));
        }
        Rule::Lightning { heads, dim } => {
            let all = heads * dim;
            w.matrix(m("qkv_proj", hidden, 3 * all, Cut::Output, IN));
            w.matrix(m("gate_proj", hidden, all, Cut::Output, SMALL));
            w.vector("gate_norm", all, true);
            w.matrix(m("out_proj", all, hidden, Cut::Input, OUT));
        }
        Rule::Mamba { inner, state, dt_rank } => {
            w.matrix(m("in_proj", hidden, 2 * inner, Cut::Output, IN));
            conv(w, inner);
            let x = m("x_proj", inner, dt_rank + 2 * state, Cut::Input, SMALL);
            w.matrix(Matrix { bias: 0, ..x });
            w.matrix(Matrix { bias: inner, ..m("dt_proj", dt_rank, inner, Cut::Output, SMALL) });
            w.vector("decay", inner * state, true);
            w.vector("skip", inner, true);
            w.matrix(m("out_proj", inner, hidden, Cut::Input, OUT));
        }
        Rule::Mamba2 { heads, dim, state, groups } => {
            let inner = heads * dim;
            w.matrix(m("in_proj", hidden, 2 * inner + 2 * groups * state + heads, Cut::Output, IN));
            conv(w, inner + 2 * groups * state);
            w.vector("dt_bias", heads, true);
            w.vector("decay", heads, true);
            w.vector("skip", heads, true);
            w.vector("gate_norm", inner, true);
            w.matrix(m("out_proj", inner, hidden, Cut::Input, OUT));
        }
        Rule::ShortConv { dim } => {
            w.matrix(m("in_proj", hidden, 3 * dim, Cut::Output, IN));
            conv(w, dim);
            w.matrix(m("out_proj", dim, hidden, Cut::Input, OUT));
        }
    }
}

fn dense(w: &mut Weights, width: u64, gated: bool, bias: bool, hidden: u64) {
    let (name, ups) = if gated { ("gate_up_proj", 2) } else { ("up_proj", 1) };
    let m = |name, input, output, cut, modules| {
        let bias = if bias { output } else { 0 };
        Matrix { name, role: Role::Dense, input, output, bias, copies: 1, cut, modules }
    };
    w.matrix(m(
        name,
        hidden,
        ups * width,
        Cut::Output,
        &["mlp.up_proj", "mlp.gate_up_proj", "mixer.up_proj", "feed_forward.up_proj"],
    ));
    w.matrix(m(
        "down_proj",
        width,
        hidden,
        Cut::Input,
        &["mlp.down_proj", "mixer.down_proj", "feed_forward.down_proj"],
    ));
}

/// `beside`: the layer has a dense network too, which then holds the name `mlp`.
fn experts(w: &mut Weights, moe: &Moe, hidden: u64, beside: bool) {
    const UP: &[&str] = &[
        "mlp.experts.0.up_proj",
        "mlp.experts.0.gate_proj",
        "mixer.experts.0.up_proj",
        "block_sparse_moe.experts.0.w1",
        "ffn.experts.0.w1",
        "moe.experts.0.up_proj",
        "experts.0.up_proj",
    ];
    const DOWN: &[&str] = &[
        "mlp.experts.0.down_proj",
        "mixer.experts.0.down_proj",
        "block_sparse_moe.experts.0.w2",
        "ffn.experts.0.w2",
        "moe.experts.0.down_proj",
        "experts.0.down_proj",
    ];
    const SHARED_UP: &[&str] = &[
        "mlp.shared_experts.up_proj",
        "mlp.shared_expert.up_proj",
        "mixer.shared_experts.up_proj",
        "block_sparse_moe.shared_experts.up_proj",
        "ffn.shared_experts.w1",
    ];
    const SHARED_DOWN: &[&str] = &[
        "mlp.shared_experts.down_proj",
        "mlp.shared_expert.down_proj",
        "mixer.shared_experts.down_proj",
        "block_sparse_moe.shared_experts.down_proj",
        "ffn.shared_experts.w2",
    ];
    const ROUTER: &[&str] = &["mlp.gate", "mlp.router", "mixer.gate", "block_sparse_moe.gate", "ffn.gate"];
    let all = moe.experts + moe.zero_experts;
    let bias = if moe.router_bias { all } else { 0 };
    w.matrix(Matrix { bias, ..Matrix::one("router", Role::Router, hidden, all, Cut::Whole, ROUTER) });
    let width = moe.latent.unwrap_or(hidden);
    if let Some(latent) = moe.latent {
        w.matrix(Matrix::one(
            "latent_down_proj",
            Role::Latent,
            hidden,
            latent,
            Cut::Whole,
            &["mixer.fc1_latent_proj", "mlp.latent_down_proj"],
        ));
        w.matrix(Matrix::one(
            "latent_up_proj",
            Role::Latent,
            latent,
            hidden,
            Cut::Whole,
            &["mixer.fc2_latent_proj", "mlp.latent_up_proj"],
        ));
    }
    const BESIDE_UP: &[&str] = &["experts.0.up_proj", "moe.experts.0.up_proj"];
    const BESIDE_DOWN: &[&str] = &["experts.0.down_proj", "moe.experts.0.down_proj"];
    let (up_modules, down_modules) = if beside { (BESIDE_UP, BESIDE_DOWN) } else { (UP, DOWN) };
    let (ups, up, shared_up) = if moe.gated {
        (2, "experts_gate_up", "shared_gate_up_proj")
    } else {
        (1, "experts_up", "shared_up_proj")
    };
    // A matrix's bias is that of one copy: parameters multiply it by the copies.
    let expert = |name, input, output, into, modules| Matrix {
        bias: if moe.expert_bias { output } else { 0 },
        copies: moe.experts,
        ..Matrix::one(name, Role::Routed, input, output, Cut::Experts { output: into }, modules)
    };
    w.matrix(expert(up, width, ups * moe.intermediate, true, up_modules));
    w.matrix(expert("experts_down", moe.intermediate, width, false, down_modules));
    if moe.shared > 0 {
        w.matrix(Matrix::one(shared_up, Role::Shared, hidden, ups * moe.shared, Cut::Output, SHARED_UP));
        w.matrix(Matrix::one("shared_down_proj", Role::Shared, moe.shared, hidden, Cut::Input, SHARED_DOWN));
        if moe.shared_gate {
            w.matrix(Matrix::one(
                "shared_expert_gate",
                Role::Router,
                hidden,
                1,
                Cut::Whole,
                &["mlp.shared_expert_gate"],
            ));
        }
    }
}
