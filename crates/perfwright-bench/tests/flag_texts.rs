//! Captured help texts of real programs.

use std::io::Read as _;
use std::path::Path;

use perfwright_bench::flags::Help;

fn text(name: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bench")).join(name);
    let bytes = std::fs::read(path).expect("the data is there");
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
    } else {
        text = String::from_utf8(bytes).expect("text");
    }
    text
}

#[test]
#[ignore = "needs ../shared/data"]
fn clap_click_and_cyclopts() {
    let sglang = Help::parse(&text("sglang_bench_help.txt"));
    let backend = sglang.find("--backend").expect("there");
    assert!(backend.choices.iter().any(|c| c == "sglang-oai-chat") && backend.takes_value, "{backend:?}");
    assert!(backend.choices.iter().any(|c| c == "vllm"));
    assert_eq!(sglang.find("--protocol").expect("there").choices, ["http", "grpc"]);

    let guidellm = Help::parse(&text("guidellm_run_help.txt"));
    assert!(guidellm.find("--scenario").is_some_and(|f| f.takes_value));
    assert!(guidellm.find("-l").is_some());

    let aiperf = Help::parse(&text("aiperf_profile_help.txt.gz"));
    assert!(aiperf.flags().len() > 100, "{}", aiperf.flags().len());
    assert!(aiperf.find("--url-strategy").is_some() && aiperf.find("-u").is_some());
    for help in [&sglang, &guidellm, &aiperf] {
        for flag in help.flags() {
            assert!(!flag.names.is_empty(), "line {}", flag.line);
            assert!(flag.names.iter().all(|n| !n.contains([' ', ',', ']'])), "{flag:?}");
        }
    }
}
