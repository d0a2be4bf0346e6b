//! Inputs that punish careless algorithms: many frames with launches that fall between them.

use std::io::{self, Write};

use super::text::Text;

/// Writes a trace in which `launches` kernels are launched while none of `frames` short Python frames is open.
///
/// A reader that looks for the enclosing frame by walking back through all frames needs `frames * launches` steps.
/// All frames belong to one thread and have no parent.
///
/// # Errors
/// What the sink reports.
pub fn quadratic(frames: u64, launches: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut t = Text::default();
    t.raw("{\n  \"schemaVersion\": 1,\n  \"with_stack\": 1,\n  \"traceEvents\": [\n");
    let every = (frames / launches.max(1)).max(1);
    let mut launched = 0;
    for at in 0..frames {
        let ts = 1_000_000 + at.cast_signed() * 1_000;
        t.raw("  {\n    \"ph\": \"X\", \"cat\": \"python_function\", \"name\": \"worst/part_")
            .int((at % 97).cast_signed());
        t.raw(".py(")
            .int((at % 89).cast_signed() + 1)
            .raw("): step\", \"pid\": 1, \"tid\": 1,\n    \"ts\": ")
            .us(ts);
        t.raw(", \"dur\": 0.400,\n    \"args\": {\n      \"Python parent id\": null, \"Python id\": ");
        t.int(at.cast_signed() + 1).raw(", \"Ev Idx\": ").int(at.cast_signed()).raw("\n    }\n  },\n");
        if at % every == every - 1 && launched < launches {
            launched += 1;
            launch(&mut t, launched.cast_signed(), ts + 700);
        }
        if t.0.len() > 1 << 20 {
            out.write_all(&t.0)?;
            t.0.clear();
        }
    }
    while launched < launches {
        launched += 1;
        launch(
            &mut t,
            launched.cast_signed(),
            1_000_000 + frames.cast_signed() * 1_000 + launched.cast_signed() * 300,
        );
    }
    t.raw("  {\n    \"name\": \"process_labels\", \"ph\": \"M\", \"ts\": 1000.000, \"pid\": 0, \"tid\": 0,\n    ");
    t.raw("\"args\": {\n      \"labels\": \"GPU 0\"\n    }\n  }\n  ],\n  \"traceName\": \"worst\"\n}\n");
    out.write_all(&t.0)?;
    out.flush()
}

fn launch(t: &mut Text, id: i64, ts: i64) {
    t.raw("  {\n    \"ph\": \"X\", \"cat\": \"cuda_runtime\", \"name\": \"cudaLaunchKernel\", \"pid\": 1, \"tid\": 1,\n    \"ts\": ");
    t.us(ts)
        .raw(", \"dur\": 0.020,\n    \"args\": {\n      \"cbid\": 211, \"correlation\": ")
        .int(id)
        .raw("\n    }\n  },\n");
    t.raw("  {\n    \"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"worst_kernel_").int(id % 5);
    t.raw("\", \"pid\": 0, \"tid\": 7,\n    \"ts\": ")
        .us(ts + 5_000)
        .raw(", \"dur\": 0.150,\n    \"args\": {\n      ");
    t.raw("\"device\": 0, \"stream\": 7, \"correlation\": ").int(id).raw("\n    }\n  },\n");
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_launches_are_written_and_none_lies_in_a_frame() {
        for (frames, launches) in [(1000, 100), (10, 50), (7, 0)] {
            let mut out = Vec::new();
            super::quadratic(frames, launches, &mut out).unwrap();
            let doc: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let events = doc["traceEvents"].as_array().unwrap();
            let of = |cat: &str| events.iter().filter(|e| e["cat"] == cat).collect::<Vec<_>>();
            assert_eq!(of("python_function").len() as u64, frames);
            assert_eq!(of("kernel").len() as u64, launches);
            for l in of("cuda_runtime") {
                let at = l["ts"].as_f64().unwrap();
                assert!(of("python_function").iter().all(|f| {
                    let start = f["ts"].as_f64().unwrap();
                    at < start || at >= start + f["dur"].as_f64().unwrap()
                }));
            }
        }
    }
}
