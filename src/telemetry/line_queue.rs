//! Lines on their way to a slow output, written by a thread of their own.
//!
//! Whoever hands in a line puts what it says into a buffer under a short lock and never waits for the
//! output. The thread gathers what comes within [`GATHER`], renders it and writes it in large pieces: waking
//! it, and every write, costs more than all else a line needs.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long lines wait for more.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes that may wait, however few lines they are. Written out they may become some times as many.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Text of as many bytes is written before more is rendered. The room for the next is in the cache then, and
/// a pipe takes no more at once.
const PIECE: usize = 64 * 1024;
/// A buffer that has grown larger for a long line is given back.
const KEPT_BYTES: usize = 2 * PIECE;

/// What is told that the text so far ends with a line, and may take it.
pub(super) type LineOver<'a> = dyn FnMut(&mut Vec<u8>) + 'a;

/// A queue of lines, gathered in a `T`, in front of an output.
#[derive(Debug)]
pub(super) struct LineQueue<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    /// How many lines may wait.
    limit: usize,
    state: Mutex<State<T>>,
    /// The writer has something to do, or to stop.
    wanted: Condvar,
    /// The writer has ended.
    ended: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct State<T> {
    /// Lines, in order.
    waiting: T,
    /// How many bytes they take.
    bytes: usize,
    /// How many lines there are, those that the writer has in its hands among them.
    lines: usize,
    writer: Writer,
    stopping: bool,
}

/// What the writer's thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// It must be woken.
    Asleep,
    /// It will look again by itself.
    Awake,
    /// It takes nothing any more.
    Ended,
}

impl<T> Clone for LineQueue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default + Send + 'static> LineQueue<T> {
    /// Starts the thread that writes to `output` what `render` makes of the lines gathered, which it
    /// takes out of there. After every line it says so, and may find the text gone. Where no thread can be
    /// had every line is dropped.
    pub(super) fn start(
        name: &str,
        output: impl Write + Send + 'static,
        limit: usize,
        render: impl Fn(&mut T, &mut Vec<u8>, &mut LineOver<'_>) + Send + 'static,
    ) -> Self {
        let waiting = T::default();
        let state = State { waiting, bytes: 0, lines: 0, writer: Writer::Awake, stopping: false };
        let shared = Arc::new(Shared {
            limit,
            state: Mutex::new(state),
            wanted: Condvar::new(),
            ended: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let thread = std::thread::Builder::new().name(name.to_owned());
        let for_thread = Arc::clone(&shared);
        if let Err(error) = thread.spawn(move || for_thread.write_to(output, render)) {
            tracing::error!(%error, "no thread for the log: its lines are dropped");
            shared.lock().writer = Writer::Ended;
        }
        Self(shared)
    }

    /// Hands in one line: `put` adds it to those that wait and says how many bytes they take then. It is
    /// dropped and counted when the queue is full.
    pub(super) fn push(&self, put: impl FnOnce(&mut T) -> usize) {
        let mut state = self.0.lock();
        let full = state.lines >= self.0.limit || state.bytes >= MAX_BYTES;
        if full || state.writer == Writer::Ended || state.stopping {
            drop(state);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.bytes = put(&mut state.waiting);
        state.lines += 1;
        if state.writer == Writer::Asleep {
            state.writer = Writer::Awake;
            drop(state);
            self.0.wanted.notify_one();
        }
    }

    /// Lines dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Takes no more lines, and waits at most `patience` until those that wait are out.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.0.lock();
        state.stopping = true;
        self.0.wanted.notify_one();
        let busy = |state: &mut State<T>| state.writer != Writer::Ended;
        // An output that is stuck keeps what it has.
        drop(self.0.ended.wait_timeout_while(state, patience, busy));
    }
}

/// Ends the writer, in whatever way it goes: lines to come are dropped, and what waits is lost.
struct End<'a, T: Default>(&'a Shared<T>);

impl<T: Default> Drop for End<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.writer = Writer::Ended;
        self.0.dropped.fetch_add(state.lines as u64, Ordering::Relaxed);
        self.0.ended.notify_all();
    }
}

impl<T: Default> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut output: impl Write, render: impl Fn(&mut T, &mut Vec<u8>, &mut LineOver<'_>)) {
        let _end = End(self);
        let (mut taken, mut text) = (T::default(), Vec::new());
        loop {
            let lines = self.take(&mut taken);
            if lines == 0 {
                break;
            }
            // A line that can't be written is lost: there is nowhere else to say so.
            render(&mut taken, &mut text, &mut |text| {
                if text.len() >= PIECE {
                    let _ = output.write_all(text);
                    text.clear();
                }
            });
            let _ = output.write_all(&text).and_then(|()| output.flush());
            text.clear();
            text.shrink_to(KEPT_BYTES);
            self.lock().lines -= lines;
        }
    }

    /// Waits for lines and for a few more, and moves them to the empty `taken`. None are left when
    /// the queue is closed.
    fn take(&self, taken: &mut T) -> usize {
        let mut state = self.lock();
        // None is in the writer's hands now: all lines counted wait.
        while state.lines == 0 && !state.stopping {
            state.writer = Writer::Asleep;
            state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writer = Writer::Awake;
        let gathering = |state: &mut State<T>| !state.stopping;
        let waited = self.wanted.wait_timeout_while(state, GATHER, gathering);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, taken);
        state.bytes = 0;
        state.lines
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that tells what it is given, each time it is.
    struct Told(mpsc::Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// An output that takes nothing until told to.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn queue(output: impl Write + Send + 'static, limit: usize) -> LineQueue<Vec<u8>> {
        LineQueue::start("lines", output, limit, |lines: &mut Vec<u8>, text, line_over| {
            for line in std::mem::take(lines).split_inclusive(|&byte| byte == b'\n') {
                text.extend_from_slice(line);
                line_over(text);
            }
        })
    }

    fn push(queue: &LineQueue<Vec<u8>>, line: &[u8]) {
        queue.push(|lines| {
            lines.extend_from_slice(line);
            lines.len()
        });
    }

    #[test]
    fn a_single_line_comes_out_by_itself() {
        let (sender, told) = mpsc::channel();
        let queue = queue(Told(sender), 10);
        push(&queue, b"one\n");
        assert_eq!(told.recv_timeout(Duration::from_mins(1)).unwrap(), b"one\n");
        // The writer has gone to sleep again or is about to.
        push(&queue, b"two\n");
        assert_eq!(told.recv_timeout(Duration::from_mins(1)).unwrap(), b"two\n");
    }

    #[test]
    fn lines_of_one_thread_keep_their_order() {
        let (sender, told) = mpsc::channel();
        let queue = queue(Told(sender), usize::MAX);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let queue = queue.clone();
                scope.spawn(move || {
                    for number in 0..500 {
                        push(&queue, format!("{thread} {number}\n").as_bytes());
                    }
                });
            }
        });
        queue.close(Duration::from_mins(1));
        let text = String::from_utf8(told.try_iter().flatten().collect()).unwrap();
        for thread in 0..4 {
            let of_thread = text.lines().filter_map(|line| line.strip_prefix(&format!("{thread} ")));
            assert!(of_thread.eq((0..500).map(|number| number.to_string())));
        }
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn many_lines_come_in_pieces_that_end_with_a_line() {
        let (sender, told) = mpsc::channel();
        let queue = queue(Told(sender), usize::MAX);
        let line = [vec![b'x'; PIECE / 3], b"\n".to_vec()].concat();
        push(&queue, &line.repeat(7));
        queue.close(Duration::from_mins(1));
        let pieces: Vec<_> = told.try_iter().map(|piece| piece.len() / line.len()).collect();
        assert_eq!(pieces, [3, 3, 1]);
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_counts_it() {
        let (sender, told) = mpsc::channel();
        let queue = queue(Told(sender), 10);
        push(&queue, b"before\n");
        queue.close(Duration::from_mins(1));
        push(&queue, b"after\n");
        assert_eq!(told.try_iter().flatten().collect::<Vec<_>>(), b"before\n");
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn few_long_lines_fill_the_queue_too() {
        let (release, stuck) = mpsc::channel::<()>();
        let queue = queue(Stuck(stuck), usize::MAX);
        let line = vec![b'x'; MAX_BYTES / 2];
        for _ in 0..6 {
            push(&queue, &line);
        }
        // Two wait, two may be in the writer's hands.
        assert!((2..=4).contains(&queue.dropped()), "{}", queue.dropped());
        drop(release);
    }
}
