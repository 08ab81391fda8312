//! How a command reaches the data: through the running server, or by opening the store itself.
//!
//! The server listens on a socket in its data directory (0700, the socket 0600), so whoever can speak to it could read
//! the data anyway. One line of JSON in, one line of JSON out.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::as_owner::AsOwner;
use super::input::Input;
use super::{Failure, doctor, handed_out, import, proxy_snippet, serve};
use crate::app::App;
use crate::config::Settings;
use crate::kernel::random::Random;
use crate::kernel::time::SystemClock;
use crate::store;

/// The longest order.
const LONGEST_ORDER: u64 = 4 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait when no order can be heard, most likely because no more files can be opened.
const DEAF: Duration = Duration::from_millis(200);

/// What is asked of the process that has the store open.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    /// What somebody typed after the name of the program, and what was read for it.
    Command {
        words: Vec<String>,
        input: Input,
    },
    /// A snapshot of the store, by the process that has it.
    TakeSnapshot,
    /// Everything in the store, as a file in the data directory.
    ExportStore,
    /// A snapshot, to take along.
    FetchSnapshot(String),
    /// The text for people who help.
    Support,
    Import(import::ImportOrder),
    /// What only the process that has the store open can tell the doctor.
    Doctor,
    /// Where people sign in.
    PublicOrigin,
    /// How a host looks from outside.
    Outside(doctor::LookOrder),
}

impl Order {
    /// Returns how long it may take; `None` for a copy of the store, which takes as long as the store is large.
    fn patience(&self) -> Option<Duration> {
        match self {
            Order::TakeSnapshot | Order::ExportStore => None,
            _ => Some(PATIENCE),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Answer {
    is_done: bool,
    text: String,
}

impl Answer {
    fn into_text(self) -> Result<String, Failure> {
        if self.is_done { Ok(self.text) } else { Err(Failure::new(self.text)) }
    }
}

impl From<Result<String, Failure>> for Answer {
    fn from(result: Result<String, Failure>) -> Self {
        match result {
            Ok(text) => Answer { is_done: true, text },
            Err(failure) => Answer { is_done: false, text: failure.text },
        }
    }
}

/// What somebody is told whose order means nothing here.
pub(super) fn other_version() -> Failure {
    Failure::new("The server runs another version of Doorward; use the program it was started with.")
}

/// Returns where the server of these settings listens for commands.
pub(super) fn socket_path(settings: &Settings) -> PathBuf {
    settings.data_directory.join("control.sock")
}

/// Refuses if there is no installation: only `serve` and `setup` make one, and a command in the wrong directory would.
pub(super) fn require_data(settings: &Settings) -> Result<(), Failure> {
    let named = &settings.data_directory;
    let place = std::path::absolute(named).unwrap_or_else(|_| named.clone());
    match store::has_data(named) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(format!(
            "There is no Doorward in {}. Name its directory with --data, or begin one with `doorward serve` or \
             `doorward setup`.",
            place.display()
        ))),
        Err(error) => Err(Failure::new(format!("{} cannot be read: {error}", place.display()))),
    }
}

/// Runs a command in the running server, or here if none runs.
pub(super) fn run(order: Order, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let answer = match UnixStream::connect(socket_path(settings)) {
        Ok(stream) => ask(stream, &order)?,
        Err(_) => {
            require_data(settings)?;
            run_here(settings, async |app: &App| carry_out(app, order).await)?
        }
    };
    write!(out, "{}", answer.into_text()?).map_err(|error| Failure::new(error.to_string()))
}

/// Runs several commands one after the other, in the running server, or here if none runs.
pub(super) fn run_all(orders: Vec<Order>, settings: &Settings) -> Result<Vec<String>, Failure> {
    let connect = || UnixStream::connect(socket_path(settings));
    if connect().is_err() {
        require_data(settings)?;
        return run_here(settings, async |app: &App| {
            let mut answers = Vec::with_capacity(orders.len());
            for order in orders {
                answers.push(carry_out(app, order).await.into_text()?);
            }
            Ok(answers)
        })?;
    }
    let gone =
        |_| Failure::new("The server stopped meanwhile. Run it again: what is done is not done twice.");
    orders.iter().map(|order| ask(connect().map_err(gone)?, order)?.into_text()).collect()
}

/// Asks the running server; `None` if none runs.
pub(super) fn ask_server(order: &Order, settings: &Settings) -> Option<Result<String, Failure>> {
    let stream = UnixStream::connect(socket_path(settings)).ok()?;
    Some(ask(stream, order).and_then(Answer::into_text))
}

fn ask(mut stream: UnixStream, order: &Order) -> Result<Answer, Failure> {
    let lost = |error: std::io::Error| Failure::new(format!("The server did not answer: {error}"));
    stream.set_read_timeout(order.patience()).map_err(lost)?;
    let mut line = serde_json::to_vec(order).map_err(|error| Failure::new(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(lost)?;
    serde_json::from_str(&answer).map_err(|_| Failure::new("The server gave no answer; look at its log."))
}

/// Opens the application for one command, as the owner of the data, and closes it again.
pub(super) fn run_here<T>(settings: &Settings, work: impl AsyncFnOnce(&App) -> T) -> Result<T, Failure> {
    let _owner = AsOwner::of(&settings.data_directory)?;
    let random = Random::os();
    let options = serve::options(settings, &random, false)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(error.to_string()))?;
    runtime.block_on(async {
        let app = App::open(&options, SystemClock::shared(), random)
            .await
            .map_err(|error| Failure::new(error.to_string()))?;
        let done = work(&app).await;
        app.close().await;
        Ok(done)
    })
}

async fn carry_out(app: &App, order: Order) -> Answer {
    let result = match order {
        Order::Command { words, input } => super::carry_out(app, words, &input).await,
        Order::TakeSnapshot => {
            let event = crate::audit::Event::succeeded(crate::audit::Kind::StoreExported).by_system("cli");
            let taken = app.system.take_snapshot(event).await;
            taken.map(|stored| stored.name).map_err(|problem| Failure::new(problem.detail.to_string()))
        }
        Order::ExportStore => handed_out::export(app).await,
        Order::FetchSnapshot(name) => handed_out::fetch(app, &name).await,
        Order::Support => Ok(app.system.support_text()),
        Order::Import(order) => import::carry_out(app, order).await,
        Order::Doctor => doctor::look_inside(app),
        Order::Outside(order) => doctor::look_outside(app, order).await,
        Order::PublicOrigin => Ok(proxy_snippet::origin_of(&app.site)),
    };
    Answer::from(result)
}

/// Listens for commands until aborted.
pub(super) fn listen(app: Arc<App>, path: &Path) -> std::io::Result<JoinHandle<()>> {
    // A socket file that a killed server left behind; the lock of the store says that no other server lives.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let app = app.clone();
                    tokio::spawn(async move {
                        let _ = converse(&app, stream).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot hear a command");
                    tokio::time::sleep(DEAF).await;
                }
            }
        }
    }))
}

async fn converse(app: &App, stream: tokio::net::UnixStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(LONGEST_ORDER));
    timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let order = serde_json::from_str::<Order>(&line);
    let is_copy = matches!(order, Ok(Order::ExportStore));
    let answer = match order {
        Ok(order) => match order.patience() {
            Some(patience) => timeout(patience, carry_out(app, order)).await?,
            None => carry_out(app, order).await,
        },
        Err(_) => Answer::from(Err(other_version())),
    };
    let mut line = serde_json::to_vec(&answer).unwrap_or_default();
    line.push(b'\n');
    let told = timeout(PATIENCE, writer.write_all(&line)).await;
    // The command was ended meanwhile, so nobody takes its copy along.
    if is_copy && !matches!(told, Ok(Ok(()))) {
        handed_out::take_back(app, &answer.text);
    }
    told?
}
