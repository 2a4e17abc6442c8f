//! What the program says about itself, on standard error, and how much of it: a filter that can be changed while it runs.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Longest filter that is taken.
const MAX_FILTER: usize = 1024;

/// The handle by which the filter is changed. Cheap to clone.
#[derive(Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

/// Why a filter is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Nothing, or too much.
    #[error(
        "a filter has 1 to {MAX_FILTER} characters, such as \"info\" or \"info,substratum::upstream=debug\""
    )]
    Length,
    /// It cannot be understood.
    #[error("this is no filter: {0}")]
    Syntax(#[from] tracing_subscriber::filter::ParseError),
    /// There is nothing to change any more.
    #[error("the filter cannot be changed: {0}")]
    Gone(#[from] reload::Error),
}

/// Begins to write diagnostics; `RUST_LOG` sets the filter, `default` holds without it. Nothing when somebody else (as in a
/// test process) was first.
pub fn install(default: &str) -> Option<LogFilter> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    let installed = tracing_subscriber::registry().with(filter).with(lines).try_init();
    installed.ok().map(|()| LogFilter(handle))
}

impl LogFilter {
    /// Lets through what `filter` says, from now on.
    pub fn set(&self, filter: &str) -> Result<(), FilterError> {
        if filter.trim().is_empty() || filter.len() > MAX_FILTER {
            return Err(FilterError::Length);
        }
        let parsed = EnvFilter::builder().parse(filter)?;
        Ok(self.0.reload(parsed)?)
    }

    /// The filter as it can be written.
    pub fn get(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_and_change_what_is_let_through() {
        let (layer, handle) = reload::Layer::new(EnvFilter::new("warn"));
        let filter = LogFilter(handle);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            assert!(!tracing::enabled!(tracing::Level::DEBUG));
            filter.set("debug").unwrap();
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            filter.set("off").unwrap();
            assert!(!tracing::enabled!(tracing::Level::ERROR));
            for wrong in ["", " ", "a=b=c", "substratum=loud", &"a".repeat(MAX_FILTER + 1)] {
                assert!(filter.set(wrong).is_err(), "{wrong}");
            }
            assert_eq!(filter.get(), "off");
            filter.set("info,substratum::upstream=trace").unwrap();
            assert!(filter.get().contains("substratum::upstream=trace"), "{}", filter.get());
        });
    }
}
