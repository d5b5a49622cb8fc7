use crate::{
    identity::{Claims, Identity},
    session::Session, // Breaks a rule: who may is decided over an identity, however it is known.
};
