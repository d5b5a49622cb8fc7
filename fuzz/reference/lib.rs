//! What the targets compare the gateway with: second, slower and simpler readings of the same
//! bytes, written from the specifications and the design without the gateway's code.
//!
//! A target that only waits for a panic finds little in Rust. These find two readers that disagree.

pub mod cookies;
pub mod head;
pub mod names;
pub mod path;
pub mod provider;
pub mod served;
