//! Forms and links of an HTML page, found without knowing the page.

/// A form with its fields as the page came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) method: String,
    /// Name, type and value of every named input and button.
    pub(crate) fields: Vec<(String, String, String)>,
}

impl Form {
    /// Whether a field has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(n, _, _)| n == name)
    }

    /// Whether nothing is left for a person to fill in.
    pub(crate) fn is_hidden(&self) -> bool {
        self.fields.iter().all(|(_, kind, _)| matches!(kind.as_str(), "hidden" | "submit"))
    }

    /// Without its buttons, which a script that submits it doesn't press.
    pub(crate) fn without_buttons(mut self) -> Self {
        self.fields.retain(|(_, kind, _)| kind != "submit");
        self
    }

    /// Writes a value into a field, adding it when it isn't there.
    pub(crate) fn fill(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(n, _, _)| n == name) {
            Some((_, _, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), "text".to_owned(), value.to_owned())),
        }
    }

    /// Action and fields as one address, to see where the form leads.
    pub(crate) fn address(&self) -> String {
        format!("{}?{}", self.action, self.encoded())
    }

    /// The fields as `application/x-www-form-urlencoded`.
    pub(crate) fn encoded(&self) -> String {
        let pairs = self.fields.iter().map(|(name, _, value)| (name, value));
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

/// Every form of a page.
pub(crate) fn forms(page: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open = false;
    for (name, attributes) in tags(page) {
        match name.as_str() {
            "form" => {
                open = true;
                let method = attribute(&attributes, "method").unwrap_or("get".to_owned());
                let action = attribute(&attributes, "action").unwrap_or_default();
                forms.push(Form { action, method: method.to_ascii_uppercase(), fields: Vec::new() });
            }
            "/form" => open = false,
            "input" | "button" if open => {
                let Some(field) = attribute(&attributes, "name") else { continue };
                let usual = if name == "button" { "submit" } else { "text" };
                let kind = attribute(&attributes, "type").unwrap_or(usual.to_owned()).to_ascii_lowercase();
                let value = attribute(&attributes, "value").unwrap_or_default();
                if let Some(form) = forms.last_mut() {
                    form.fields.push((field, kind, value));
                }
            }
            _ => {}
        }
    }
    forms
}

/// The `href` of every link of a page.
pub(crate) fn links(page: &str) -> Vec<String> {
    let anchors = tags(page).into_iter().filter(|(name, _)| name == "a");
    anchors.filter_map(|(_, attributes)| attribute(&attributes, "href")).collect()
}

type Attributes = Vec<(String, String)>;

fn attribute(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
}

fn tags(page: &str) -> Vec<(String, Attributes)> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = rest.get(start + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let length = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        let (attributes, after) = attributes(after);
        rest = after;
        tags.push((name.trim_end_matches('/').to_ascii_lowercase(), attributes));
    }
    tags
}

fn attributes(mut rest: &str) -> (Attributes, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (found, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (found, after);
        }
        let length =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(length.max(1));
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => quoted(after.trim_start()),
            None => ("", after),
        };
        found.push((name.to_ascii_lowercase(), unescape(value)));
        rest = after;
    }
}

fn quoted(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(text) = text.strip_prefix(quote) {
            return text.split_once(quote).unwrap_or((text, ""));
        }
    }
    text.split_at(text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len()))
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        let (character, after) = entity.unwrap_or(('&', after));
        out.push(character);
        rest = after;
    }
    out + rest
}

fn character(name: &str) -> Option<char> {
    let number = name.strip_prefix('#');
    let code = match number.map(|n| n.strip_prefix(['x', 'X']).ok_or(n)) {
        Some(Ok(hex)) => u32::from_str_radix(hex, 16).ok()?,
        Some(Err(decimal)) => decimal.parse().ok()?,
        None => u32::from(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        }),
    };
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_form_whatever_its_quotes_and_entities() {
        let page = r#"<!-- <form action="/no"> --><h1>a &lt; b</h1>
            <form method='post' action="/as/sign&#x2F;on?a=1&amp;b=2"><input type=hidden name=flow value="&quot;x&quot;">
            <input name="username"/><input type="password" name="password" required><button name=go value=1>Go</button></form>"#;
        let [form] = forms(page).try_into().unwrap();
        assert_eq!((form.action.as_str(), form.method.as_str()), ("/as/sign/on?a=1&b=2", "POST"));
        assert!(form.has("username") && form.has("password") && !form.is_hidden());
        assert_eq!(form.encoded(), "flow=%22x%22&username=&password=&go=1");
    }

    #[test]
    fn finds_links() {
        assert_eq!(links(r#"<a class=x href="/a?b=1&amp;c=2">go</a><area href=/no>"#), ["/a?b=1&c=2"]);
    }
}
