//! Whether the far side is there.

use wharf_sdk::{Context, Failure, Probe};

use super::{
    connector::Http,
    settings::{Asking, Config},
    transport::{Request, Sort, Transport},
};

/// Statuses of those who refuse the credentials. 403 is no such thing here: it may be for the method alone.
const REFUSED: [u16; 2] = [401, 407];

/// Statuses of those who pass requests on, and have nobody to pass them to (RFC 9110, 15.6.3 to 15.6.5).
const NOBODY: [u16; 3] = [502, 503, 504];

impl<T: Transport + Default + 'static> Probe<Config> for Http<T> {
    fn reachable(config: Config, _: Context) -> Result<(), Failure> {
        let settings = Self::ready(&config)?;
        if config.probe == Asking::None {
            return Ok(());
        }
        let request = Request {
            method: "HEAD".into(),
            scheme: settings.targets.scheme().into(),
            authority: settings.targets.authority().into(),
            path: settings.targets.fixed().into(),
            timeout: settings.timeout,
            ..Request::default()
        };
        let (what, mut transport) = (request.to_string(), T::default());
        let came = transport.send(request, 0).and_then(|mut flight| transport.wait(&mut [&mut flight]).1);
        match came {
            Ok(answer) if REFUSED.contains(&answer.status) => {
                Err(Failure::unauthorized(format!("{what}: {}", answer.status)).code(answer.status))
            }
            Ok(answer) if NOBODY.contains(&answer.status) => {
                Err(Failure::transient(format!("{what}: {}", answer.status)).code(answer.status))
            }
            // Whoever knows no HEAD, or nothing of that place, is there all the same.
            Ok(_) => Ok(()),
            Err(trouble) => {
                let message = format!("{what}: {}", trouble.message);
                Err(match trouble.sort {
                    Sort::Unreached | Sort::Broken => Failure::transient(message),
                    Sort::TooLarge | Sort::Denied => Failure::fatal(message),
                })
            }
        }
    }
}
