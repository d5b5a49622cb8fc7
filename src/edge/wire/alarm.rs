//! One timer for a whole connection, touched only when a read has to wait and the due time isn't
//! covered yet.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes the task at a due time that may move.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready when `due` has come. Due times mostly move later: the timer then stays as it is, fires
    /// early, and is set again.
    pub(super) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
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
