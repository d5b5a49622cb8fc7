//! Signing in: one attempt from the first redirect to a session.
