//! The manual is whole and true: `docs/reference/`, the story of signing in, and the list of threats say what the code
//! has, and what tests show.

#[cfg(test)]
mod page;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod signing_in;
#[cfg(test)]
mod threats;
