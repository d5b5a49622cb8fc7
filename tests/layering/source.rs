//! Reading Rust just far enough to know which paths a file names: comments and literals are cut,
//! `use` groups are spread out, `super` is followed to the root.

use std::fs;
use std::io;
use std::iter::Peekable;
use std::path::Path;

/// A path that a file names: `crate::…` for our own, anything else as written.
#[derive(Debug)]
pub(crate) struct Import {
    /// Line, from 1, where what sets the path apart from others of its group begins.
    pub(crate) line: usize,
    /// The path, its segments joined by `::`.
    pub(crate) path: String,
}

/// The Rust files under `root`, by name, with their text.
pub(crate) fn files(root: &Path) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every path that `text` names outside its test modules. `file` is its path under `src/`.
pub(crate) fn imports(file: &str, text: &str) -> Vec<Import> {
    let mut reader = Reader { depth: depth(file), inner: Vec::new(), braces: 0, found: Vec::new() };
    reader.read(&tokens(text));
    reader.found
}

/// Modules between the root and this file's own items.
fn depth(file: &str) -> usize {
    let last = file.rsplit('/').next().unwrap_or_default();
    let folders = file.matches('/').count();
    if matches!(last, "mod.rs" | "lib.rs" | "main.rs") { folders } else { folders + 1 }
}

struct Reader {
    depth: usize,
    /// At which depth of braces each open inline module began.
    inner: Vec<usize>,
    braces: usize,
    found: Vec<Import>,
}

const TEST_MODULE: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];

impl Reader {
    fn read(&mut self, tokens: &[Token]) {
        let mut rest = tokens;
        while let [token, after @ ..] = rest {
            let text = token.text.as_str();
            if rest.len() > TEST_MODULE.len() && rest.iter().zip(TEST_MODULE).all(|(t, e)| t.text == e) {
                rest = after_block(rest);
                continue;
            }
            match (text, after) {
                ("mod", [_, brace, ..]) if brace.text == "{" => self.inner.push(self.braces),
                ("{", _) => self.braces += 1,
                ("}", _) => {
                    self.braces = self.braces.saturating_sub(1);
                    if self.inner.last() == Some(&self.braces) {
                        self.inner.pop();
                    }
                }
                _ => {}
            }
            rest = if is_word(text) { self.path(rest) } else { after };
        }
    }

    /// Takes the path at the start of `tokens`, spread out where it ends in a group.
    fn path<'a>(&mut self, tokens: &'a [Token]) -> &'a [Token] {
        let mut iter = tokens.iter().peekable();
        let mut paths = Vec::new();
        spread(String::new(), &mut iter, &mut paths);
        for (line, path) in paths {
            let path = self.rooted(path);
            self.found.push(Import { line, path });
        }
        let left = iter.count();
        tokens.get(tokens.len() - left..).unwrap_or_default()
    }

    /// Our own paths begin with `crate`, however they are written.
    fn rooted(&self, path: String) -> String {
        if let Some(rest) = path.strip_prefix("vestibule::") {
            return format!("crate::{rest}");
        }
        let mut rest = path.as_str();
        let mut ups = 0;
        while let Some(after) = rest.strip_prefix("super::") {
            rest = after;
            ups += 1;
        }
        if ups > 0 && ups == self.depth + self.inner.len() { format!("crate::{rest}") } else { path }
    }
}

/// What follows the first block in braces.
fn after_block(tokens: &[Token]) -> &[Token] {
    let mut open = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => open += 1,
            "}" if open == 1 => return tokens.get(index + 1..).unwrap_or_default(),
            "}" => open = open.saturating_sub(1),
            // A module in a file of its own.
            ";" if open == 0 => return tokens.get(index + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    &[]
}

fn spread<'a>(
    start: String,
    tokens: &mut Peekable<impl Iterator<Item = &'a Token>>,
    paths: &mut Vec<(usize, String)>,
) {
    let line = tokens.peek().map_or(0, |token| token.line);
    let mut path = start;
    while let Some(token) = tokens.next_if(|token| is_word(&token.text)) {
        path.push_str(&token.text);
        if tokens.next_if(|token| token.text == "::").is_none() {
            paths.push((line, path));
            return;
        }
        path.push_str("::");
        if tokens.next_if(|token| token.text == "{").is_some() {
            while tokens.peek().is_some_and(|token| token.text != "}") {
                if tokens.next_if(|token| !is_word(&token.text)).is_none() {
                    spread(path.clone(), tokens, paths);
                }
            }
            tokens.next();
            return;
        }
    }
    // A glob, or a turbofish after a type.
    paths.push((line, path.trim_end_matches("::").to_owned()));
}

#[derive(Debug)]
struct Token {
    text: String,
    line: usize,
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Words, `::` and single signs; comments, strings and characters are cut.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let length = match first {
                c if c.is_alphanumeric() || c == '_' => {
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
                }
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            let text = rest.get(..length).unwrap_or_default();
            if !first.is_whitespace() {
                tokens.push(Token { text: text.to_owned(), line });
            }
            length
        });
        let (before, after) = rest.split_at(length);
        line += before.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Bytes of the comment or literal that `text` begins with.
fn skipped(text: &str) -> Option<usize> {
    let end = |from: usize, mark: &str| {
        text.get(from..).and_then(|rest| rest.find(mark)).map_or(text.len(), |at| from + at + mark.len())
    };
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    if let Some(rest) = text.strip_prefix("br").or_else(|| text.strip_prefix('r')) {
        let hashes = rest.bytes().take_while(|b| *b == b'#').count();
        if rest.get(hashes..).is_some_and(|rest| rest.starts_with('"')) {
            let from = text.len() - rest.len() + hashes + 1;
            return Some(end(from, &format!("\"{}", "#".repeat(hashes))));
        }
    }
    let mut chars = text.char_indices().skip(1);
    match text.chars().next()? {
        '"' => {
            let mut escaped = false;
            let close = chars.find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            Some(close.map_or(text.len(), |(at, _)| at + 1))
        }
        '\'' => match (chars.next()?, chars.next()?) {
            ((_, '\\'), (at, escape)) => Some(end(at + escape.len_utf8(), "'")),
            ((_, _), (at, '\'')) => Some(at + 1),
            // A lifetime.
            _ => None,
        },
        _ => None,
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}
