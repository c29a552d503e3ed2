//! What stands between a component and a far side, and takes it away.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use crate::config::HostPort;

/// What becomes of bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// They pass.
    Plain,
    /// Connections are cut, and new ones end at once.
    Gone,
    /// After so many bytes to the far side the connection is cut, and new ones end at once.
    Cut(u64),
    /// Those to the far side pass; where it has taken so many on a connection, that is cut at the first that comes back.
    Unanswered(u64),
    /// They pass in small pieces with a wait between.
    Slow,
    /// They stay; the connection stands.
    Stalled,
}

/// Bytes of a piece where a far side is slow, and the wait behind each.
const PIECE: (usize, Duration) = (256, Duration::from_millis(10));

/// A proxy in front of one far side. It ends when this goes.
#[derive(Debug)]
pub(super) struct Proxy {
    /// `host:port` to be given to the component: the far side's own name, so that certificates stay good.
    pub address: String,
    manner: watch::Sender<Manner>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on this machine, where the name of the far side leads, too.
    pub async fn start(to: &HostPort) -> io::Result<Self> {
        let text = to.to_string();
        let host = text.rsplit_once(':').map_or(text.as_str(), |(host, _port)| host).to_owned();
        let bind = if host.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        let listener = TcpListener::bind(bind).await?;
        let address = format!("{host}:{}", listener.local_addr()?.port());
        let (manner, watched) = watch::channel(Manner::Plain);
        let listening = tokio::spawn(listen(listener, text.into(), watched));
        Ok(Self { address, manner, listening })
    }

    /// From now on.
    pub fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, to: Arc<str>, manner: watch::Receiver<Manner>) {
    while let Ok((near, _)) = listener.accept().await {
        if matches!(*manner.borrow(), Manner::Gone) {
            continue;
        }
        let (to, manner) = (to.clone(), manner.clone());
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(&*to).await else { return };
            // What it passes on waits for nothing: a component is not to be judged by what stands in front of its far side.
            let (_near, _far) = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_out, near_in), (far_out, far_in)) = (near.into_split(), far.into_split());
            let mut gone = manner.clone();
            let taken = AtomicU64::default();
            tokio::select! {
                () = pass(near_out, far_in, manner.clone(), (true, &taken)) => {}
                () = pass(far_out, near_in, manner, (false, &taken)) => {}
                // Cut on both sides at once.
                _ = gone.wait_for(|manner| *manner == Manner::Gone) => {}
            }
        });
    }
}

/// Passes bytes on until either side ends. `there` is towards the far side, which has `taken` so many.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut manner: watch::Receiver<Manner>,
    (there, taken): (bool, &AtomicU64),
) {
    let mut piece = vec![0; 64 << 10];
    loop {
        let now = *manner.borrow();
        let most = if now == Manner::Slow { PIECE.0 } else { piece.len() };
        let Ok(read) = from.read(&mut piece[..most]).await else { return };
        if read == 0 {
            // The other direction may have more to say.
            let _shut = to.shutdown().await;
            if there {
                std::future::pending::<()>().await;
            }
            return;
        }
        let passed = if there { taken.fetch_add(read as u64, Relaxed) + read as u64 } else { 0 };
        let now = *manner.borrow_and_update();
        match now {
            Manner::Cut(after) if there && passed >= after => return,
            Manner::Gone => return,
            Manner::Unanswered(after) if !there && taken.load(Relaxed) >= after => return,
            Manner::Slow => tokio::time::sleep(PIECE.1).await,
            Manner::Plain | Manner::Cut(_) | Manner::Unanswered(_) | Manner::Stalled => {}
        }
        if manner.wait_for(|manner| *manner != Manner::Stalled).await.is_err() || to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
