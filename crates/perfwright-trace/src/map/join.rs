//! Which kernel of a block does which operator.
//!
//! Recorded sizes decide first: a product of N and K of an operator is that operator, several whose N add to it are
//! parts of it, and one whose N is the sum of neighbours' is a fusion of them. A recorded product that fits no
//! operator is left over: order never overrules sizes. Kernels without sizes are joined by their order between
//! attention, activation and experts.

use perfwright_model::ops::{Category, Op};

use super::catalog::Product;
use super::role::Role;

/// One piece of device work, as far as joining goes. The rows of its product do not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Event {
    pub(super) role: Role,
    pub(super) shape: Option<Shape>,
}

/// Sizes of a product without its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) batch: u64,
    pub(super) n: u64,
    pub(super) k: u64,
}

impl Shape {
    pub(super) fn of(product: &Product) -> Self {
        Self { batch: product.batch, n: product.n, k: product.k }
    }
}

/// The join of a block.
#[derive(Debug, Clone, Default)]
pub(super) struct Joined {
    /// Index into `groups` of every event.
    pub(super) of_event: Vec<Option<u16>>,
    /// Operators (indices into the block's) that the same kernels do.
    pub(super) groups: Vec<Vec<usize>>,
    /// Operators with FLOPs or communication and without kernels.
    pub(super) missing: Vec<usize>,
    /// Products without an operator.
    pub(super) strays: Vec<usize>,
}

/// Where a product stands in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before attention.
    Into,
    /// After it.
    Out,
    Router,
    Up,
    Down,
}

fn is_mixer(op: &Op) -> bool {
    matches!(op.category, Category::Attention | Category::Recurrence)
}

fn place(ops: &[Op], at: usize) -> Place {
    let op = &ops[at];
    let begin = ops[..at].iter().rposition(|o| o.name == "norms").unwrap_or(0);
    let mixed = ops[begin..at].iter().any(is_mixer);
    match op.name.as_str() {
        "router" | "shared_expert_gate" => Place::Router,
        name if name.starts_with("o_") || name == "out_proj" || name == "attn_gate_proj" => Place::Out,
        name if name.contains("down") => Place::Down,
        name if name.contains("up") && !name.contains("kv_b") => Place::Up,
        _ if mixed => Place::Up,
        _ => Place::Into,
    }
}

/// Joins a block. `latent` has the sizes of latent attention: rank, and dimensions of a head without rotation and of
/// values; products of these in a batch are the two halves of its up-projection.
pub(super) fn join(ops: &[Op], events: &[Event], latent: Option<[u64; 3]>) -> Joined {
    let mut joiner = Joiner::new(ops, events);
    joiner.by_shape(latent);
    joiner.by_order();
    joiner.others();
    joiner.finish()
}

struct Joiner<'a> {
    ops: &'a [Op],
    events: &'a [Event],
    out: Joined,
    /// Group of each operator.
    used: Vec<Option<u16>>,
    /// First and last event that mixes tokens.
    core: Option<(usize, usize)>,
}

impl<'a> Joiner<'a> {
    fn new(ops: &'a [Op], events: &'a [Event]) -> Self {
        let expert = |s: &Shape| {
            let same = |op: &Op| op.shape.is_some_and(|[_, n, k]| (n, k) == (s.n, s.k));
            ops.iter().any(|op| op.category == Category::Moe && same(op))
        };
        let mixes = |e: &Event| {
            matches!(e.role, Role::Attention | Role::Recurrence)
                || (e.role.may_multiply() && e.shape.is_some_and(|s| s.batch > 1 && !expert(&s)))
        };
        let first = events.iter().position(mixes);
        let core = first.zip(events.iter().rposition(mixes));
        let out = Joined { of_event: vec![None; events.len()], ..Joined::default() };
        Self { ops, events, out, used: vec![None; ops.len()], core }
    }

    fn group(&mut self, members: Vec<usize>) -> u16 {
        let known = members.first().and_then(|&m| self.used[m]);
        if let Some(at) = known.filter(|&at| self.out.groups[usize::from(at)] == members) {
            return at;
        }
        let at = self.out.groups.len() as u16;
        members.iter().for_each(|&m| self.used[m] = Some(at));
        self.out.groups.push(members);
        at
    }

    fn assign(&mut self, events: &[usize], members: Vec<usize>) {
        let group = self.group(members);
        events.iter().for_each(|&e| self.out.of_event[e] = Some(group));
    }

    fn multiplies(&self, op: usize) -> bool {
        matches!(self.ops[op].category, Category::Gemm | Category::Moe) && self.ops[op].shape.is_some()
    }

    fn sizes(&self, op: usize) -> (u64, u64) {
        self.ops[op].shape.map_or((0, 0), |[_, n, k]| (n, k))
    }

    /// Products in the order in which they run.
    fn order(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.ops.len()).filter(|&i| self.multiplies(i)).collect();
        let rank = |i: usize| match place(self.ops, i) {
            Place::Into => 0,
            Place::Out => 1,
            Place::Router => 2,
            Place::Up => 3,
            Place::Down => 4,
        };
        // Layers that were put together keep their order: each begins with its norms.
        let layer = |i: usize| self.ops[..i].iter().filter(|o| o.name == "norms").count();
        all.sort_by_key(|&i| (layer(i), rank(i)));
        all
    }

    fn by_shape(&mut self, latent: Option<[u64; 3]>) {
        let order = self.order();
        let mut open: Vec<usize> = Vec::new();
        for e in 0..self.events.len() {
            let Some(shape) = self.events[e].shape else { continue };
            if shape.batch > 1 {
                self.batched(e, shape, latent);
                continue;
            }
            let after = self.core.is_some_and(|(_, last)| e > last);
            let same = |s: &Self, i: &usize| s.sizes(*i) == (shape.n, shape.k);
            let fits = |s: &Self, i: &usize| (place(s.ops, *i) == Place::Into) != after;
            let free = |s: &Self, i: &usize| s.used[*i].is_none() || s.ops[*i].category == Category::Moe;
            let hit = order.iter().find(|i| same(self, i) && free(self, i) && fits(self, i));
            let hit = hit.or_else(|| order.iter().find(|i| same(self, i) && free(self, i)));
            // The vocabulary of a head is padded to a round number.
            let head = |i: &&usize| {
                let (n, k) = self.sizes(**i);
                self.ops[**i].name == "lm_head" && k == shape.k && shape.n > n && shape.n - n < 512
            };
            match hit.or_else(|| order.iter().find(head)) {
                Some(&op) => self.assign(&[e], vec![op]),
                None => open.push(e),
            }
        }
        self.parts(&order, &mut open);
        self.fusions(&order, &mut open);
        self.again(&order, &mut open);
        self.out.strays = open;
    }

    /// Products in a batch: halves of a latent's up-projection, else attention written out.
    fn batched(&mut self, e: usize, shape: Shape, latent: Option<[u64; 3]>) {
        let up = latent.and_then(|[rank, nope, v]| {
            let (low, high) = (shape.n.min(shape.k), shape.n.max(shape.k));
            (high == rank && (low == nope || low == v)).then_some(())?;
            self.ops.iter().position(|op| op.name == "kv_b_proj")
        });
        // All experts at once.
        let same = |i: &usize| self.sizes(*i) == (shape.n, shape.k) && self.ops[*i].category == Category::Moe;
        let up = up.or_else(|| (0..self.ops.len()).find(same));
        let core = || self.ops.iter().position(|op| op.category == Category::Attention);
        match up.or_else(core) {
            Some(op) => self.assign(&[e], vec![op]),
            None => self.out.strays.push(e),
        }
    }

    /// Neighbouring products of one K whose outputs add up to an operator's.
    fn parts(&mut self, order: &[usize], open: &mut Vec<usize>) {
        for &op in order {
            let (n, k) = self.sizes(op);
            if self.used[op].is_some() {
                continue;
            }
            let of_k: Vec<usize> = open.iter().copied().filter(|&e| self.shape(e).k == k).collect();
            for from in 0..of_k.len() {
                let mut sum = 0u64;
                let length = of_k[from..].iter().take_while(|&&e| {
                    let more = sum < n;
                    sum = if more { sum.saturating_add(self.shape(e).n) } else { sum };
                    more
                });
                let length = length.count();
                if sum == n && length > 1 {
                    let taken = of_k[from..from + length].to_vec();
                    self.assign(&taken, vec![op]);
                    open.retain(|e| !taken.contains(e));
                    break;
                }
            }
        }
        // Experts one by one, gate and up apart.
        let experts: Vec<usize> =
            order.iter().copied().filter(|&i| self.ops[i].category == Category::Moe).collect();
        for op in experts {
            let (n, k) = self.sizes(op);
            let half =
                |s: Shape| s.k == k && s.n.saturating_mul(2) == n && self.ops[op].name.contains("gate_up");
            let taken: Vec<usize> = open.iter().copied().filter(|&e| half(self.shape(e))).collect();
            if !taken.is_empty() {
                self.assign(&taken, vec![op]);
                open.retain(|e| !taken.contains(e));
            }
        }
    }

    fn shape(&self, e: usize) -> Shape {
        self.events[e].shape.unwrap_or(Shape { batch: 0, n: 0, k: 0 })
    }

    /// One product whose outputs are those of several operators with the same input.
    fn fusions(&mut self, order: &[usize], open: &mut Vec<usize>) {
        open.retain(|&e| {
            let shape = self.shape(e);
            let free: Vec<usize> = order
                .iter()
                .copied()
                .filter(|&i| {
                    self.used[i].is_none()
                        && self.sizes(i).1 == shape.k
                        && self.ops[i].category == Category::Gemm
                })
                .collect();
            for from in 0..free.len() {
                let mut sum = 0u64;
                for to in from..free.len() {
                    sum = sum.saturating_add(self.sizes(free[to]).0);
                    if sum == shape.n && to > from {
                        self.assign(&[e], free[from..=to].to_vec());
                        return false;
                    }
                }
            }
            true
        });
    }

    /// An operator's sizes once more: its rows in pieces.
    fn again(&mut self, order: &[usize], open: &mut Vec<usize>) {
        open.retain(|&e| {
            let shape = self.shape(e);
            let Some(&op) = order.iter().find(|&&i| self.sizes(i) == (shape.n, shape.k)) else { return true };
            self.out.of_event[e] = self.used[op];
            self.used[op].is_none()
        });
    }

    /// Kernels without sizes, in order.
    fn by_order(&mut self) {
        let open = |s: &Self, e: usize| {
            s.events[e].shape.is_none() && s.events[e].role.is_gemm() && s.out.of_event[e].is_none()
        };
        let events: Vec<usize> = (0..self.events.len()).filter(|&e| open(self, e)).collect();
        let free: Vec<usize> = self
            .order()
            .into_iter()
            .filter(|&i| self.used[i].is_none() && self.ops[i].category == Category::Gemm)
            .collect();
        let (first, last) = self.core.unwrap_or((usize::MAX, usize::MAX));
        let into = |s: &Self, i: &usize| place(s.ops, *i) == Place::Into;
        let (pre, post): (Vec<usize>, Vec<usize>) = events.into_iter().partition(|&e| e < first);
        let (ops_pre, ops_post): (Vec<usize>, Vec<usize>) = free.into_iter().partition(|i| into(self, i));
        if self.core.is_none() {
            // No attention in sight: the head after the layers, or nothing to hold on to.
            let all: Vec<usize> = ops_pre.into_iter().chain(ops_post).collect();
            self.run(&pre, &all);
            return;
        }
        self.run(&pre, &ops_pre);
        let (within, post): (Vec<usize>, Vec<usize>) = post.into_iter().partition(|&e| e < last);
        if let Some(op) = self.ops.iter().position(|op| op.name == "kv_b_proj").filter(|_| !within.is_empty())
        {
            self.assign(&within, vec![op]);
        }
        let moe = (last + 1..self.events.len()).find(|&e| self.events[e].role.is_moe());
        if let Some(moe) = moe {
            let head = |s: &Self, i: &usize| matches!(place(s.ops, *i), Place::Out | Place::Router);
            let (before, behind): (Vec<usize>, Vec<usize>) = post.into_iter().partition(|&e| e < moe);
            let (ops_head, ops_rest): (Vec<usize>, Vec<usize>) =
                ops_post.into_iter().partition(|i| head(self, i));
            // Shared experts may run before the routing.
            if before.len() > ops_head.len() && behind.len() < ops_rest.len() {
                let (all, ops) = ([before, behind].concat(), [ops_head, ops_rest].concat());
                self.run(&all, &ops);
            } else {
                self.run(&before, &ops_head);
                self.run(&behind, &ops_rest);
            }
            return;
        }
        let acts = |e: &usize| matches!(self.events[*e].role, Role::Activation | Role::GemmActivation);
        let ups = |s: &Self| ops_post.iter().filter(|i| place(s.ops, **i) == Place::Up).count();
        let cut = (last + 1..self.events.len()).find(acts).filter(|_| ups(self) == 1);
        let Some(cut) = cut else { return self.run(&post, &ops_post) };
        let fused = usize::from(self.events[cut].role == Role::GemmActivation);
        let down = |s: &Self, i: &usize| place(s.ops, *i) == Place::Down;
        let (ops_down, ops_up): (Vec<usize>, Vec<usize>) = ops_post.into_iter().partition(|i| down(self, i));
        // An up-projection without the gate's fusion may stand after the activation: gate, act, up, mul, down.
        let (before, behind): (Vec<usize>, Vec<usize>) = post.into_iter().partition(|&e| e < cut + fused);
        if fused == 0 && behind.len() == 2 && ops_down.len() == 1 && before.len() == ops_up.len() {
            self.run(&before, &ops_up);
            let up = ops_up.iter().copied().find(|&i| place(self.ops, i) == Place::Up);
            if let Some(up) = up {
                self.assign(&behind[..1], vec![up]);
            }
            self.run(&behind[1..], &ops_down);
            return;
        }
        self.run(&before, &ops_up);
        self.run(&behind, &ops_down);
    }

    /// A run of kernels and a run of operators. With more kernels than operators the largest operator takes the rest;
    /// with fewer, which kernel does which cannot be told, and they are one group.
    fn run(&mut self, events: &[usize], ops: &[usize]) {
        if ops.is_empty() {
            self.out.strays.extend(events);
            return;
        }
        if events.is_empty() {
            return;
        }
        if events.len() < ops.len() {
            self.assign(events, ops.to_vec());
            return;
        }
        let spare = events.len() - ops.len();
        let largest =
            ops.iter().enumerate().max_by_key(|(at, i)| (self.ops[**i].flops, std::cmp::Reverse(*at)));
        let largest = largest.map_or(0, |l| l.0);
        let mut at = 0;
        for (i, &op) in ops.iter().enumerate() {
            let take = if i == largest { spare + 1 } else { 1 };
            self.assign(&events[at..at + take], vec![op]);
            at += take;
        }
    }

    /// What is no dense product: attention, experts, norms, communication.
    fn others(&mut self) {
        let find = |s: &Self, hit: &dyn Fn(&Op) -> bool| -> Vec<usize> {
            (0..s.ops.len()).filter(|&i| hit(&s.ops[i])).collect()
        };
        let with = |s: &Self, roles: &[Role]| -> Vec<usize> {
            (0..s.events.len())
                .filter(|&e| {
                    s.out.of_event[e].is_none()
                        && s.events[e].shape.is_none()
                        && roles.contains(&s.events[e].role)
                })
                .collect()
        };
        let recurrence = find(self, &|op| op.category == Category::Recurrence);
        let attention = find(self, &|op| op.category == Category::Attention);
        let indexer = find(self, &|op| op.category == Category::Indexer);
        let mixers = if attention.is_empty() { recurrence.clone() } else { attention };
        let states = if recurrence.is_empty() { mixers.clone() } else { recurrence };
        self.all(&with(self, &[Role::Recurrence]), states);
        let cores = with(self, &[Role::Attention, Role::Helper]);
        let both = if indexer.is_empty() { mixers } else { [indexer, mixers].concat() };
        self.all(&cores, both);
        let experts: Vec<usize> = find(self, &|op| op.category == Category::Moe);
        let kernels = with(self, &[Role::Experts]);
        let free: Vec<usize> = experts.iter().copied().filter(|&i| self.used[i].is_none()).collect();
        if kernels.len() == experts.len() && free.len() == experts.len() {
            self.run(&kernels, &experts);
        } else {
            self.all(&kernels, if free.is_empty() { experts } else { free });
        }
        let comm = find(self, &|op| op.category == Category::Communication);
        self.all(&with(self, &[Role::Communication]), comm);
        let first = self.core.map_or(0, |c| c.0);
        let begun = (0..first).find(|&e| self.events[e].role.is_gemm() || self.events[e].shape.is_some());
        let qk = find(self, &|op| op.name == "qk_norm");
        let norms = find(self, &|op| op.name == "norms" || op.name == "final_norm");
        for e in with(self, &[Role::Norm]) {
            let inside = begun.is_some_and(|b| e > b && e < first) && !qk.is_empty();
            self.all(&[e], if inside { qk.clone() } else { norms.clone() });
        }
        let rope = find(self, &|op| op.name == "rope");
        self.all(&with(self, &[Role::Rope]), rope);
        let acts = find(self, &|op| op.category == Category::Elementwise && op.name.ends_with("activation"));
        self.all(&with(self, &[Role::Activation]), acts);
        let embedding = find(self, &|op| op.category == Category::Embedding);
        self.all(&with(self, &[Role::Embedding]), embedding);
    }

    fn all(&mut self, events: &[usize], ops: Vec<usize>) {
        if !events.is_empty() && !ops.is_empty() {
            self.assign(events, ops);
        } else if ops.is_empty() {
            // Ranks that exchange nothing in a layer by the model; between layers they may, and it costs little.
            let layer = self.ops.iter().any(is_mixer);
            let lost = |e: &&usize| match self.events[**e].role {
                Role::Attention | Role::Recurrence | Role::Experts => true,
                Role::Communication => layer,
                _ => false,
            };
            self.out.strays.extend(events.iter().filter(lost));
        }
    }

    fn finish(mut self) -> Joined {
        let works =
            |op: &Op| op.flops > 0 || op.comm_bytes > 0 || is_mixer(op) || op.category == Category::Moe;
        self.out.missing =
            (0..self.ops.len()).filter(|&i| self.used[i].is_none() && works(&self.ops[i])).collect();
        self.out.strays.sort_unstable();
        self.out
    }
}
