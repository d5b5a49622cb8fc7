//! The log: events on standard error, one JSON object or one line of text each.
//!
//! A level without a target is about our own code. What other crates say at `info` and below stays
//! out unless the operator names them (`info,pingora_proxy=debug`): they may write whole requests,
//! with cookies and tokens in them.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Config, LogFormat};

/// Why logging can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `log.level` or `RUST_LOG` is not a filter.
    #[error("read the log level: {0}")]
    Filter(#[from] BadFilter),
    /// Something else has taken the log already.
    #[error("start the log: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// A text that is not a filter.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadFilter(#[from] tracing_subscriber::filter::ParseError);

/// Starts the log of this process. `rust_log` is the value of `RUST_LOG`, which wins over
/// `log.level`.
///
/// # Errors
/// [`Error`] when the filter can't be read or the log has been started before.
pub fn init(config: &Config, rust_log: Option<&str>) -> Result<(), Error> {
    let filter = filter(rust_log.filter(|text| !text.trim().is_empty()).unwrap_or(&config.level))?;
    subscriber(config.format, filter, std::io::stderr).try_init()?;
    Ok(())
}

/// Reads `log.level`: a level, or levels by target as `RUST_LOG` has them.
///
/// # Errors
/// [`BadFilter`], with the part that can't be read.
pub fn filter(text: &str) -> Result<EnvFilter, BadFilter> {
    let mut directives = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse::<LevelFilter>() {
            Ok(level) => {
                directives.push(level.min(LevelFilter::WARN).to_string());
                directives.push(format!("vestibule={level}"));
                // Handshakes that anybody can begin and leave: it calls each an error.
                directives.push("pingora_core::services::listening=off".to_owned());
            }
            Err(_) => directives.push(part.to_owned()),
        }
    }
    Ok(EnvFilter::builder().parse(directives.join(","))?)
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync + 'static>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(
            builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use rstest::rstest;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, filter(level).unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[rstest]
    #[case::own_info("info", "vestibule::edge", tracing::Level::INFO, true)]
    #[case::own_debug_hidden("info", "vestibule::edge", tracing::Level::DEBUG, false)]
    #[case::pingora_info_hidden("info", "pingora_core::server", tracing::Level::INFO, false)]
    #[case::pingora_debug_hidden_even_then("trace", "pingora_proxy", tracing::Level::DEBUG, false)]
    #[case::pingora_warns("debug", "pingora_core", tracing::Level::WARN, true)]
    #[case::pingora_quieter_when_all_is("error", "pingora_core", tracing::Level::WARN, false)]
    #[case::pingora_by_name("info,pingora_core=debug", "pingora_core", tracing::Level::DEBUG, true)]
    fn a_level_is_about_our_own_code(
        #[case] level: &str,
        #[case] target: &'static str,
        #[case] at: tracing::Level,
        #[case] heard: bool,
    ) {
        // A target must be known at compile time; these two lists are those of the cases.
        macro_rules! say {
            ($($target:literal)+) => {
                match (target, at) {
                    $(
                        ($target, tracing::Level::WARN) => tracing::warn!(target: $target, "heard"),
                        ($target, tracing::Level::INFO) => tracing::info!(target: $target, "heard"),
                        ($target, tracing::Level::DEBUG) => tracing::debug!(target: $target, "heard"),
                    )+
                    other => panic!("no such case: {other:?}"),
                }
            };
        }
        let lines = logged(LogFormat::Text, level, || {
            say!("vestibule::edge" "pingora_core" "pingora_core::server" "pingora_proxy");
        });
        assert_eq!(lines.contains("heard"), heard, "{lines}");
    }

    #[test]
    fn a_json_line_is_one_object_whatever_it_says() {
        let hostile = "a\r\nb\u{1b}[31m\"}";
        let lines = logged(LogFormat::Json, "info", || {
            tracing::info!(target: "vestibule", path = hostile, "request");
        });
        assert_eq!(lines.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(line["path"], hostile);
        assert_eq!(line["message"], "request");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_text_line_stays_one_line() {
        let lines = logged(LogFormat::Text, "info", || {
            tracing::info!(target: "vestibule", path = ?"a\nb\u{1b}[31m", "request");
        });
        assert_eq!(lines.matches('\n').count(), 1);
        assert!(!lines.contains('\u{1b}'));
    }

    #[rstest]
    #[case::no_level("vestibule=loud")]
    #[case::no_syntax("a=b=c")]
    fn refuses_what_is_no_filter(#[case] text: &str) {
        assert!(filter(text).is_err());
    }
}
