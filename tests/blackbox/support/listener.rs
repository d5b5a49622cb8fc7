//! A TCP listener on a free port with one thread for each connection, stopped on drop.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::eventually;

/// Below the range from which systems take the ports of outgoing connections.
const LOWEST: u16 = 18_000;
const SPAN: u16 = 12_000;

/// A port that nothing listens on, never handed out twice by this process.
pub(crate) fn free_port() -> u16 {
    bound().1
}

/// A bound listener and its port. Who wants to listen keeps it: a process that another thread
/// starts holds a copy of it for a moment, so that it couldn't be bound again at once.
fn bound() -> (TcpListener, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    // Test processes that run side by side start at different places.
    let start =
        u16::try_from(std::process::id() % u32::from(SPAN)).unwrap_or_default().wrapping_mul(41) % SPAN;
    loop {
        let port = LOWEST + (start + NEXT.fetch_add(1, Ordering::SeqCst) % SPAN) % SPAN;
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.get_or_insert_default().insert(port) {
            continue;
        }
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return (listener, port);
        }
    }
}

/// Listens until dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Listener {
    /// Listens on a free port and hands each connection, with its number, to `serve`.
    pub(crate) fn start(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let (listener, port) = bound();
        Self::serve(listener, port, serve)
    }

    /// The same on this port, which was found free before.
    pub(crate) fn start_at(port: u16, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener =
            eventually("the port to be free", || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        Self::serve(listener, port, serve)
    }

    fn serve(
        listener: TcpListener,
        port: u16,
        serve: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (flag, serve) = (Arc::clone(&stopped), Arc::new(serve));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if flag.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream, number));
            }
        });
        Self { port, stopped }
    }

    /// The port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then lets go of the port.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}
