//! The traces this repository ships: small, realistic, and made here.

use std::path::Path;

use crate::tracegen::{Class, Extent, Gpu, Options, Truth, capture_options, create, generate};

/// One shipped trace.
struct Example {
    path: &'static str,
    about: &'static str,
    options: fn() -> Options,
}

fn tp2() -> Options {
    use Class::{Decode, Mixed, Prefill};
    Options {
        extent: Extent::Passes(7),
        pattern: vec![Prefill, Decode, Decode, Mixed, Decode, Decode, Decode],
        layers: 6,
        tp: 2,
        ranks: 2,
        seed: 20_261_122,
        ..Options::default()
    }
}

fn replay() -> Options {
    Options {
        extent: Extent::Passes(4),
        pattern: vec![Class::Decode],
        layers: 6,
        gpu: Gpu::Amd,
        graph_decode: true,
        batch: Some(32),
        seed: 32,
        ..Options::default()
    }
}

fn capture() -> Options {
    capture_options(&replay())
}

const EXAMPLES: &[Example] = &[
    Example {
        path: "sglang-h100-tp2.trace.json.gz",
        about: "SGLang on two H100, rank 0: one prefill step, decode steps and a mixed step, with Python stacks. \
                All-reduces wait on a stream of their own, and Q/K norm and rotary embedding are three kernels.",
        options: tp2,
    },
    Example {
        path: "graph-pair/replay.trace.json.gz",
        about: "SGLang on MI300X: four decode steps replayed from one HIP graph; no kernel names its source.",
        options: replay,
    },
    Example {
        path: "graph-pair/capture.trace.json.gz",
        about: "The recording of that graph: the same kernels in the same order, with the stacks that launched them. \
                Give it as `--capture`.",
        options: capture,
    },
];

fn summary(example: &Example, truth: &Truth) -> String {
    let mut classes: Vec<String> = Vec::new();
    for class in Class::ALL {
        let count = truth.of(class).count();
        if count > 0 {
            classes.push(format!("{count} {}", class.name()));
        }
    }
    let device: u64 = truth.device.values().map(|t| t.count).sum();
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        example.path,
        truth.events,
        device,
        classes.join(", "),
        example.about
    )
}

/// Writes every example below `dir/examples`.
///
/// # Errors
/// One line naming the file that cannot be written.
pub fn write_all(dir: &Path) -> Result<(), String> {
    let folder = dir.join("examples");
    let mut readme = String::from(
        "# Example traces\n\nMade by `cargo xtask gen-examples` from fixed seeds; `cargo xtask tidy` checks that they are \
         current. They look like\nreal profiler output but were never measured: use them to try the commands, not to learn \
         about hardware.\n\n| file | events | on the device | steps | what it shows |\n|---|---|---|---|---|\n",
    );
    for example in EXAMPLES {
        let path = folder.join(example.path);
        let parent = path.parent().unwrap_or(&folder);
        std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        let truth = create(&path)
            .and_then(|mut out| generate(&(example.options)(), &mut *out))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        readme.push_str(&summary(example, &truth));
    }
    let path = folder.join("README.md");
    std::fs::write(&path, readme).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn examples_are_small_repeatable_and_show_what_they_claim() {
        let (a, b) = (Scratch::new("examples"), Scratch::new("examples"));
        write_all(a.path()).unwrap();
        write_all(b.path()).unwrap();
        for example in EXAMPLES {
            let read = |dir: &Scratch| std::fs::read(dir.path().join("examples").join(example.path)).unwrap();
            assert_eq!(read(&a), read(&b), "{}", example.path);
            assert!(read(&a).len() < 250_000, "{}: {} bytes", example.path, read(&a).len());
        }
        let truth = generate(&tp2(), &mut std::io::sink()).unwrap();
        for class in [Class::Prefill, Class::Decode, Class::Mixed] {
            assert!(truth.of(class).all(|s| s.exposed_communication_ns > 0));
            assert!(truth.of(class).count() > 0);
        }
        let (recorded, played) = (
            generate(&capture(), &mut std::io::sink()).unwrap(),
            generate(&replay(), &mut std::io::sink()).unwrap(),
        );
        assert_eq!(recorded.graphs[&Class::Capture], played.graphs[&Class::Decode]);
    }
}
