//! `cargo xtask page FILE...`: opens pages in a real headless Chromium, wide and narrow, and refuses what a reader would
//! trip over: a message on the console, or a page that scrolls sideways.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Wide as a desk, narrow as a telephone. Chromium makes no window narrower than 500 px, so the narrow page is a frame.
const WIDTHS: [u32; 2] = [1280, 400];
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// A page of ours loads in well under a second; a browser that hangs must not hang the chore.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let (shots, files) = match args {
        [flag, folder, rest @ ..] if flag == "--screenshots" => (Some(PathBuf::from(folder)), rest),
        rest => (None, rest),
    };
    if files.is_empty() {
        return Err("usage: cargo xtask page [--screenshots FOLDER] FILE...".to_owned());
    }
    let browser = NAMES.into_iter().find(|name| {
        let quiet = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|s| s.success())
    });
    let Some(browser) = browser else {
        return Err(format!("no browser: install one of {}", NAMES.join(", ")));
    };
    let mut wrong = 0;
    for file in files {
        for width in WIDTHS {
            let found = look(browser, Path::new(file), width, shots.as_deref())?;
            println!("{file} at {width} px: {}", if found.is_empty() { "fine" } else { "WRONG" });
            for each in &found {
                println!("  {each}");
            }
            wrong += usize::from(!found.is_empty());
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with the page at that width.
fn look(browser: &str, file: &Path, width: u32, shots: Option<&Path>) -> Result<Vec<String>, String> {
    let failed = |what: &str, e: &dyn std::fmt::Display| format!("{}: {what}: {e}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| failed("cannot read", &e))?;
    let folder = xtask::scratch::Scratch::new("page");
    let frame = folder.path().join("frame.html");
    std::fs::write(&frame, framed(&text, width)).map_err(|e| failed("cannot write", &e))?;
    let start = |extra: &[&OsStr]| {
        let mut command = Command::new(browser);
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--enable-logging=stderr",
            ])
            .args(["--virtual-time-budget=3000", "--window-size=1280,2400"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .args(extra)
            .arg(&frame);
        output(command, folder.path())
    };
    let (dom, log) = start(&["--dump-dom".as_ref()]).map_err(|e| failed("the browser failed", &e))?;
    let mut found: Vec<String> =
        log.lines().filter(|l| l.contains(":CONSOLE")).map(|l| format!("console: {l}")).collect();
    match dom.split_once("data-scroll=\"").and_then(|(_, rest)| rest.split('"').next()) {
        Some(scroll) if scroll.parse::<u32>().is_ok_and(|n| n > 0 && n <= width) => {}
        Some(scroll) => {
            found.push(format!("{scroll} px wide in a window of {width} px: it scrolls sideways"));
        }
        None => found.push("the page did not load".to_owned()),
    }
    if let Some(shots) = shots {
        std::fs::create_dir_all(shots).map_err(|e| failed("cannot make the folder", &e))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let to = shots.join(format!("{name}-{width}.png"));
        let flag = format!("--screenshot={}", to.display());
        start(&[flag.as_ref()]).map_err(|e| failed("the browser failed", &e))?;
    }
    Ok(found)
}

/// A page that shows the text in a frame of that width and writes the width of its content to an attribute.
fn framed(text: &str, width: u32) -> String {
    let inner = text.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!doctype html><html><body style=\"margin:0\"><iframe style=\"border:0;width:{width}px;height:2400px\" \
         srcdoc=\"{inner}\"></iframe><script>const f=document.querySelector('iframe');f.onload=()=>{{\
         document.documentElement.dataset.scroll=f.contentDocument.documentElement.scrollWidth}}</script></body></html>"
    )
}

/// Standard output and error of a command that ends in time; a browser that does not is ended.
fn output(mut command: Command, folder: &Path) -> Result<(String, String), String> {
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    let create = |path: &Path| std::fs::File::create(path).map_err(|e| e.to_string());
    let child = command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&err)?).spawn();
    let mut child = child.map_err(|e| e.to_string())?;
    let began = Instant::now();
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(_) => break,
            None if began.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer within {} s", PATIENCE.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    let read = |path: &Path| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    Ok((read(&out).map_err(|e| e.to_string())?, read(&err).map_err(|e| e.to_string())?))
}
