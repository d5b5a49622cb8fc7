//! Which application asks, at the endpoints that applications call themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::answer::OAuthError;
use super::client::{Client, Resource, TokenEndpointAuthMethod};
use super::endpoint::Inbound;
use super::environment::Environment;
use crate::seal::sha256;

/// What a request presents.
struct Credentials {
    method: TokenEndpointAuthMethod,
    client_id: String,
    secret: Option<SecretString>,
}

/// An application, or a resource at the introspection endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller<'e> {
    Client(&'e Client),
    Resource(&'e Resource),
}

/// The application that a request proves to come from, by the one method it is registered for.
pub(super) fn authenticate<'e>(
    environment: &'e Environment,
    inbound: &Inbound,
) -> Result<&'e Client, OAuthError> {
    let credentials = Credentials::read(inbound)?;
    let client = environment.client(&credentials.client_id).ok_or_else(|| credentials.refused(WRONG))?;
    credentials.prove(client.token_endpoint_auth_method, client.secret.as_ref())?;
    Ok(client)
}

/// The same, for applications and for custom resources with their id and secret.
pub(super) fn authenticate_introspector<'e>(
    environment: &'e Environment,
    inbound: &Inbound,
) -> Result<Caller<'e>, OAuthError> {
    let credentials = Credentials::read(inbound)?;
    let id = &credentials.client_id;
    let Some(resource) = environment.options.resources.iter().find(|resource| resource.id == *id) else {
        return authenticate(environment, inbound).map(Caller::Client);
    };
    // `introspectEndpointAuthMethod` isn't modelled: a resource may use either form of its secret.
    let method = match credentials.method {
        TokenEndpointAuthMethod::None => TokenEndpointAuthMethod::ClientSecretBasic,
        either => either,
    };
    credentials.prove(method, Some(&resource.secret))?;
    Ok(Caller::Resource(resource))
}

const WRONG: &str = "Request denied: Invalid client credentials";
const UNSUPPORTED: &str = "Request denied: Unsupported authentication method";

impl Credentials {
    fn read(inbound: &Inbound) -> Result<Self, OAuthError> {
        let form_id = inbound.parameters.get("client_id");
        let form_secret = inbound.parameters.get("client_secret");
        let Some(header) = inbound.headers.get(AUTHORIZATION) else {
            let client_id = form_id.ok_or_else(|| denied(WRONG))?.to_owned();
            let method = match form_secret {
                Some(_) => TokenEndpointAuthMethod::ClientSecretPost,
                None => TokenEndpointAuthMethod::None,
            };
            return Ok(Self { method, client_id, secret: form_secret.map(SecretString::from) });
        };
        let (client_id, secret) =
            header.to_str().ok().and_then(basic).ok_or_else(|| challenged(denied(WRONG)))?;
        // RFC 6749 §2.3: one method in each request.
        if form_secret.is_some() || form_id.is_some_and(|id| id != client_id) {
            return Err(challenged(denied(UNSUPPORTED)));
        }
        let method = TokenEndpointAuthMethod::ClientSecretBasic;
        Ok(Self { method, client_id, secret: Some(secret) })
    }

    fn prove(
        &self,
        registered: TokenEndpointAuthMethod,
        expected: Option<&SecretString>,
    ) -> Result<(), OAuthError> {
        if self.method != registered {
            return Err(self.refused(UNSUPPORTED));
        }
        let proven = match (&self.secret, expected) {
            (Some(given), Some(expected)) => {
                let hash = |secret: &SecretString| sha256(secret.expose_secret().as_bytes());
                bool::from(hash(given).ct_eq(&hash(expected)))
            }
            // A public client names itself and proves nothing.
            (None, _) => registered == TokenEndpointAuthMethod::None,
            (Some(_), None) => false,
        };
        if proven { Ok(()) } else { Err(self.refused(WRONG)) }
    }

    /// [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2): who tried a header is
    /// told which scheme would do.
    fn refused(&self, description: &str) -> OAuthError {
        match self.method {
            TokenEndpointAuthMethod::ClientSecretBasic => challenged(denied(description)),
            TokenEndpointAuthMethod::ClientSecretPost | TokenEndpointAuthMethod::None => denied(description),
        }
    }
}

fn denied(description: &str) -> OAuthError {
    OAuthError { status: StatusCode::UNAUTHORIZED, ..OAuthError::new("invalid_client", description) }
}

fn challenged(error: OAuthError) -> OAuthError {
    OAuthError { challenge: Some("Basic realm=\"PingOne\""), ..error }
}

/// [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1): both halves are
/// form-encoded before they are joined.
fn basic(header: &str) -> Option<(String, SecretString)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?.into()))
}

fn form_decoded(text: &str) -> Option<String> {
    // As the name of a pair; a bare `&` or `=` never comes out of form encoding.
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    match (pairs.next(), pairs.next()) {
        (None, _) => Some(String::new()),
        (Some((name, value)), None) if value.is_empty() && !text.contains('=') => Some(name.into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::emulator::addresses::Shape;
    use crate::emulator::options::Options;
    use crate::emulator::parameters::Parameters;
    use crate::emulator::tests::environment;

    fn inbound(authorization: Option<&str>, form: &str) -> Inbound {
        let mut headers = http::HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        let parameters = Parameters::parse(form.as_bytes()).unwrap();
        Inbound { shape: Shape::Environment, method: http::Method::POST, headers, parameters }
    }

    fn header(joined: &str) -> String {
        format!("Basic {}", STANDARD.encode(joined))
    }

    fn options() -> Options {
        let post = Client {
            token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretPost,
            ..Client::confidential("post", "se:cret &=")
        };
        let basic = Client::confidential("basic", "se:cret &=");
        Options { clients: vec![basic, post, Client::public("none")], ..Options::demo() }
    }

    const SECRET: &str = "se%3Acret+%26%3D";

    #[rstest]
    #[case::basic(Some(format!("basic:{SECRET}")), "", Ok("basic"))]
    #[case::post(None, format!("client_id=post&client_secret={SECRET}"), Ok("post"))]
    #[case::none(None, "client_id=none", Ok("none"))]
    #[case::basic_with_its_id(Some(format!("basic:{SECRET}")), "client_id=basic", Ok("basic"))]
    #[case::wrong_secret(Some("basic:wrong".to_owned()), "", Err(WRONG))]
    #[case::unknown(Some(format!("other:{SECRET}")), "", Err(WRONG))]
    #[case::nobody(None, "", Err(WRONG))]
    #[case::secret_in_the_form(None, format!("client_id=basic&client_secret={SECRET}"), Err(UNSUPPORTED))]
    #[case::secret_in_the_header(Some(format!("post:{SECRET}")), "", Err(UNSUPPORTED))]
    #[case::no_secret(None, "client_id=basic", Err(UNSUPPORTED))]
    #[case::a_public_client_with_a_secret(None, "client_id=none&client_secret=x", Err(UNSUPPORTED))]
    #[case::both(Some(format!("basic:{SECRET}")), format!("client_id=basic&client_secret={SECRET}"), Err(UNSUPPORTED))]
    #[case::two_clients(Some(format!("basic:{SECRET}")), "client_id=none", Err(UNSUPPORTED))]
    fn takes_the_registered_method_alone(
        #[case] joined: Option<String>,
        #[case] form: impl AsRef<str>,
        #[case] expected: Result<&str, &str>,
    ) {
        let environment = environment(options());
        let inbound = inbound(joined.as_deref().map(header).as_deref(), form.as_ref());
        let got = authenticate(&environment, &inbound);
        match (got, expected) {
            (Ok(client), Ok(id)) => assert_eq!(client.id, id),
            (Err(error), Err(description)) => {
                assert_eq!(error.status, StatusCode::UNAUTHORIZED);
                assert_eq!(error.error, "invalid_client");
                assert_eq!(error.description, description);
                assert_eq!(error.challenge.is_some(), joined.is_some());
            }
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[rstest]
    #[case::not_basic("Bearer abc")]
    #[case::not_base64("Basic ???")]
    #[case::no_colon("Basic YWJj")]
    fn refuses_another_header(#[case] value: &str) {
        let environment = environment(options());
        let error = authenticate(&environment, &inbound(Some(value), "client_id=none")).unwrap_err();
        assert_eq!(error.status, StatusCode::UNAUTHORIZED);
    }
}
