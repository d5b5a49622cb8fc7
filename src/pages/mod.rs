//! What people see: sign-in chooser, errors, sign-out. Escaped, with a policy that allows no script.

/// `pages`, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `support`: where a page sends people who are stuck.
    pub support: Option<url::Url>,
}
