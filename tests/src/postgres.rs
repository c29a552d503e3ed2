//! A PostgreSQL server on this machine: the real one, with a data directory of its own, TLS under a root of its own, and SCRAM.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// How to get a server where there is none.
const GET: &str = "PostgreSQL is needed: apt-get install postgresql";

/// Ends the server when what it reads from is closed, as it is when a test's process ends, however it ends.
const KEEPER: &str = r#""$0" "$@" & server=$!; read -r _; kill -INT "$server" 2>/dev/null; wait "$server""#;

/// A server that runs until this goes, or until the process ends.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    bin: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    root: String,
    keeper: Mutex<Option<Child>>,
}

impl Postgres {
    /// The role that everything belongs to.
    pub const USER: &'static str = "wharf";
    /// Its password.
    pub const PASSWORD: &'static str = "s3cr3t-of-postgres";

    /// Starts a server with an empty database of that role's name.
    ///
    /// # Errors
    /// Where there is no PostgreSQL on this machine, or it does not start.
    pub fn start() -> Result<Self> {
        let bin = bin()?;
        let folder = TempDir::with_prefix("wharf-pg-")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (root, certificate, key) = certificates()?;
        let server = Self { user: user()?, folder, bin, port, root, keeper: Mutex::default() };
        let password = server.folder.path().join("password");
        fs::write(&password, Self::PASSWORD)?;
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = server.folder.path().join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        fs::create_dir(server.data())?;
        fs::set_permissions(server.data(), fs::Permissions::from_mode(0o700))?;
        if let Some((user, group)) = server.user {
            for path in [server.folder.path(), &server.data(), &password] {
                std::os::unix::fs::chown(path, Some(user), Some(group))?;
            }
            for name in ["server.crt", "server.key"] {
                std::os::unix::fs::chown(server.folder.path().join(name), Some(user), Some(group))?;
            }
        }
        let made = server
            .command("initdb")
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--username", Self::USER, "--pwfile"])
            .arg(&password)
            .arg(server.data())
            .output()
            .context("cannot run initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.up()?;
        server.psql("postgres", &format!("CREATE DATABASE {}", Self::USER))?;
        Ok(server)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its programs, such as `psql`.
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// The root that vouches for its certificate, in PEM. The certificate is for `localhost`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Starts it where it is down, and waits until it lets somebody in.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn up(&self) -> Result<()> {
        let mut keeper = self.keeper();
        if keeper.is_some() {
            return Ok(());
        }
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let folder = self.folder.path().display();
        let options = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            format!("unix_socket_directories={folder}"),
            "max_connections=20".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={folder}/server.crt"),
            format!("ssl_key_file={folder}/server.key"),
        ];
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER]).arg(self.bin.join("postgres")).arg("-D").arg(self.data());
        for option in &options {
            command.args(["-c", option]);
        }
        self.as_user(&mut command);
        *keeper =
            Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().context("cannot start PostgreSQL")?);
        drop(keeper);
        let end = Instant::now() + Duration::from_secs(60);
        while !self.run("postgres", "SELECT 1")?.status.success() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            ensure!(Instant::now() < end, "PostgreSQL does not start: {}", log());
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills it as a machine does that loses its power, as far as a process can see that.
    ///
    /// # Errors
    /// Where it cannot be killed.
    pub fn kill(&self) -> Result<()> {
        let Some(mut keeper) = self.keeper().take() else { return Ok(()) };
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).context("no process of PostgreSQL")?;
        let pid = pid.lines().next().unwrap_or_default().to_owned();
        // The processes that serve connections end on their own once this one is gone, but not at once.
        let killed = Command::new("pkill").args(["-KILL", "-P", &pid]).status().context("cannot run pkill")?;
        ensure!(killed.success() || killed.code() == Some(1), "pkill: {killed}");
        Command::new("kill").args(["-KILL", &pid]).status().context("cannot run kill")?;
        keeper.wait()?;
        Ok(())
    }

    /// Ends it in good order, whoever is connected.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn stop(&self) -> Result<()> {
        if let Some(mut keeper) = self.keeper().take() {
            drop(keeper.stdin.take());
            keeper.wait()?;
        }
        Ok(())
    }

    /// What `psql` prints of a statement, unaligned and without headers.
    ///
    /// # Errors
    /// Where it fails.
    pub fn psql(&self, database: &str, statement: &str) -> Result<String> {
        let ran = self.run(database, statement)?;
        if !ran.status.success() {
            bail!("psql: {statement}: {}", String::from_utf8_lossy(&ran.stderr));
        }
        Ok(String::from_utf8(ran.stdout)?.trim_end_matches('\n').to_owned())
    }

    /// `psql` with a script on its standard input, to be run.
    pub fn client(&self, database: &str) -> Command {
        let mut psql = Command::new(self.bin.join("psql"));
        let port = self.port.to_string();
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--host", "127.0.0.1", "--port", &port, "--username", Self::USER, database]);
        psql.env("PGPASSWORD", Self::PASSWORD).env("PGSSLMODE", "disable");
        psql
    }

    fn run(&self, database: &str, statement: &str) -> Result<Output> {
        let mut psql = self.client(database);
        let mut running = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context(GET)?;
        if let Some(mut stdin) = running.stdin.take() {
            // Where it cannot connect it reads nothing, and says why.
            let _unread = stdin.write_all(statement.as_bytes());
        }
        Ok(running.wait_with_output()?)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        self.as_user(&mut command);
        command
    }

    /// PostgreSQL does not run as root.
    fn as_user(&self, command: &mut Command) {
        command.current_dir(self.folder.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Child>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The test is over; what is left goes with the process.
        let _stopped = self.stop();
    }
}

/// Where the programs of PostgreSQL are: on the path, or where Debian has them, the latest version first.
fn bin() -> Result<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path).collect::<Vec<_>>().into_iter().rev());
    let has = |folder: &&PathBuf| ["postgres", "initdb", "psql"].iter().all(|name| folder.join(name).exists());
    folders.iter().filter(has).max_by_key(|folder| folder.starts_with(Path::new("/usr/lib/postgresql"))).cloned().context(GET)
}

/// Who runs it where this is root: the role that Debian's package makes, else nobody.
fn user() -> Result<Option<(u32, u32)>> {
    let id = |arguments: &[&str]| -> Result<u32> {
        let ran = Command::new("id").args(arguments).output().context("cannot run id")?;
        ensure!(ran.status.success(), "id {}: {}", arguments.join(" "), String::from_utf8_lossy(&ran.stderr));
        Ok(String::from_utf8_lossy(&ran.stdout).trim().parse()?)
    };
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    let name = if id(&["-u", "postgres"]).is_ok() { "postgres" } else { "nobody" };
    Ok(Some((id(&["-u", name])?, id(&["-g", name])?)))
}

/// A root, and a certificate of `localhost` with its key, in PEM.
fn certificates() -> Result<(String, String, String)> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &root)?;
    Ok((root.pem(), certificate.pem(), key.serialize_pem()))
}
