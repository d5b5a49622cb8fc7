//! The rules among routes: no two alike, none that nobody could reach, no headers that a backend
//! could confuse.

use std::collections::BTreeMap;

use super::super::key::KeyPath;
use super::Resolver;
use super::header::folded;
use super::origin::Site;
use super::provider::Providers;
use super::route::{Outline, Place};
use crate::gateway::EndpointPaths;
use crate::oidc::ResponseMode;
use crate::route::origin::{Host, Scheme};
use crate::route::path::PathPrefix;
use crate::route::{Auth, Methods, Required};

impl Resolver<'_> {
    pub(super) fn check_routes(
        &mut self,
        outlines: &[Outline],
        site: &Site,
        endpoints: Option<&EndpointPaths>,
        providers: &Providers,
    ) {
        for (index, outline) in outlines.iter().enumerate() {
            let earlier = outlines.get(..index).unwrap_or_default();
            self.refuse_second_id(outline, earlier);
            self.refuse_equal(outline, earlier);
            self.refuse_unreachable(outline, outlines, site);
            if let Some(endpoints) = endpoints {
                self.refuse_own_paths(outline, endpoints);
            }
            self.warn_of_weaker(outline, outlines);
        }
        self.refuse_aliases(outlines);
        self.refuse_form_post_on_plain_http(outlines, site, providers);
    }

    fn refuse_second_id(&mut self, outline: &Outline, earlier: &[Outline]) {
        if let Some(id) = &outline.id
            && let Some(other) = earlier.iter().find(|other| other.id.as_ref() == Some(id))
        {
            let why =
                format!("{} is called `{}` too: logs couldn't tell them apart", other.at, id.escape_debug());
            self.fault(&outline.at.key("id"), why, "a name of its own");
        }
    }

    fn refuse_equal(&mut self, outline: &Outline, earlier: &[Outline]) {
        let Some(place) = &outline.place else { return };
        let equal = |other: &&Outline| other.place.as_ref().is_some_and(|other| place.is_taken_by(other));
        if let Some(other) = earlier.iter().find(equal) {
            self.fault(
                &outline.at,
                format!("matches the same requests as {}: which one is meant?", other.named()),
                "another host, path or methods, or only one of the two",
            );
        }
    }

    /// A route without a host comes after every route that names the request's host.
    fn refuse_unreachable(&mut self, outline: &Outline, all: &[Outline], site: &Site) {
        let Some(place) = outline.place.as_ref().filter(|place| place.host.is_none() && !place.any_host)
        else {
            return;
        };
        let hosts = site.hosts();
        let shadows = |host: &Host| {
            all.iter().find(|other| {
                let other = other.place.as_ref();
                other.is_some_and(|other| other.host.as_ref() == Some(host) && other.covers(place))
            })
        };
        let shadowing: Option<Vec<_>> = hosts.iter().map(|host| shadows(host)).collect();
        if let Some([first, ..]) = shadowing.as_deref()
            && site.whole
        {
            self.fault(
                &outline.at,
                format!(
                    "no request can get here: every host has a route that takes the path before, such as {}",
                    first.named()
                ),
                "match: { host: … } as well, or leave the route out",
            );
        }
    }

    fn refuse_own_paths(&mut self, outline: &Outline, endpoints: &EndpointPaths) {
        let Some(place) = &outline.place else { return };
        let at = outline.at.key("match").key("path");
        let path = place.path.as_str();
        let under_prefix = PathPrefix::new(&endpoints.prefix, false).is_ok_and(|prefix| prefix.covers(path));
        if under_prefix {
            let why = format!("{} and everything beneath it are the gateway's own", endpoints.prefix);
            self.fault(&at, why, "another path, or another endpoints.prefix");
        } else if path == endpoints.callback {
            let why = "is where providers send people back to (endpoints.callback)";
            self.fault(&at, why, "another path, or another endpoints.callback");
        }
    }

    /// A weaker route beneath a stronger one that leads to the same server: what the stronger one
    /// protects may be had through the weaker one, if the service reads paths in its own way.
    fn warn_of_weaker(&mut self, outline: &Outline, all: &[Outline]) {
        let (Some(place), Some(auth), Some(server)) = (&outline.place, &outline.auth, &outline.server) else {
            return;
        };
        if self.is_reported(&outline.at) {
            return;
        }
        let stronger = all.iter().find(|other| {
            let beneath = other.place.as_ref().is_some_and(|other| other.reaches(place));
            let weaker = other.auth.as_ref().is_some_and(|theirs| is_weaker(auth, outline, theirs, other));
            other.at != outline.at && other.server.as_ref() == Some(server) && beneath && weaker
        });
        if let Some(stronger) = stronger {
            let what = if *auth == Auth::Public { "is public" } else { "asks for less" };
            let path = place.path.as_str();
            let (place_word, write) = if place.path.is_exact() {
                ("at", "nothing, if that is meant")
            } else {
                ("under", "nothing, if that is meant; exact: true keeps it to one path")
            };
            let stronger = stronger.named();
            self.warn(
                &outline.at,
                format!(
                    "{what}, beneath {stronger} on the same upstream: whatever the service answers \
                     {place_word} {path} is open to more people"
                ),
                write,
            );
        }
    }

    /// Two spellings of what a backend could take for one header.
    fn refuse_aliases(&mut self, outlines: &[Outline]) {
        let mut managed: BTreeMap<String, (String, &Outline)> = BTreeMap::new();
        for outline in outlines {
            let Some(mapping) = &outline.identity else { continue };
            let mut of_route: Vec<&str> = Vec::new();
            for header in &mapping.headers {
                let name = header.name.as_str();
                let at = self.header_path(outline, name);
                if of_route.contains(&name) {
                    self.fault_of_key(&at, "stands here twice in different case", "each header once");
                }
                of_route.push(name);
                match managed.get(&folded(name)) {
                    Some((other, of)) if !other.eq_ignore_ascii_case(name) => self.fault_of_key(
                        &at,
                        format!(
                            "a backend could confuse it with {other} of {}: only dashes and underscores differ",
                            of.named()
                        ),
                        "the same spelling everywhere, or a name that differs in its letters",
                    ),
                    Some(_) => {}
                    None => {
                        managed.insert(folded(name), (at.last_key().unwrap_or(name).to_owned(), outline));
                    }
                }
            }
        }
        for outline in outlines {
            for (name, _) in &outline.request_headers.set {
                let Some((_, of)) = managed.get(&folded(name.as_str())) else { continue };
                let set_at = outline.at.key("request_headers").key("set");
                let at = self.in_case_of_file(&set_at, name.as_str());
                self.fault_of_key(
                    &at,
                    format!("carries an identity for {}: a fixed value would pose as a person", of.named()),
                    "another name",
                );
            }
        }
    }

    fn header_path(&self, outline: &Outline, name: &str) -> KeyPath {
        self.in_case_of_file(&outline.at.key("identity").key("headers"), name)
    }

    /// A key by a name whose case has been folded.
    fn in_case_of_file(&self, parent: &KeyPath, name: &str) -> KeyPath {
        let keys = self.tree.find(parent).into_iter().flat_map(super::super::tree::Node::keys);
        let written = keys.filter(|key| key.eq_ignore_ascii_case(name)).last();
        parent.key(written.unwrap_or(name))
    }

    fn refuse_form_post_on_plain_http(&mut self, outlines: &[Outline], site: &Site, providers: &Providers) {
        for (name, config) in providers {
            if config.as_ref().is_none_or(|config| config.response_mode != ResponseMode::FormPost) {
                continue;
            }
            let plain = site.origins.iter().filter(|origin| origin.scheme == Scheme::Http);
            let used = plain.into_iter().find(|origin| {
                outlines.iter().any(|outline| {
                    let uses =
                        matches!(&outline.auth, Some(Auth::Session { provider, .. }) if provider == name);
                    let host = outline.place.as_ref().and_then(|place| place.host.as_ref());
                    uses && host.is_none_or(|host| *host == origin.host)
                })
            });
            if let Some(origin) = used {
                self.fault(
                    &KeyPath::root().key("providers").key(name.as_str()).key("response_mode"),
                    format!(
                        "form_post needs https, but {origin} is served for this provider: browsers send no \
                         cookie with a post across sites unless it is Secure"
                    ),
                    "query, or https origins",
                );
            }
        }
    }
}

impl Outline {
    fn named(&self) -> String {
        self.id.as_ref().map_or_else(|| self.at.to_string(), |id| format!("route {}", id.escape_debug()))
    }
}

impl Place {
    /// Whether both match the same path of the same host, and share a method.
    fn is_taken_by(&self, other: &Self) -> bool {
        self.host == other.host
            && self.path == other.path
            && self.any_host == other.any_host
            && share_method(&self.methods, &other.methods)
    }

    /// Whether every path of `other` is one of this place.
    fn covers(&self, other: &Self) -> bool {
        (!self.path.is_exact() || other.path.is_exact()) && self.path.covers(other.path.as_str())
    }

    /// Whether `other` lies beneath this place on some host.
    fn reaches(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (Some(host), Some(other)) => host == other,
            _ => true,
        };
        hosts && self.covers(other)
    }
}

fn share_method(a: &Methods, b: &Methods) -> bool {
    match (a, b) {
        (Methods::Any, _) | (_, Methods::Any) => true,
        (Methods::Only(methods), other) => methods.iter().any(|method| other.takes(method)),
    }
}

fn is_weaker(auth: &Auth, outline: &Outline, theirs: &Auth, other: &Outline) -> bool {
    let Auth::Session { required: Required::Yes, .. } = theirs else { return false };
    match auth {
        Auth::Public | Auth::Session { required: Required::Optional, .. } => true,
        Auth::Session { required: Required::Yes, .. } => {
            other.require.entries.iter().any(|entry| !outline.require.entries.contains(entry))
        }
    }
}
