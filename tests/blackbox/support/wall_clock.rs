//! A wall clock that a test sets, for processes that it starts: by libfaketime, which leaves the monotonic
//! clock as it is, as a time server does.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// The clock: real time and an offset.
#[derive(Debug)]
pub(crate) struct WallClock {
    folder: TempDir,
}

impl WallClock {
    /// A clock that is right.
    pub(crate) fn right() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("a folder") };
        clock.set(0);
        clock
    }

    /// From now on it is this many seconds ahead, or behind.
    pub(crate) fn set(&self, seconds: i64) {
        // Written beside and moved over: whoever reads sees one or the other.
        let beside = self.folder.path().join("next");
        fs::write(&beside, format!("{seconds:+}\n")).expect("the file can be written");
        fs::rename(beside, self.file()).expect("the file can be moved");
    }

    /// What a process needs in its environment to go by it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let file = self.file().display().to_string();
        [
            ("LD_PRELOAD", library().as_str()),
            ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

/// Debian's place for it, whatever the architecture.
fn library() -> String {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("missing: faketime; on Debian: apt-get install faketime").display().to_string()
}
