//! `perfwright lab`: runs the serving engine.

use std::time::Duration;

use perfwright_lab::engine::startup::{EngineOptions, ModelSource, StartError};
use perfwright_lab::http::server::{self, ServeError, Server};
use perfwright_lab::log::{Level, Log};
use perfwright_lab::settings::{EngineSettings, FAULTS, Faults, HttpSettings, RequestLog, SchedulePolicy};
use perfwright_lab::{LabError, OpTable};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::lab::{LabArgs, LabLogLevel, LabModel, LabPolicy, LabVerb, ServeArgs};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;

/// Runs the verb.
pub(crate) fn run(args: &LabArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        LabVerb::Serve(args) => serve(args, context),
    }
}

fn serve(args: &ServeArgs, context: &mut Context) -> Outcome {
    let (engine, http) = (engine(args)?, http(args));
    let level = match args.log_level {
        LabLogLevel::Error => Level::Error,
        LabLogLevel::Warning => Level::Warning,
        LabLogLevel::Info => Level::Info,
        LabLogLevel::Debug => Level::Debug,
    };
    let log = Log::new(Box::new(std::io::stderr()), level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| outside("cannot start the server", &e))?;
    let ended = runtime.block_on(async {
        // Before the server starts, so that a signal while it does is not lost.
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|e| outside("cannot wait for signals", &e))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|e| outside("cannot wait for signals", &e))?;
        let stopped = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::pin!(stopped);
        let mut server = tokio::select! {
            server = server::start(engine, http, env!("PW_VERSION"), log) => server.map_err(|e| diagnostic(&e))?,
            // Nobody was told that it answers, so there is nothing to end in order.
            () = &mut stopped => return Ok(Exit::Done),
        };
        context.text(&format!("listening on http://{}\n", server.address()))?;
        finish(&mut server, stopped).await?;
        server.shut_down().await;
        Ok(Exit::Done)
    });
    // A server that failed leaves at once: its scheduler may hang for good.
    runtime.shutdown_background();
    ended
}

/// Waits for a signal, or for the server to fail.
async fn finish(server: &mut Server, stopped: impl Future<Output = ()>) -> Result<(), Diagnostic> {
    tokio::select! {
        () = stopped => Ok(()),
        error = server.failed() => Err(diagnostic(&error)),
    }
}

fn engine(args: &ServeArgs) -> Result<EngineOptions, Diagnostic> {
    let mut faults = Faults::default();
    for fault in &args.faults {
        faults.add(fault).map_err(|error| {
            let known: Vec<String> = FAULTS.iter().map(|(name, what)| format!("{name} ({what})")).collect();
            Diagnostic::new(codes::USAGE, error.to_string()).help(format!("known: {}", known.join("; ")))
        })?;
    }
    let ops = OpTable::parse(&args.ops).map_err(|error| Diagnostic::new(codes::USAGE, error.to_string()))?;
    let model = match (&args.weights, args.model) {
        (Some(dir), _) => ModelSource::Folder(dir.clone()),
        (None, LabModel::Tiny) => ModelSource::Preset { name: "tiny".to_owned(), seed: args.seed },
        (None, LabModel::Small) => ModelSource::Preset { name: "small".to_owned(), seed: args.seed },
    };
    let chunk = usize::try_from(args.chunked_prefill_size).ok();
    if chunk == Some(0) {
        return Err(Diagnostic::new(codes::USAGE, "--chunked-prefill-size is -1 or at least 1"));
    }
    let settings = EngineSettings {
        max_running_requests: args.max_running_requests,
        max_queued_requests: args.max_queued_requests,
        chunked_prefill_size: chunk,
        max_prefill_tokens: args.max_prefill_tokens,
        mixed_chunk: args.enable_mixed_chunk,
        page_size: args.page_size,
        max_total_tokens: args.max_total_tokens,
        mem_fraction: args.mem_fraction_static,
        mem_budget: args.mem_budget.map(|mib| mib.saturating_mul(1 << 20)),
        schedule_policy: match args.schedule_policy {
            LabPolicy::Fcfs => SchedulePolicy::Fcfs,
            LabPolicy::Lof => SchedulePolicy::Lof,
        },
        conservativeness: args.schedule_conservativeness,
        decode_log_interval: args.decode_log_interval,
        faults,
    };
    let served_model_name = args.served_model_name.clone();
    Ok(EngineOptions { model, served_model_name, ops, threads: args.threads, settings })
}

fn http(args: &ServeArgs) -> HttpSettings {
    // The parser held the seconds to a range that a duration takes.
    let seconds = Duration::from_secs_f64;
    HttpSettings {
        port: args.port,
        max_body: (args.max_body as usize) << 20,
        max_connections: args.max_connections as usize,
        read_timeout: seconds(args.read_timeout),
        health_timeout: seconds(args.health_timeout),
        health_generation: !args.passive_health,
        drain: seconds(args.drain),
        watchdog: (args.watchdog_timeout > 0.0).then(|| seconds(args.watchdog_timeout)),
        request_log: RequestLog { on: args.log_requests, level: args.log_requests_level },
        profile_dir: args.profile_dir.clone(),
    }
}

fn outside(message: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(codes::LAB_ADDRESS, message).cause(error.to_string())
}

/// A server's error with its code and what to do.
fn diagnostic(error: &ServeError) -> Diagnostic {
    match error {
        ServeError::Listen { port, source } => Diagnostic::new(codes::LAB_ADDRESS, error.to_string())
            .cause(source.to_string())
            .help(format!("end whoever holds port {port}, or give another --port; 0 takes a free one")),
        ServeError::Start(StartError::Model(error)) => model(error),
        ServeError::Start(StartError::Memory { .. }) => {
            Diagnostic::new(codes::LAB_SETTING, error.to_string())
                .help("raise --mem-budget or --mem-fraction-static, or lower --chunked-prefill-size")
        }
        ServeError::Start(StartError::Setting { .. }) => {
            Diagnostic::new(codes::LAB_SETTING, error.to_string()).help("see `perfwright lab serve --help`")
        }
        ServeError::Start(StartError::Thread(source)) => outside("cannot start the scheduler", source),
        ServeError::Engine(_) | ServeError::Watchdog { .. } | ServeError::Panicked => {
            Diagnostic::new(codes::LAB_ENDED, "the lab's scheduler ended").cause(error.to_string()).help(
                "the log above says what it did last; start it again without --fault if one was asked for",
            )
        }
    }
}

fn model(error: &LabError) -> Diagnostic {
    match error {
        LabError::Io { path, source, .. } => Diagnostic::reading(path, source),
        LabError::Malformed { path, place, cause } => {
            Diagnostic::new(codes::LAB_MODEL, "the model folder is not what it has to be")
                .file(path)
                .place(place.clone())
                .cause(cause.clone())
        }
        LabError::Unsupported { path, what, hint } => {
            Diagnostic::new(codes::LAB_MODEL, format!("{what} is not supported"))
                .file(path)
                .help(hint.clone())
        }
        LabError::Setting { .. } => Diagnostic::new(codes::LAB_SETTING, error.to_string()),
        other => Diagnostic::new(codes::LAB_ENDED, other.to_string()),
    }
}
