//! A server from its start to its end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::app::App;
use super::info::now;
use super::{accept, routes};
use crate::Tokenizer;
use crate::engine::run::EngineError;
use crate::engine::startup::{self, EngineOptions, Facts, StartError};
use crate::log::Log;
use crate::settings::HttpSettings;

/// Why a server did not start or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port cannot be had.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port.
        port: u16,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The engine did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The engine ended.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine's thread panicked.
    #[error("the scheduler's thread panicked")]
    Panicked,
    /// The engine made no progress.
    #[error("the scheduler made no progress for {seconds} seconds")]
    Watchdog {
        /// The watchdog's time.
        seconds: u64,
    },
}

/// A server that answers.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<Result<(), EngineError>>,
}

/// Starts a server. It answers when this returns.
///
/// # Errors
/// When the port is taken or the engine does not start.
pub async fn start(
    engine: EngineOptions,
    http: HttpSettings,
    version: &str,
    log: Log,
) -> Result<Server, ServeError> {
    // The port first: that it is taken should not cost the loading of a model.
    let listen = |source| ServeError::Listen { port: http.port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, http.port)).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let version = version.to_owned();
    let engine_log = log.clone();
    let started = tokio::task::spawn_blocking(move || startup::start(engine, &version, &engine_log));
    let engine = started.await.map_err(|_| ServeError::Panicked)??;
    let settings = HttpSettings { port: address.port(), ..http };
    let app = Arc::new(App {
        engine: engine.handle,
        tokenizer: Tokenizer,
        facts: engine.facts,
        log: log.clone(),
        request_log: Mutex::new(settings.request_log),
        settings: settings.clone(),
        draining: AtomicBool::new(false),
        created: now(),
    });
    let (stop, stopped) = watch::channel(false);
    let router = routes::router(Arc::clone(&app));
    let accepting = tokio::spawn(accept::run(listener, router, settings, log.clone(), stopped));
    log.info("The server is fired up and ready to roll!");
    Ok(Server { address, app, stop, accepting, thread: engine.thread, ended: engine.ended })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is fixed about it.
    pub fn facts(&self) -> &Facts {
        &self.app.facts
    }

    /// Waits until it ends by itself, which it only does for a reason.
    pub async fn failed(&mut self) -> ServeError {
        let watchdog = watchdog(Arc::clone(&self.app));
        tokio::select! {
            ended = &mut self.ended => match ended {
                Ok(Err(error)) => error.into(),
                // The engine leaves in peace only when it is told to.
                Ok(Ok(())) | Err(_) => ServeError::Panicked,
            },
            error = watchdog => error,
        }
    }

    /// Ends it: no new requests, a while for those that run, then an error for the rest.
    pub async fn shut_down(self) {
        let app = &self.app;
        app.log.info("Shutting down.");
        app.draining.store(true, Ordering::Release);
        let deadline = Instant::now() + app.settings.drain;
        let shared = &app.engine.shared;
        while shared.open.load(Ordering::Acquire) > 0
            && !shared.ended.load(Ordering::Acquire)
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        app.engine.shut_down();
        // Nobody else waits for the thread; a panic in it was told by the panic hook.
        let thread = self.thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
        app.log.info("Shut down.");
    }
}

/// Ends when there is work and the scheduler has not gone round its loop for the watchdog's time.
async fn watchdog(app: Arc<App>) -> ServeError {
    let Some(limit) = app.settings.watchdog else { return std::future::pending().await };
    let shared = &app.engine.shared;
    loop {
        tokio::time::sleep((limit / 2).max(Duration::from_millis(10))).await;
        let since = Duration::from_nanos(shared.now().saturating_sub(shared.last_round()));
        if shared.open.load(Ordering::Acquire) == 0 || since < limit {
            continue;
        }
        let (loads, _) = shared.loads();
        app.log.error("Scheduler debug info:");
        app.log.error(&format!("scheduler.cur_batch.batch_size()={}", loads.num_running_reqs));
        app.log.error(&format!(
            "Scheduler watchdog timeout (self.watchdog_timeout={}, self.soft=False)",
            limit.as_secs()
        ));
        return ServeError::Watchdog { seconds: limit.as_secs() };
    }
}
