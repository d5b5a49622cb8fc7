//! Signing out at the provider
//! ([RP-Initiated Logout 1.0 §2](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout)).

use url::Url;

use super::Config;
use super::discovery::Metadata;

/// What a sign-out tells the provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogoutParams<'a> {
    pub(super) id_token_hint: Option<&'a str>,
    pub(super) logout_hint: Option<&'a str>,
    pub(super) post_logout_redirect_uri: &'a str,
    pub(super) state: &'a str,
}

/// Where to send the browser; `None` when the provider has no such endpoint.
///
/// `client_id` is in every request, so that the provider can check the return address even when
/// there is no `id_token_hint`.
pub(super) fn end_session_url(config: &Config, metadata: &Metadata, params: LogoutParams<'_>) -> Option<Url> {
    let mut url = metadata.end_session_endpoint.clone()?;
    {
        let mut query = url.query_pairs_mut();
        let hints = [("id_token_hint", params.id_token_hint), ("logout_hint", params.logout_hint)];
        query.extend_pairs(hints.into_iter().filter_map(|(name, value)| Some((name, value?))));
        query
            .append_pair("client_id", &config.client_id)
            .append_pair("post_logout_redirect_uri", params.post_logout_redirect_uri)
            .append_pair("state", params.state);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    const PARAMS: LogoutParams<'_> = LogoutParams {
        id_token_hint: None,
        logout_hint: None,
        post_logout_redirect_uri: "https://app.example.com/.vestibule/signed-out",
        state: "s",
    };

    #[test]
    fn names_the_client_in_every_request() {
        let url = end_session_url(&testing::config(), &testing::read_metadata(), PARAMS).unwrap();
        assert_eq!(
            url.as_str(),
            "https://idp.example.com/as/signoff?client_id=app\
             &post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F.vestibule%2Fsigned-out&state=s"
        );
    }

    #[test]
    fn gives_the_hints_it_has() {
        let params = LogoutParams { id_token_hint: Some("e30.e30.AA"), logout_hint: Some("ann"), ..PARAMS };
        let url = end_session_url(&testing::config(), &testing::read_metadata(), params).unwrap();
        assert!(url.as_str().contains("?id_token_hint=e30.e30.AA&logout_hint=ann&client_id=app&"));
    }

    #[test]
    fn goes_nowhere_without_an_endpoint() {
        let mut metadata = testing::read_metadata();
        metadata.end_session_endpoint = None;
        assert_eq!(end_session_url(&testing::config(), &metadata, PARAMS), None);
    }
}
