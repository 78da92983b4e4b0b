//! The way to a server: the key for it, and whom to trust.

use std::path::{Path, PathBuf};

use crate::cli::layers::{Env, Layers};
use crate::cli::values;
use crate::secret::{self, Secret};

/// Where a secret is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum KeySource {
    None,
    Given(Secret),
    File(PathBuf),
}

impl KeySource {
    /// The secret now; a file is read anew.
    pub(crate) fn read(&self) -> Result<Option<Secret>, String> {
        match self {
            Self::None => Ok(None),
            Self::Given(secret) => Ok(Some(secret.clone())),
            Self::File(path) => secret::read(path).map(Some),
        }
    }
}

/// Whom to trust, and how to be trusted, on the way to a server.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Server {
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and private key, both PEM files.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
    pub(crate) proxy_from_environment: bool,
}

/// Certificates and proxy on the way to a server, by the names of their options.
pub(super) fn take_server(
    layers: &mut Layers,
    ca: &str,
    certificate: &str,
    private: &str,
    proxy: &str,
) -> Option<Server> {
    let names = (layers.flag(certificate), layers.flag(private));
    let ca = layers.take(ca, values::pem);
    let certificate = layers.take(certificate, values::pem);
    let private = layers.take(private, values::pem);
    let proxy = layers.take(proxy, values::boolean);
    if certificate.is_some() != private.is_some() {
        layers.mistake(format!(
            "{} and {} go together: give both or neither",
            names.0, names.1
        ));
    }
    Some(Server {
        ca,
        client: certificate.zip(private),
        proxy_from_environment: proxy?,
    })
}

/// A secret that is given as it is or as a file, by the names of the two options and of the service manager's credential.
pub(super) fn take_key(
    layers: &mut Layers,
    env: Env<'_>,
    plain: &str,
    in_file: &str,
    credential_name: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> KeySource {
    let given = layers
        .take(plain, |text| check(text).map(|()| Secret::new(text)))
        .flatten();
    let file = layers.take(in_file, values::path);
    let (one, other) = (layers.rank(plain), layers.rank(in_file));
    if one.is_some() && one == other {
        let (plain, in_file) = (layers.flag(plain), layers.flag(in_file));
        layers.mistake(format!(
            "{plain} and {in_file} are given in the same place: give one"
        ));
        return KeySource::None;
    }
    // The stronger source wins; a credential of the service manager is the weakest of all.
    let file = file
        .filter(|_| other > one)
        .or_else(|| credential(env, credential_name).filter(|_| given.is_none()));
    match (file, given) {
        (Some(path), _) => {
            let wrong = secret::read(&path).and_then(|secret| {
                check(secret.expose()).map_err(|why| format!("{}: {why}", path.display()))
            });
            if let Err(error) = wrong {
                let flag = layers.flag(in_file);
                layers.mistake(format!("{flag} {error}"));
            }
            warn_of_readers(&path, layers);
            KeySource::File(path)
        }
        (None, Some(key)) => {
            if let Some(path) = layers.file_of(plain).map(Path::to_owned) {
                warn_of_readers(&path, layers);
            }
            KeySource::Given(key)
        }
        (None, None) => KeySource::None,
    }
}

/// The key file that the service manager mounted for this process, if it did.
fn credential(env: Env<'_>, name: &str) -> Option<PathBuf> {
    let path = Path::new(&env("CREDENTIALS_DIRECTORY")?).join(name);
    path.is_file().then_some(path)
}

fn warn_of_readers(path: &Path, layers: &mut Layers) {
    if secret::readable_by_others(path) {
        layers.warnings.push(format!(
            "{} holds the API key and everybody on this host can read it: chmod 0640 it",
            path.display()
        ));
    }
}
