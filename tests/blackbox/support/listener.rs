//! A TCP listener on a free port with one thread for each connection, stopped on drop.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Below the range from which systems take the ports of outgoing connections.
const LOWEST: u16 = 18_000;
const SPAN: u16 = 12_000;

/// A port that nothing listens on, never handed out twice by this process.
pub(crate) fn free_port() -> u16 {
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
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
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
        // Somebody else may take a free port before we do.
        let listener = std::iter::repeat_with(|| TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())))
            .take(20)
            .find_map(Result::ok)
            .expect("a free port can be bound");
        Self::serving(listener, serve)
    }

    /// The same on this port.
    pub(crate) fn start_at(port: u16, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port can be bound");
        Self::serving(listener, serve)
    }

    fn serving(listener: TcpListener, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let port = listener.local_addr().expect("a bound listener has an address").port();
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
