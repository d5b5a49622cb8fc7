//! Parameters in the query of an address.

use url::Url;

use super::message::{pairs, value};

/// The first value of `name`, empty when there is none.
pub(crate) fn parameter(url: &Url, name: &str) -> String {
    value(&pairs(url.query().unwrap_or_default()), name).to_owned()
}

/// The address with `name` changed where it is; without it, with `None`.
pub(crate) fn with_parameter(url: &Url, name: &str, new: Option<&str>) -> Url {
    let mut changed = url.clone();
    let kept = pairs(url.query().unwrap_or_default()).into_iter().filter_map(|(key, old)| {
        let value = if key == name { new?.to_owned() } else { old };
        Some((key, value))
    });
    changed.query_pairs_mut().clear().extend_pairs(kept);
    changed
}
