//! Comments may speak of `pingora::Session` and of crate::edge.

use crate::route::Route;

/// Breaks a rule: Pingora stays at the edge.
pub fn answer(downstream: &mut pingora::proxy::Session) -> Route {
    let _text = "crate::edge::answer and pingora are only words here";
    Route::of(downstream)
}

#[cfg(test)]
mod tests {
    use crate::edge::Edge;
}
