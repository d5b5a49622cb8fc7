//! Where a request's head ends.
//!
//! Not a parser: it looks for the empty line, and that as generously as Pingora's parser does, so
//! that the body never begins before the edge has said what it is.

use memchr::memchr_iter;

/// How far the search has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HeadEnd {
    line: Line,
    /// Empty lines before the request line count for nothing
    /// ([RFC 9112 §2.2](https://www.rfc-editor.org/rfc/rfc9112#section-2.2)).
    begun: bool,
    /// Blanks in the request line so far.
    blanks: u8,
    /// The request line so far ends in a CR.
    ends_in_cr: bool,
    odd: bool,
}

/// How a request line came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum RequestLine {
    /// Three words of visible ASCII, one blank between them
    /// ([RFC 9112 §3](https://www.rfc-editor.org/rfc/rfc9112#section-3)).
    Plain,
    /// Anything else. Pingora makes such a target one that it can parse by percent-encoding.
    Odd,
}

/// What the line has so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Line {
    #[default]
    Nothing,
    Cr,
    More,
}

impl HeadEnd {
    /// Reads on: how many of these bytes the head takes, once its end is among them.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut start = 0;
        for lf in memchr_iter(b'\n', bytes) {
            let more = bytes.get(start..lf).unwrap_or_default();
            if !self.begun {
                self.read_request_line(more);
            }
            let line = self.line.and(more);
            start = lf + 1;
            self.line = Line::Nothing;
            if !self.begun {
                self.ends_in_cr = false;
            }
            if line == Line::More {
                self.begun = true;
            } else if self.begun {
                return Some(start);
            }
        }
        let rest = bytes.get(start..).unwrap_or_default();
        if !self.begun {
            self.read_request_line(rest);
        }
        self.line = self.line.and(rest);
        None
    }

    /// How the request line came; to be asked once the end is found.
    pub(super) const fn request_line(self) -> RequestLine {
        if self.odd || self.blanks != 2 { RequestLine::Odd } else { RequestLine::Plain }
    }

    fn read_request_line(&mut self, more: &[u8]) {
        if more.is_empty() {
            return;
        }
        // A CR is the line's own end only if nothing else comes before the LF.
        self.odd |= self.ends_in_cr;
        let text = more.strip_suffix(b"\r");
        self.ends_in_cr = text.is_some();
        for &byte in text.unwrap_or(more) {
            self.blanks = self.blanks.saturating_add(u8::from(byte == b' '));
            self.odd |= byte != b' ' && !byte.is_ascii_graphic();
        }
    }
}

impl Line {
    fn and(self, more: &[u8]) -> Self {
        match (self, more) {
            (line, []) => line,
            (Self::Nothing, [b'\r']) => Self::Cr,
            _ => Self::More,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::usual("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "body")]
    #[case::line_feeds("GET / HTTP/1.1\nHost: a\n\n", "body")]
    #[case::mixed("GET / HTTP/1.1\r\nHost: a\n\r\n", "body")]
    #[case::no_field("GET / HTTP/1.1\r\n\r\n", "body")]
    #[case::empty_lines_before("\r\n\n\r\nGET / HTTP/1.1\r\n\r\n", "\r\n\r\n")]
    #[case::a_blank_line_is_no_empty_one("GET / HTTP/1.1\r\n \r\n\r\n", "")]
    #[case::two_carriage_returns_are_no_empty_line("GET / HTTP/1.1\r\n\r\r\n\r\n", "")]
    fn finds_the_empty_line(#[case] head: &str, #[case] behind: &str) {
        let bytes = format!("{head}{behind}");
        assert_eq!(HeadEnd::default().find(bytes.as_bytes()), Some(head.len()));
    }

    #[rstest]
    #[case::usual("GET /a?b=%20 HTTP/1.1", RequestLine::Plain)]
    #[case::marks("GET /\"<>{}|^` HTTP/1.1", RequestLine::Plain)]
    #[case::blank("GET /a b HTTP/1.1", RequestLine::Odd)]
    #[case::two_blanks("GET  / HTTP/1.1", RequestLine::Odd)]
    #[case::blank_at_the_end("GET / HTTP/1.1 ", RequestLine::Odd)]
    #[case::tab("GET\t/ HTTP/1.1", RequestLine::Odd)]
    #[case::carriage_return("GET /a\rb HTTP/1.1", RequestLine::Odd)]
    #[case::carriage_return_at_the_end("GET / HTTP/1.1\r", RequestLine::Odd)]
    #[case::nul("GET /\0 HTTP/1.1", RequestLine::Odd)]
    #[case::delete("GET /\x7f HTTP/1.1", RequestLine::Odd)]
    #[case::beyond_ascii("GET /\u{e9} HTTP/1.1", RequestLine::Odd)]
    fn tells_how_the_request_line_came(#[case] line: &str, #[case] came: RequestLine) {
        let head = format!("\r\n{line}\r\nHost: caf\u{e9} a b c\r\n\r\n");
        for cut in 1..head.len() {
            let mut end = HeadEnd::default();
            let found = head.as_bytes().chunks(cut).find_map(|piece| end.find(piece));
            assert_eq!((found.is_some(), end.request_line()), (true, came), "{cut}");
        }
    }

    #[rstest]
    #[case("")]
    #[case("GET / HTTP/1.1")]
    #[case("GET / HTTP/1.1\r\n\r")]
    #[case("\r\n\r\n\r\n")]
    fn waits_for_it(#[case] bytes: &str) {
        assert_eq!(HeadEnd::default().find(bytes.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_is_found(bytes in "[a\r\n]{0,40}", cut in 1_usize..9) {
            let whole = HeadEnd::default().find(bytes.as_bytes());
            let (mut end, mut before, mut found) = (HeadEnd::default(), 0, None);
            for piece in bytes.as_bytes().chunks(cut) {
                found = end.find(piece).map(|at| before + at);
                before += piece.len();
                if found.is_some() { break }
            }
            prop_assert_eq!(found, whole);
        }

        /// The parser behind us must never see the end of a head before we do: what it would read
        /// behind it nobody has checked.
        #[test]
        fn never_comes_after_the_end_that_the_parser_sees(
            head in "(\r\n|\n){0,2}(GET|P) /[a-z%]{0,3} HTTP/1\\.[01](\r\n|\n)([A-Za-z\\-]{1,4}:[ \t]{0,2}[a-z \t]{0,6}(\r\n|\n)){0,4}(\r\n|\n)[a-z\r\n]{0,9}",
        ) {
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let parsed = httparse::Request::new(&mut fields).parse(head.as_bytes());
            let Ok(httparse::Status::Complete(theirs)) = parsed else { return Ok(()) };
            prop_assert_eq!(HeadEnd::default().find(head.as_bytes()), Some(theirs));
        }
    }
}
