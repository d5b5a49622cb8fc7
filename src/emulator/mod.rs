//! A local PingOne.
