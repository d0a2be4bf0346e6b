//! Folders with a trace a rank.

mod common;

use common::{ask, ask_with, check_sums, short};
use perfwright_trace::error::TraceError;
use perfwright_trace::report::{Total, Totals};
use perfwright_trace::triage::{TriageOptions, triage};
use xtask::scratch::Scratch;
use xtask::tracegen::{Class, Options, Truth, generate_file};

const RANKS: u32 = 3;

/// Three ranks, the last one late, with the files that stand beside traces in real folders.
fn folder() -> (Scratch, Vec<Truth>) {
    let dir = Scratch::new("ranks");
    let truths = (0..RANKS)
        .map(|rank| {
            let o = Options { rank, ranks: RANKS, tp: RANKS, straggler_ns: 40_000, ..short() };
            let name = format!("1700000000.5-TP-{rank}.trace.json{}", if rank == 1 { ".gz" } else { "" });
            generate_file(&o, &dir.path().join(name)).expect("written")
        })
        .collect();
    dir.write(
        "server_args.json",
        "{\"model_path\": \"m\", \"tp_size\": 3, \"note\": \"no traceEvents here\"}\n",
    );
    dir.write("config.json", "{\"num_hidden_layers\": 2}\n");
    dir.write("notes.txt", "\"traceEvents\"\n");
    (dir, truths)
}

fn sum<'a>(truths: impl Iterator<Item = &'a Truth>) -> Totals {
    let mut t = Totals::default();
    for truth in truths {
        for (cat, slot) in
            [("kernel", &mut t.kernel), ("gpu_memcpy", &mut t.gpu_memcpy), ("gpu_memset", &mut t.gpu_memset)]
        {
            let of = truth.device.get(cat).copied().unwrap_or_default();
            *slot = Total { count: slot.count + of.count, total_ns: slot.total_ns + of.total_ns };
        }
    }
    t
}

#[test]
fn every_rank_is_an_input_and_totals_are_sums() {
    let (dir, truths) = folder();
    let t = ask(dir.path());
    check_sums(&t, "three ranks");
    let ranks: Vec<_> = t.inputs.iter().map(|i| (i.rank, i.world_size)).collect();
    assert_eq!(
        ranks,
        [(Some(0), Some(3)), (Some(1), Some(3)), (Some(2), Some(3))],
        "companions are no inputs"
    );
    assert_eq!(t.totals, sum(truths.iter()));
    for (input, truth) in t.inputs.iter().zip(&truths) {
        assert_eq!(input.totals, sum(std::iter::once(truth)), "{}", input.path);
        assert_eq!(input.events, truth.events, "{}", input.path);
    }
    assert_eq!(t.inputs.iter().map(|i| i.compressed).collect::<Vec<_>>(), [false, true, false]);
    for (at, truth) in truths.iter().enumerate() {
        let ours: Vec<_> = t.steps.iter().filter(|s| s.input == at).collect();
        assert_eq!(ours.len(), truth.steps.len());
        for (o, s) in ours.iter().zip(&truth.steps) {
            assert_eq!(
                (o.class, o.start_ns, o.duration_ns),
                (common::class(s.class), s.start_ns, s.duration_ns)
            );
            assert_eq!(o.device, at.to_string(), "the generator's ranks use devices of their own number");
        }
    }
    for class in [Class::Prefill, Class::Decode] {
        let wall: i64 = truths.iter().flat_map(|t| t.of(class)).map(|s| s.duration_ns).sum();
        let exposed: i64 = truths.iter().flat_map(|t| t.of(class)).map(|s| s.exposed_communication_ns).sum();
        let row = t.budget.iter().find(|b| b.class == Some(common::class(class))).expect("row");
        assert_eq!((row.wall_ns, row.exposed_communication_ns), (wall, exposed));
    }
}

/// The late rank waits for nobody, the others wait for it: that must not vanish in the sums.
#[test]
fn a_straggler_shows_in_its_input() {
    let (dir, truths) = folder();
    let communication = |rank: u32| -> i64 {
        let t = ask_with(dir.path(), &TriageOptions { rank: Some(rank), ..TriageOptions::default() });
        t.tables.overlap.iter().filter(|r| r.category == "communication").map(|r| r.total_ns).sum()
    };
    let of_truth = |rank: usize| -> i64 {
        let kernels = truths[rank].kernels.values().filter(|k| k.category == "communication");
        kernels.flat_map(|k| k.by_class.values()).map(|t| t.total_ns).sum()
    };
    assert_eq!([0, 1, 2].map(communication), [0, 1, 2].map(of_truth));
    assert!(communication(2) * 10 < communication(0) * 9, "{:?}", [0, 1, 2].map(communication));
}

#[test]
fn one_rank_can_be_picked() {
    let (dir, truths) = folder();
    for rank in 0..RANKS {
        let t = ask_with(dir.path(), &TriageOptions { rank: Some(rank), ..TriageOptions::default() });
        assert_eq!(t.inputs.iter().map(|i| i.rank).collect::<Vec<_>>(), [Some(rank)]);
        assert_eq!(t.totals, sum(std::iter::once(&truths[rank as usize])));
    }
    let refused =
        triage(dir.path(), common::catalogs(), &TriageOptions { rank: Some(9), ..TriageOptions::default() });
    assert!(matches!(refused, Err(TraceError::NoRank { rank: 9, .. })), "{refused:?}");
}

/// A file name need not tell the rank; the trace itself does.
#[test]
fn a_rank_is_found_by_the_metadata_too() {
    let dir = Scratch::new("ranks-unnamed");
    let mut totals = Vec::new();
    for (rank, name) in [(0, "a.json"), (1, "b.json")] {
        let o = Options { rank, ranks: 2, tp: 2, ..short() };
        totals.push(sum(std::iter::once(&generate_file(&o, &dir.path().join(name)).expect("written"))));
    }
    let t = ask_with(dir.path(), &TriageOptions { rank: Some(1), ..TriageOptions::default() });
    assert_eq!(t.totals, totals[1]);
    assert_eq!(t.inputs.len(), 1);
}

#[test]
fn ranks_in_folders_below_are_found() {
    let dir = Scratch::new("ranks-below");
    for rank in 0..2 {
        let below = dir.path().join(format!("host{rank}/traces"));
        std::fs::create_dir_all(&below).expect("folder");
        let o = Options { rank, ranks: 2, tp: 2, ..short() };
        generate_file(&o, &below.join(format!("rank{rank}.pt.trace.json"))).expect("written");
    }
    let t = ask(dir.path());
    assert_eq!(t.inputs.iter().map(|i| i.rank).collect::<Vec<_>>(), [Some(0), Some(1)]);
}
