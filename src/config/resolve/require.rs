//! `routes[].require`: who may pass.

use super::super::file::route::Requirement as RequirementFile;
use super::super::key::KeyPath;
use super::super::values::List;
use super::Resolver;
use crate::policy::{Policy, Requirement};
use crate::route::origin::Host;

impl Resolver<'_> {
    pub(super) fn policy(&mut self, at: &KeyPath, require: Option<&List<RequirementFile>>) -> Policy {
        let Some(require) = require else { return Policy::default() };
        if require.is_empty() {
            self.fault(
                at,
                "is an empty list: it could mean nobody as well as everybody",
                "at least one entry, or no require at all for everybody who is signed in",
            );
        }
        let entries =
            require.items().map(|(index, entry)| self.requirement(&at.item(index), entry)).collect();
        Policy { entries }
    }

    fn requirement(&mut self, at: &KeyPath, entry: &RequirementFile) -> Requirement {
        let groups = self.names(&at.key("groups"), entry.groups.as_ref());
        let emails = self.names(&at.key("emails"), entry.emails.as_ref());
        let domains = self.names(&at.key("domains"), entry.domains.as_ref());
        for (index, email) in emails.iter().enumerate() {
            let halves = email.split_once('@');
            if !halves.is_some_and(|(local, domain)| !local.is_empty() && is_domain(domain)) {
                let why = "is not an e-mail address";
                self.fault(&at.key("emails").item(index), why, "an address in full, such as ann@example.com");
            }
        }
        for (index, domain) in domains.iter().enumerate() {
            if !is_domain(domain) {
                let write = domain.rsplit('@').next().filter(|domain| is_domain(domain));
                self.fault(
                    &at.key("domains").item(index),
                    "is not a domain; subdomains are listed one by one",
                    write.unwrap_or("example.com"),
                );
            }
        }
        let written = [&entry.groups, &entry.emails, &entry.domains].into_iter().any(Option::is_some);
        if !written && !self.is_reported(at) {
            self.fault(at, "asks for nothing", "groups, emails or domains");
        }
        Requirement { groups, emails, domains }
    }

    fn names(&mut self, at: &KeyPath, names: Option<&List<String>>) -> Vec<String> {
        let Some(names) = names else { return Vec::new() };
        if names.is_empty() {
            self.fault(at, "is an empty list, which nobody could be in", "at least one name");
        }
        for (index, name) in names.items() {
            if name.is_empty() {
                self.fault(&at.item(index), "is empty", "a name");
            }
        }
        names.items().map(|(_, name)| name.clone()).collect()
    }
}

fn is_domain(text: &str) -> bool {
    Host::parse(text).is_ok() && !text.starts_with(['[', '.'])
}
