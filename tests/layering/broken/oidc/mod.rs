use crate::identity::Identity;

/// Breaks a rule: the protocol doesn't know who uses it.
pub fn begin() {
    crate::login::begin();
}
