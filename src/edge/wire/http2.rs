//! What a client sends on an HTTP/2 connection, as far as its clock needs it: where frames begin and
//! end ([RFC 9113 §4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)). Nothing is held back
//! or judged but the time.
//!
//! Three things must be whole within `limits.head.time`: the preface with the first frame, a header
//! block (a HEADERS frame and its CONTINUATIONs, RFC 9113 §4.3), and any frame but DATA. A DATA frame
//! that has begun must come as fast as `limits.body_rate` says: until it is whole nothing else can
//! come on the connection. A client that sends nothing between frames is fine here.

use std::time::Duration;

use tokio::time::Instant;

use super::pace::{BodyRate, Pace};

/// Length of the client's connection preface ([RFC 9113 §3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
const PREFACE: usize = 24;
/// Length of a frame's head.
const FRAME_HEAD: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PUSH_PROMISE: u8 = 0x5;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// The clock of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Frames {
    time: Duration,
    body_rate: BodyRate,
    place: Place,
    /// The first frame has come.
    settled: bool,
    /// A header block is open.
    block: bool,
    due: Option<Instant>,
}

#[derive(Debug)]
enum Place {
    Preface { left: usize },
    Head { bytes: [u8; FRAME_HEAD], have: usize },
    Payload { kind: u8, flags: u8, left: usize },
}

impl Place {
    const BETWEEN: Self = Self::Head { bytes: [0; FRAME_HEAD], have: 0 };
}

impl Frames {
    /// A connection accepted now.
    pub(super) fn new(time: Duration, body_rate: BodyRate, now: Instant) -> Self {
        Self {
            time,
            body_rate,
            place: Place::Preface { left: PREFACE },
            settled: false,
            block: false,
            due: now.checked_add(time),
        }
    }

    /// By when more must have come.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Bytes of the client pass. False when something hasn't become whole in time.
    #[must_use]
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            bytes = self.step(bytes);
        }
        if !self.is_inside() {
            return true;
        }
        let now = Instant::now();
        if self.due.is_none() {
            self.due = now.checked_add(self.time_for_this());
        }
        self.due.is_none_or(|due| due > now)
    }

    /// Whether something has begun that must become whole.
    const fn is_inside(&self) -> bool {
        !self.settled || self.block || !matches!(self.place, Place::Head { have: 0, .. })
    }

    /// How long what has begun may take.
    fn time_for_this(&self) -> Duration {
        match self.place {
            Place::Payload { kind: DATA, left, .. } if !self.block => {
                let mut pace = Pace::new(self.body_rate);
                pace.received(left);
                pace.patience()
            }
            Place::Preface { .. } | Place::Head { .. } | Place::Payload { .. } => self.time,
        }
    }

    /// Reads one part of a frame and returns what is behind it.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let taken = match &mut self.place {
            Place::Preface { left } | Place::Payload { left, .. } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                taken
            }
            Place::Head { bytes: head, have } => {
                let missing = head.get_mut(*have..).unwrap_or_default();
                let taken = bytes.len().min(missing.len());
                missing.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
                *have += taken;
                taken
            }
        };
        match self.place {
            Place::Preface { left: 0 } => self.place = Place::BETWEEN,
            Place::Head { bytes: [a, b, c, kind, flags, ..], have: FRAME_HEAD } => {
                let left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.place = Place::Payload { kind, flags, left };
                if kind == DATA && self.settled && !self.block {
                    // Until here it had the time of a frame's head.
                    self.due = None;
                }
                if left == 0 {
                    self.end_frame(kind, flags);
                }
            }
            Place::Payload { kind, flags, left: 0 } => self.end_frame(kind, flags),
            Place::Preface { .. } | Place::Head { .. } | Place::Payload { .. } => {}
        }
        bytes.get(taken..).unwrap_or_default()
    }

    fn end_frame(&mut self, kind: u8, flags: u8) {
        self.place = Place::BETWEEN;
        self.settled = true;
        if matches!(kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
            self.block = flags & END_HEADERS == 0;
        }
        if !self.block {
            // Whatever begins behind this frame has its own time.
            self.due = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: u8 = 0x4;
    const TIME: Duration = Duration::from_secs(10);

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.resize(FRAME_HEAD + payload, 0);
        frame
    }

    /// A connection that has begun.
    fn begun() -> Frames {
        let mut frames = Frames::new(TIME, BodyRate::default(), Instant::now());
        assert!(frames.pass(&[0; PREFACE]));
        assert!(frames.due().is_some(), "the first frame is still missing");
        assert!(frames.pass(&frame(SETTINGS, 0, 6)));
        assert_eq!(frames.due(), None);
        frames
    }

    async fn after(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_preface_and_the_first_frame_have_one_time() {
        let start = Instant::now();
        let mut frames = Frames::new(TIME, BodyRate::default(), start);
        for _ in 0..9 {
            after(1).await;
            assert!(frames.pass(&[0]));
            assert_eq!(frames.due(), Some(start + TIME));
        }
        after(1).await;
        assert!(!frames.pass(&[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_block_has_one_time_for_all_its_frames() {
        let mut frames = begun();
        let start = Instant::now();
        assert!(frames.pass(&frame(HEADERS, 0, 100)));
        for _ in 0..9 {
            after(1).await;
            assert!(frames.pass(&frame(CONTINUATION, 0, 1)));
            assert_eq!(frames.due(), Some(start + TIME));
        }
        let last = frame(CONTINUATION, END_HEADERS, 1);
        assert!(frames.pass(&last[..5]), "not late yet");
        after(1).await;
        assert!(!frames.pass(&last[5..6]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_block_ends_the_clock() {
        let mut frames = begun();
        assert!(frames.pass(&frame(HEADERS, 0, 3)));
        assert!(frames.due().is_some());
        assert!(frames.pass(&frame(CONTINUATION, END_HEADERS, 0)));
        assert_eq!(frames.due(), None);
        after(3600).await;
        assert!(frames.pass(&frame(HEADERS, END_HEADERS | 1, 30)), "silence between frames is fine");
        assert_eq!(frames.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn data_has_the_time_of_its_rate() {
        let mut frames = begun();
        let data = frame(DATA, 0, 5 * 1024);
        assert!(frames.pass(&data[..1]));
        after(9).await;
        assert!(frames.pass(&data[1..FRAME_HEAD]));
        for at in 0..14 {
            after(1).await;
            assert!(frames.pass(&data[FRAME_HEAD + at..][..1]));
        }
        after(1).await;
        assert!(!frames.pass(&data[100..101]));
    }

    #[tokio::test(start_paused = true)]
    async fn other_frames_may_not_drip() {
        let mut frames = begun();
        let ping = frame(0x6, 0, 8);
        assert!(frames.pass(&ping[..1]));
        after(9).await;
        assert!(frames.pass(&ping[1..12]));
        after(1).await;
        assert!(!frames.pass(&ping[12..13]));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_clock_stands_still_between_frames(
            kinds in prop::collection::vec((0_u8..10, 0_usize..40), 0..12),
            cut in 1_usize..50,
        ) {
            let mut sent = vec![0; PREFACE];
            sent.extend(frame(SETTINGS, 0, 0));
            for (kind, length) in kinds {
                sent.extend(frame(kind, END_HEADERS, length));
            }
            let mut frames = Frames::new(TIME, BodyRate::default(), Instant::now());
            for piece in sent.chunks(cut) {
                prop_assert!(frames.pass(piece));
            }
            prop_assert_eq!(frames.due(), None);
            prop_assert!(frames.pass(&frame(HEADERS, 0, 1)));
            prop_assert!(frames.due().is_some());
        }
    }
}
