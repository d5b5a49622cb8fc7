//! What kind of client is asking: it decides how an anonymous request is answered.

use http::header::{ACCEPT, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const PREFETCHES: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Kinds of client, as far as a challenge cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientKind {
    /// A person's browser opening a page: it can be sent to the provider.
    Navigation,
    /// The same by a method that can't be repeated after signing in.
    NavigationByOtherMethod,
    /// A browser loading ahead, or into a frame: nobody is looking, or can't sign in there.
    FrameOrPrefetch,
    /// HEAD.
    Head,
    /// gRPC.
    Grpc,
    /// A program: fetch, XHR, event stream, WebSocket, command line.
    Program,
}

impl ClientKind {
    /// Reads it from method and headers
    /// ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)).
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if is_grpc(headers) {
            return Self::Grpc;
        }
        if method == Method::HEAD {
            return Self::Head;
        }
        if headers.contains_key(UPGRADE) {
            return Self::Program;
        }
        let accepts_html = text(&ACCEPT).is_some_and(|accept| accept.contains("text/html"));
        let navigates = match (text(&SEC_FETCH_MODE), text(&SEC_FETCH_DEST)) {
            (Some("navigate"), Some("document")) => true,
            (Some("navigate"), Some("iframe" | "frame" | "embed" | "object" | "fencedframe")) => {
                return Self::FrameOrPrefetch;
            }
            (None, None) => accepts_html && !headers.contains_key(&X_REQUESTED_WITH),
            _ => false,
        };
        match navigates {
            false => Self::Program,
            true if loads_ahead(headers) => Self::FrameOrPrefetch,
            true if method == Method::GET => Self::Navigation,
            true => Self::NavigationByOtherMethod,
        }
    }

    /// Whether a page, not JSON, is what it can show.
    pub(super) const fn shows_pages(self) -> bool {
        matches!(self, Self::Navigation | Self::NavigationByOtherMethod | Self::FrameOrPrefetch)
    }
}

/// Whether a browser asks before the person does: a prefetch, or a page rendered ahead
/// ([Fetch, `Sec-Purpose`](https://fetch.spec.whatwg.org/#sec-purpose-header), and what older browsers say).
pub(super) fn loads_ahead(headers: &HeaderMap) -> bool {
    PREFETCHES.iter().filter_map(|name| headers.get(name)?.to_str().ok()).any(|value| {
        let value = value.to_ascii_lowercase();
        ["prefetch", "prerender", "preview"].iter().any(|word| value.contains(word))
    })
}

/// Whether nobody is looking who could sign in there: loaded ahead, in a frame, or for something that is no
/// page, such as an image
/// ([Fetch Metadata, `Sec-Fetch-Dest`](https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header)).
pub(super) fn nobody_is_looking(headers: &HeaderMap) -> bool {
    let dest = headers.get(&SEC_FETCH_DEST).map(HeaderValue::as_bytes);
    loads_ahead(headers) || dest.is_some_and(|dest| dest != b"document" && dest != b"empty")
}

/// Whether a request is a gRPC call
/// ([PROTOCOL-HTTP2, Requests](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests)).
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.strip_prefix("application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('+') || rest.starts_with(';'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_person_opens_a_page(Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], ClientKind::Navigation)]
    #[case::an_old_browser(Method::GET, &[("accept", "text/html,*/*")], ClientKind::Navigation)]
    #[case::xhr_of_an_old_browser(Method::GET, &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")], ClientKind::Program)]
    #[case::a_form(Method::POST, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], ClientKind::NavigationByOtherMethod)]
    #[case::a_frame(Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], ClientKind::FrameOrPrefetch)]
    #[case::loading_ahead(Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")], ClientKind::FrameOrPrefetch)]
    #[case::shown_before_it_is_chosen(Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("purpose", "preview")], ClientKind::FrameOrPrefetch)]
    #[case::fetch(Method::GET, &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "text/html")], ClientKind::Program)]
    #[case::an_image(Method::GET, &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], ClientKind::Program)]
    #[case::event_stream(Method::GET, &[("accept", "text/event-stream")], ClientKind::Program)]
    #[case::web_socket(Method::GET, &[("upgrade", "websocket"), ("sec-fetch-mode", "websocket")], ClientKind::Program)]
    #[case::command_line(Method::GET, &[("accept", "*/*")], ClientKind::Program)]
    #[case::nothing_said(Method::GET, &[], ClientKind::Program)]
    #[case::head(Method::HEAD, &[("accept", "text/html")], ClientKind::Head)]
    #[case::grpc(Method::POST, &[("content-type", "application/grpc+proto")], ClientKind::Grpc)]
    #[case::not_grpc(Method::POST, &[("content-type", "application/grpcx")], ClientKind::Program)]
    #[case::preflight(Method::OPTIONS, &[("access-control-request-method", "GET"), ("sec-fetch-mode", "cors")], ClientKind::Program)]
    fn tells(
        #[case] method: Method,
        #[case] headers: &[(&'static str, &'static str)],
        #[case] kind: ClientKind,
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(ClientKind::of(&method, &headers), kind);
    }

    #[rstest]
    #[case::nothing_said(&[], false)]
    #[case::a_page(&[("sec-fetch-dest", "document")], false)]
    #[case::a_script(&[("sec-fetch-dest", "empty")], false)]
    #[case::a_frame(&[("sec-fetch-dest", "iframe")], true)]
    #[case::an_image(&[("sec-fetch-dest", "image")], true)]
    #[case::a_page_loaded_ahead(&[("sec-fetch-dest", "document"), ("sec-purpose", "prefetch")], true)]
    #[case::loaded_ahead_by_an_old_browser(&[("x-moz", "prefetch")], true)]
    fn sees_where_nobody_is_looking(#[case] headers: &[(&'static str, &'static str)], #[case] nobody: bool) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(nobody_is_looking(&headers), nobody);
    }

    #[rstest]
    #[case(ClientKind::Navigation, true)]
    #[case(ClientKind::NavigationByOtherMethod, true)]
    #[case(ClientKind::FrameOrPrefetch, true)]
    #[case(ClientKind::Head, false)]
    #[case(ClientKind::Grpc, false)]
    #[case(ClientKind::Program, false)]
    fn pages_are_for_browsers_that_open_something(#[case] kind: ClientKind, #[case] pages: bool) {
        assert_eq!(kind.shows_pages(), pages);
    }
}
