//! One timer for a whole connection, touched only when a read has to wait and the due time isn't
//! covered yet.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes the task at a due time that may move.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Armed>);

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    /// Who is woken when it fires.
    waker: Waker,
}

impl Alarm {
    /// Ready when `due` has come. Due times mostly move later: the timer then stays as it is, fires
    /// early, and is set again.
    pub(super) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Armed { sleep, waker } = self
            .0
            .get_or_insert_with(|| Armed { sleep: Box::pin(sleep_until(due)), waker: Waker::noop().clone() });
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        } else if waker.will_wake(cx.waker()) && !sleep.is_elapsed() {
            // Asked once more it would do as much again for the same answer.
            return Poll::Pending;
        }
        waker.clone_from(cx.waker());
        loop {
            std::task::ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keeps_the_last_due_time_it_was_given() {
        let start = Instant::now();
        let mut alarm = Alarm::default();
        let mut asked = 0;
        poll_fn(|cx| {
            asked += 1;
            let due = if asked == 1 { Duration::from_secs(3) } else { Duration::from_secs(8) };
            alarm.poll(start + due, cx)
        })
        .await;
        assert_eq!(start.elapsed().as_secs(), 8);
        poll_fn(|cx| alarm.poll(start + Duration::from_secs(9), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 9);
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_last_is_woken() {
        let due = Instant::now() + Duration::from_secs(3);
        let mut alarm = Alarm::default();
        let askers = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        for asker in &askers {
            let waker = Waker::from(Arc::clone(asker));
            let mut cx = Context::from_waker(&waker);
            for later in [0, 0, 1] {
                assert!(alarm.poll(due + Duration::from_secs(later), &mut cx).is_pending());
            }
        }
        tokio::time::sleep_until(due + Duration::from_millis(2)).await;
        assert_eq!(askers.map(|asker| asker.0.load(Ordering::Relaxed)), [false, true]);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(alarm.poll(due, &mut cx).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_due_time_comes_earlier() {
        let start = Instant::now();
        let mut alarm = Alarm::default();
        let mut asked = 0;
        poll_fn(|cx| {
            asked += 1;
            if asked == 1 {
                assert!(alarm.poll(start + Duration::from_mins(1), cx).is_pending());
            }
            alarm.poll(start + Duration::from_secs(2), cx)
        })
        .await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }
}
