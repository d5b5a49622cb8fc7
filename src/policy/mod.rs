//! Who may pass: `require`, decided over an identity. Pure.
//!
//! In one entry different keys must all hold; `groups`, `emails` and `domains` mean any of. All
//! entries must hold. Without an entry any signed-in identity passes.
//!
//! An e-mail address counts only when the provider has verified it and it can be read in one way:
//! addresses that parsers disagree on (quotes, comments, several `@`) match no rule.

use crate::identity::Identity;

/// `routes[].require`, resolved. Empty means any signed-in identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// All must hold.
    pub entries: Vec<Requirement>,
}

/// One entry of `require`: every list that isn't empty must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Any of these groups, compared byte by byte.
    pub groups: Vec<String>,
    /// Any of these addresses, domain part in any case.
    pub emails: Vec<String>,
    /// Any of these domains of a verified address.
    pub domains: Vec<String>,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Allow,
    /// It doesn't; the name of the key that failed, for the log.
    Deny(&'static str),
}

impl Policy {
    /// Decides for one identity.
    #[must_use]
    pub fn evaluate(&self, identity: &Identity) -> Verdict {
        let failed = self.entries.iter().find_map(|entry| entry.failed_key(identity));
        failed.map_or(Verdict::Allow, Verdict::Deny)
    }
}

/// One key of an entry, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clause<'a> {
    /// The key: `groups`, `emails`, `domains`.
    pub key: &'static str,
    /// What it lists.
    pub any_of: &'a [String],
    /// Whether the identity has one of them.
    pub holds: bool,
}

impl Requirement {
    /// The first key that doesn't hold.
    fn failed_key(&self, identity: &Identity) -> Option<&'static str> {
        self.clauses(identity).find(|clause| !clause.holds).map(|clause| clause.key)
    }

    /// Every key that the entry has, in the order in which they are decided.
    pub fn clauses(&self, identity: &Identity) -> impl Iterator<Item = Clause<'_>> {
        type Holds = fn(&[String], &Identity) -> bool;
        let keys: [(&'static str, &[String], Holds); 3] = [
            ("groups", &self.groups, is_in_a_group),
            ("emails", &self.emails, has_an_address),
            ("domains", &self.domains, has_an_address_of_a_domain),
        ];
        let asked = keys.into_iter().filter(|(_, any_of, _)| !any_of.is_empty());
        asked.map(|(key, any_of, holds)| Clause { key, any_of, holds: holds(any_of, identity) })
    }
}

fn is_in_a_group(any_of: &[String], identity: &Identity) -> bool {
    identity.groups().any(|group| any_of.iter().any(|asked| asked == group))
}

fn has_an_address(any_of: &[String], identity: &Identity) -> bool {
    let is = |address| any_of.iter().filter_map(|asked| Address::parse(asked)).any(|asked| asked.is(address));
    identity.verified_email().and_then(Address::parse).is_some_and(is)
}

/// The domain itself and nothing below it: `example.com` is not `x.example.com`.
fn has_an_address_of_a_domain(any_of: &[String], identity: &Identity) -> bool {
    let address = identity.verified_email().and_then(Address::parse);
    address.is_some_and(|address| any_of.iter().any(|asked| asked.eq_ignore_ascii_case(address.domain)))
}

/// An e-mail address that can be read in one way only: a `Dot-string` (or a list of atoms with
/// empty ones between, as some providers give out) and a DNS name
/// ([RFC 5321 §4.1.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2)), neither quoted.
/// `%` and `!` are atoms to the RFC, but old mailers route by them to another domain.
#[derive(Debug, Clone, Copy)]
struct Address<'a> {
    local: &'a str,
    domain: &'a str,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b".#$&'*+-/=?^_`{|}~".contains(&byte);
        let one_way = !local.is_empty() && local.bytes().all(is_atom) && is_dns_name(domain);
        one_way.then_some(Self { local, domain })
    }

    /// The local part is the mail server's own business, so its case counts; the domain's doesn't.
    fn is(self, other: Address<'_>) -> bool {
        self.local == other.local && self.domain.eq_ignore_ascii_case(other.domain)
    }
}

fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::tests::identity;
    use crate::identity::{ClaimNames, EmailVerified};

    fn list(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    fn entry(groups: &[&str], emails: &[&str], domains: &[&str]) -> Requirement {
        Requirement { groups: list(groups), emails: list(emails), domains: list(domains) }
    }

    fn decide(entries: Vec<Requirement>, claims: &Value) -> Verdict {
        Policy { entries }.evaluate(&identity(claims))
    }

    #[test]
    fn without_rules_any_identity_passes() {
        assert_eq!(Policy::default().evaluate(&identity(&json!({}))), Verdict::Allow);
    }

    #[rstest]
    #[case::one_of_them(json!(["x", "staff"]), Verdict::Allow)]
    #[case::a_single_string(json!("staff"), Verdict::Allow)]
    #[case::another_case(json!(["Staff"]), Verdict::Deny("groups"))]
    #[case::a_longer_name(json!(["staff2"]), Verdict::Deny("groups"))]
    #[case::a_blank_behind(json!(["staff "]), Verdict::Deny("groups"))]
    #[case::a_joined_list(json!("x,staff"), Verdict::Deny("groups"))]
    #[case::none(json!([]), Verdict::Deny("groups"))]
    #[case::null(json!(null), Verdict::Deny("groups"))]
    #[case::an_object(json!({"staff": true}), Verdict::Deny("groups"))]
    #[case::a_list_inside(json!([["staff"]]), Verdict::Deny("groups"))]
    fn groups_are_compared_byte_by_byte(#[case] groups: Value, #[case] verdict: Verdict) {
        assert_eq!(decide(vec![entry(&["staff", "it"], &[], &[])], &json!({ "groups": groups })), verdict);
    }

    #[test]
    fn an_absent_claim_denies() {
        assert_eq!(decide(vec![entry(&["staff"], &[], &[])], &json!({})), Verdict::Deny("groups"));
        assert_eq!(decide(vec![entry(&[], &["a@b.test"], &[])], &json!({})), Verdict::Deny("emails"));
        assert_eq!(decide(vec![entry(&[], &[], &["b.test"])], &json!({})), Verdict::Deny("domains"));
    }

    #[rstest]
    #[case::all_keys("kim@example.com", json!(["staff"]), Verdict::Allow)]
    #[case::other_group("kim@example.com", json!(["guests"]), Verdict::Deny("groups"))]
    #[case::other_address("joe@example.com", json!(["staff"]), Verdict::Deny("emails"))]
    fn keys_of_one_entry_hold_together(#[case] email: &str, #[case] groups: Value, #[case] verdict: Verdict) {
        let rule = entry(&["staff"], &["kim@example.com"], &["example.com"]);
        let claims = json!({ "email": email, "email_verified": true, "groups": groups });
        assert_eq!(decide(vec![rule], &claims), verdict);
    }

    #[test]
    fn entries_hold_together() {
        let rules = vec![entry(&["staff"], &[], &[]), entry(&["finance"], &[], &[])];
        assert_eq!(decide(rules.clone(), &json!({ "groups": ["staff", "finance"] })), Verdict::Allow);
        assert_eq!(decide(rules.clone(), &json!({ "groups": ["staff"] })), Verdict::Deny("groups"));
        assert_eq!(decide(rules, &json!({ "groups": ["finance"] })), Verdict::Deny("groups"));
    }

    #[rstest]
    #[case::as_written("kim@example.com", true)]
    #[case::domain_in_upper_case("kim@EXAMPLE.com", true)]
    #[case::tagged("kim+x@example.com", true)]
    #[case::below("kim@x.example.com", false)]
    #[case::longer("kim@notexample.com", false)]
    #[case::suffix("kim@example.com.evil.test", false)]
    #[case::trailing_dot("kim@example.com.", false)]
    #[case::two_ats("kim@evil.test@example.com", false)]
    #[case::two_ats_behind("kim@example.com@evil.test", false)]
    #[case::quoted("\"kim@evil.test\"@example.com", false)]
    #[case::quoted_at_front("\"kim\"@example.com", false)]
    #[case::comma("kim@evil.test,x@example.com", false)]
    #[case::comma_in_local("a,kim@example.com", false)]
    #[case::display_name("Kim <kim@example.com>", false)]
    #[case::comment("kim@example.com(evil.test)", false)]
    #[case::blank("kim@example.com ", false)]
    #[case::blank_in_front(" kim@example.com", false)]
    #[case::line_break("kim@evil.test\n@example.com", false)]
    #[case::nul("kim@example.com\0.evil.test", false)]
    #[case::no_local("@example.com", false)]
    #[case::no_domain("kim@", false)]
    #[case::no_at("example.com", false)]
    #[case::back_slash("kim\\@example.com", false)]
    #[case::full_width("kim@example．com", false)]
    #[case::kelvin_sign("\u{212a}im@example.com", false)]
    #[case::address_literal("kim@[127.0.0.1]", false)]
    #[case::percent_route("kim%evil.test@example.com", false)]
    #[case::bang_path("evil.test!kim@example.com", false)]
    fn a_domain_is_read_strictly(#[case] email: &str, #[case] allowed: bool) {
        let rule = vec![entry(&[], &[], &["Example.com", "other.test"])];
        let verdict = decide(rule, &json!({ "email": email, "email_verified": true }));
        assert_eq!(verdict, if allowed { Verdict::Allow } else { Verdict::Deny("domains") }, "{email:?}");
    }

    #[rstest]
    #[case("kim@example.com", Verdict::Allow)]
    #[case("kim@EXAMPLE.COM", Verdict::Allow)]
    #[case("Kim@example.com", Verdict::Deny("emails"))]
    #[case("kim@example.org", Verdict::Deny("emails"))]
    fn an_address_is_compared_exactly_but_for_the_case_of_its_domain(
        #[case] email: &str,
        #[case] verdict: Verdict,
    ) {
        let rule = vec![entry(&[], &["kim@Example.com"], &[])];
        assert_eq!(decide(rule, &json!({ "email": email, "email_verified": true })), verdict);
    }

    #[rstest]
    #[case(json!(true), Verdict::Allow)]
    #[case(json!(false), Verdict::Deny("domains"))]
    #[case(json!(null), Verdict::Deny("domains"))]
    #[case(json!(1), Verdict::Deny("domains"))]
    #[case(json!("yes"), Verdict::Deny("domains"))]
    fn an_address_counts_only_when_verified(#[case] verified: Value, #[case] verdict: Verdict) {
        let rule = vec![entry(&[], &[], &["example.com"])];
        let claims = json!({ "email": "kim@example.com", "email_verified": verified });
        assert_eq!(decide(rule, &claims), verdict);
    }

    #[test]
    fn an_operator_may_vouch_for_the_addresses_of_a_provider() {
        let mut kim = identity(&json!({ "email": "kim@example.com" }));
        kim.names = Arc::new(ClaimNames { email_verified: EmailVerified::Assume, ..ClaimNames::default() });
        let policy = Policy { entries: vec![entry(&[], &[], &["example.com"])] };
        assert_eq!(policy.evaluate(&kim), Verdict::Allow);
    }

    proptest! {
        #[test]
        fn what_passes_a_domain_rule_ends_with_the_only_at_and_that_domain(email in "[a-z@., \"<>\\\\]{0,6}@example\\.com") {
            let rule = vec![entry(&[], &[], &["example.com"])];
            if decide(rule, &json!({ "email": email, "email_verified": true })) == Verdict::Allow {
                prop_assert_eq!(email.matches('@').count(), 1);
                prop_assert!(email.ends_with("@example.com"));
            }
        }
    }
}
