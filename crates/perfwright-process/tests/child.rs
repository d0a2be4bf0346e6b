//! Children that do not behave.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use perfwright_process::{
    Child, Ending, Launch, Waited, children_of, left_over, marked, port_is_free, process_info, resources,
    wait_port_free,
};

const LONG: Duration = Duration::from_secs(60);

fn start(script: &str, dir: &Path) -> Child {
    Child::start(&Launch::new(["sh", "-c", script]), &dir.join("log")).expect("a child")
}

/// Waits until the output holds `word`.
fn until(child: &mut Child, word: &str) -> String {
    let mut all = String::new();
    let waited = child
        .wait_ready::<()>(LONG, |piece| {
            all.push_str(&String::from_utf8_lossy(piece));
            all.contains(word).then_some(Ok(()))
        })
        .expect("waiting");
    assert!(waited.is_ready(), "{waited:?} {all}");
    all
}

fn alive(pid: u32) -> bool {
    process_info(pid).is_some_and(|p| !matches!(p.state, 'Z' | 'X'))
}

fn number(text: &str) -> u32 {
    text.split_ascii_whitespace().find_map(|w| w.parse().ok()).expect("a number")
}

#[test]
fn one_that_ignores_sigterm_is_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = start("trap '' TERM; echo up; while :; do sleep 1; done", dir.path());
    until(&mut child, "up");
    let pid = child.pid();
    let stopped = child.stop(Duration::from_millis(200)).expect("stopped");
    assert_eq!((stopped.killed, stopped.ending, stopped.group_is_gone), (true, Ending::Signal(9), true));
    assert!(!alive(pid));
}

#[test]
fn one_that_ends_on_sigterm_may_clean_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = start("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done", dir.path());
    until(&mut child, "up");
    let stopped = child.stop(LONG).expect("stopped");
    assert_eq!((stopped.killed, stopped.ending), (false, Ending::Code(7)));
    let log = fs::read_to_string(dir.path().join("log")).expect("the log");
    // The signal goes to the group, so the shell may also tell that its `sleep` was terminated.
    assert!(log.starts_with("up\n") && log.ends_with("bye\n"), "{log:?}");
    assert_eq!(stopped.output.kept, log.len() as u64);
}

#[test]
fn grandchildren_go_with_it_also_from_their_own_session() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = start("sleep 300 & echo $! in; setsid sleep 300 & sleep 0.2; echo up; wait", dir.path());
    let out = until(&mut child, "up");
    let inside = number(&out);
    let mark = child.mark().to_owned();
    assert!(alive(inside) && marked(&mark).len() >= 3);
    let stopped = child.stop(Duration::from_secs(5)).expect("stopped");
    assert!(stopped.group_is_gone && !stopped.strays.is_empty(), "{stopped:?}");
    assert!(!alive(inside) && marked(&mark).is_empty());
}

#[test]
fn one_that_dies_at_once_is_told_from_one_that_is_late() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = start("echo no such model; exit 3", dir.path());
    let mut seen = Vec::new();
    let waited = child
        .wait_ready::<()>(LONG, |piece| {
            seen.extend_from_slice(piece);
            None
        })
        .expect("waiting");
    assert!(matches!(waited, Waited::Ended(Ending::Code(3))), "{waited:?}");
    assert_eq!(seen, b"no such model\n");
    drop(child);
    let mut child = start("sleep 300", dir.path());
    let waited = child.wait_ready::<()>(Duration::from_millis(100), |_| None).expect("waiting");
    assert!(matches!(waited, Waited::TimedOut));
    let waited = child.wait_ready(LONG, |_| Some(Err("the log says out of memory"))).expect("waiting");
    assert!(matches!(waited, Waited::Refused("the log says out of memory")));
    assert!(Child::start(&Launch::new(["/nowhere/server"]), &dir.path().join("log")).is_err());
    assert!(Child::start(&Launch::new(Vec::<String>::new()), &dir.path().join("log")).is_err());
}

#[test]
fn a_flood_is_bounded_and_its_loss_stated() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut launch = Launch::new([
        "sh",
        "-c",
        "echo first; head -c 300000000 /dev/zero | tr '\\0' x; echo last; sleep 300",
    ]);
    launch.max_output = 1 << 20;
    let child = Child::start(&launch, &dir.path().join("log")).expect("a child");
    // Nobody listens; the child must not wait for that.
    let end = Instant::now() + LONG;
    loop {
        // The last command of the script is the sleep.
        let now = children_of(child.pid());
        if !now.is_empty() && now.iter().all(|p| p.name == "sleep") {
            break;
        }
        assert!(Instant::now() < end, "the flood does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let stopped = child.stop(Duration::from_secs(5)).expect("stopped");
    let log = fs::read(dir.path().join("log")).expect("the log");
    let out = stopped.output;
    assert!(log.len() < 2 << 20, "{}", log.len());
    assert_eq!(out.kept + out.dropped, out.written);
    assert_eq!(out.written, 300_000_000 + 11);
    assert!(log.starts_with(b"first\n") && log.ends_with(b"last\n"));
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains(&format!("{} bytes of output left out here", out.dropped)));
    assert!(out.unheard > 0);
}

#[test]
fn dropping_it_leaves_nothing_and_the_report_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = start("sleep 300 & echo up; wait", dir.path());
    until(&mut child, "up");
    let (pid, mark) = (child.pid(), child.mark().to_owned());
    let running = resources(&[&mark]);
    assert!(running.processes.iter().any(|(p, ..)| *p == pid));
    drop(child);
    let after = resources(&[&mark]);
    assert!(!alive(pid) && !after.processes.iter().any(|(p, ..)| *p == pid));
    let mut before = running.clone();
    before.processes.clear();
    assert!(!left_over(&before, &running, &[]).is_clean());
}

#[test]
fn a_stolen_port_is_seen() {
    let before = resources(&[]);
    let thief = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let port = thief.local_addr().expect("an address").port();
    assert!(!port_is_free(port));
    let left = left_over(&before, &resources(&[]), &[port, port]);
    assert_eq!(left.ports, [port]);
    drop(thief);
    assert!(wait_port_free(port, Duration::from_secs(10)));
}

#[test]
fn only_the_given_environment_is_inherited() {
    let dir = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(["sh", "-c", "env; pwd"]).var("A", "b");
    let mut child = Child::start(&launch, &dir.path().join("log")).expect("a child");
    assert_eq!(child.wait_end(LONG).expect("waiting"), Some(Ending::Code(0)));
    child.stop(LONG).expect("stopped");
    let log = fs::read_to_string(dir.path().join("log")).expect("the log");
    let mut keys: Vec<&str> = log.lines().filter_map(|l| l.split_once('=')).map(|(k, _)| k).collect();
    keys.retain(|k| !matches!(*k, "PWD" | "_" | "SHLVL" | "OLDPWD"));
    keys.sort_unstable();
    assert_eq!(keys, ["A", "PATH", "PW_CHILD"]);
}
