//! `/start_profile` and `/stop_profile`.

use std::path::{self, Component, Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::app::{App, OptionalBody};
use super::error::ApiError;
use super::wire::control::ProfileBody;
use crate::engine::handle::ProfileRequest;
use crate::log::now_ms;

/// Passes of one profile at most: what is recorded is held in memory until it is written.
const MAX_STEPS: u64 = 10_000;

pub(crate) async fn start(
    State(app): State<Arc<App>>,
    OptionalBody(body): OptionalBody<ProfileBody>,
) -> Result<Response, ApiError> {
    app.open()?;
    let request = request(&app, body)?;
    match within(&app, app.engine.start_profile(request)).await? {
        Ok(()) => Ok("Start profiling.\n".into_response()),
        Err(message) => Err(ApiError::bad("profile", message)),
    }
}

pub(crate) async fn stop(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    match within(&app, app.engine.stop_profile()).await? {
        Ok(files) => {
            for file in files {
                app.log.info(&format!("Profile written to {}", file.display()));
            }
            Ok("Stop profiling. This will take some time.\n".into_response())
        }
        Err(message) => Err(ApiError::bad("profile", message)),
    }
}

/// A scheduler that hangs must not hold the client for ever.
async fn within<T>(app: &App, answer: impl Future<Output = T>) -> Result<T, ApiError> {
    let unavailable = axum::http::StatusCode::SERVICE_UNAVAILABLE;
    tokio::time::timeout(app.settings.health_timeout, answer)
        .await
        .map_err(|_| ApiError::new(unavailable, "The scheduler does not answer."))
}

fn request(app: &App, body: ProfileBody) -> Result<ProfileRequest, ApiError> {
    if body.merge_profiles.unwrap_or(false) {
        return Err(ApiError::bad("merge_profiles", "There is one rank, so there is nothing to merge."));
    }
    let activities = body.activities.unwrap_or_default();
    if let Some(other) = activities.iter().find(|name| !["CPU", "GPU"].contains(&name.as_str())) {
        let other = super::app::shown(other);
        return Err(ApiError::bad("activities", format!("No activity `{other}`; known: CPU, GPU.")));
    }
    let num_steps = number("num_steps", body.num_steps.as_ref())?;
    if num_steps.is_some_and(|n| n == 0 || n > MAX_STEPS) {
        return Err(ApiError::bad("num_steps", format!("num_steps must be between 1 and {MAX_STEPS}.")));
    }
    let prefix = body.profile_prefix.map(|prefix| format!("{prefix}-")).unwrap_or_default();
    let id = format!("{prefix}{}", body.profile_id.unwrap_or_else(|| (now_ms() / 1000).to_string()));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if id.len() > 128 || id.starts_with('.') || !id.chars().all(plain) {
        return Err(ApiError::bad("profile_id", "Names of profiles are letters, digits, `.`, `_` and `-`."));
    }
    Ok(ProfileRequest {
        output_dir: folder(&app.settings.profile_dir, body.output_dir.as_deref().unwrap_or_default())?,
        id,
        num_steps: Some(num_steps.unwrap_or(MAX_STEPS)),
        start_step: number("start_step", body.start_step.as_ref())?,
        by_stage: body.profile_by_stage.unwrap_or(false),
    })
}

/// The folder a client asked for. Only what lies in the server's own folder for profiles: a request must not choose
/// where on the disk the server writes.
fn folder(root: &Path, asked: &str) -> Result<PathBuf, ApiError> {
    let asked = Path::new(asked);
    let inside = if asked.is_absolute() {
        path::absolute(root).ok().and_then(|root| asked.strip_prefix(root).ok().map(Path::to_owned))
    } else {
        Some(asked.to_owned())
    };
    inside
        .filter(|path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)))
        .map(|path| root.join(path))
        .ok_or_else(|| {
            ApiError::bad(
                "output_dir",
                "output_dir must lie in the server's folder for profiles; start the server with another --profile-dir.",
            )
        })
}

/// A number, or the text of one.
fn number(param: &'static str, value: Option<&Value>) -> Result<Option<u64>, ApiError> {
    let parsed = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64(),
    };
    parsed.map(Some).ok_or_else(|| ApiError::bad(param, format!("{param} must be a whole number.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_stay_in_their_folder() {
        let root = Path::new("/srv/profiles");
        for (asked, is) in [
            ("", "/srv/profiles"),
            ("a/b", "/srv/profiles/a/b"),
            ("./a", "/srv/profiles/a"),
            ("/srv/profiles", "/srv/profiles"),
            ("/srv/profiles/a", "/srv/profiles/a"),
        ] {
            assert_eq!(folder(root, asked).unwrap(), Path::new(is), "{asked:?}");
        }
        for asked in ["..", "a/../../b", "/", "/etc", "/srv/profiles2", "/srv/profiles/../x"] {
            assert_eq!(folder(root, asked).unwrap_err().param, Some("output_dir"), "{asked:?}");
        }
        assert_eq!(folder(Path::new("here"), "a").unwrap(), Path::new("here/a"));
        let absolute = path::absolute("here/a").unwrap();
        assert_eq!(folder(Path::new("here"), absolute.to_str().unwrap()).unwrap(), Path::new("here/a"));
    }
}
