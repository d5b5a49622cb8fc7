//! The mistakes a provider can make, one name each.

/// A mistake. The comment says what the relying party must do about it; without one it refuses
/// the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: accept.
    None,

    // Claims of the ID token.
    InvalidIss,
    MissingSub,
    InvalidAud,
    MissingAud,
    /// Ours and another audience.
    ExtraAud,
    /// `azp` names another client.
    AzpOther,
    MissingIat,
    IatFuture,
    MissingExp,
    /// Expired beyond the clock skew of 60 s.
    ExpPast,
    /// Expired within the clock skew: accept.
    ExpWithinSkew,
    NonceInvalid,
    NonceMissing,
    AtHashWrong,
    /// The payload names `sub` twice.
    DuplicateMembers,
    /// `nbf` beyond the clock skew.
    NbfFuture,

    // Header and signature of the ID token.
    /// One key is published, the token names none: accept.
    KidAbsentSingleJwks,
    /// Several keys are published, the token names none: try all or refuse.
    KidAbsentMultipleJwks,
    SigNone,
    InvalidSigRs256,
    /// RS512: fits the key, isn't among `id_token_algorithms`.
    WrongAlg,
    /// HMAC with the public key's PEM as the secret.
    Hs256WithPublicKey,
    /// HMAC with the client secret, which isn't among `id_token_algorithms`.
    Hs256WithSecret,
    /// An attacker's key in `jwk`, and an address of one in `jku`; neither is used.
    EmbeddedKey,
    /// An unknown name in `crit`.
    Crit,
    /// Not a JWT at all.
    TokenGarbage,

    // Userinfo.
    UserinfoInvalidSub,
    UserinfoFails,

    // The authorization response.
    IssParamWrong,
    IssParamMissingThoughAdvertised,
    /// Never advertised, sent all the same, and of another issuer.
    IssParamWrongUnadvertised,
    IssParamTwice,
    /// An error response with another issuer's `iss`.
    IssParamWrongOnError,
    /// `iss` with a trailing slash.
    IssParamTrailingSlash,
    StateWrong,
    StateMissing,
    /// `error=access_denied`.
    AccessDenied,

    // Metadata and keys.
    DiscoveryIssuerMismatch,
    /// `issuer` with a trailing slash.
    DiscoveryIssuerSlash,
    /// 302 to where the true metadata is.
    DiscoveryRedirect,
    DiscoveryHtml,
    /// More than a megabyte.
    DiscoveryHuge,
    DiscoveryDown,
    JwksEmpty,
    JwksHtml,
    Jwks500,

    // The token endpoint.
    Token500,
    TokenHtml,
    /// Answers after everyone's patience.
    TokenSlow,
    /// Answers after 700 ms: accept.
    TokenAfterAPause,
    TokenTruncated,
    TokenMissingIdToken,
    /// `token_type: bEARER`: accept.
    TokenTypeOddCase,
    /// `token_type: mac`.
    TokenTypeOther,

    /// Every connection is closed without an answer.
    Down,
}
