//! Breaks nothing.

use pingora::proxy::Session as Downstream;

use crate::gateway::Gateway;
use crate::{clock::Clock, route};

const BRACE: char = '{';
const RAW: &str = r#"crate::emulator "{{"#;

fn lifetime<'a>(text: &'a str) -> &'a str {
    text
}
