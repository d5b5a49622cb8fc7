//! The mistakes a provider can make, one name each.

/// A mistake. The comment says what the relying party must do about it; without one it refuses
/// the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: accept.
    None,

    // Claims of the ID token.
    InvalidIss,
    MissingIss,
    MissingSub,
    InvalidAud,
    MissingAud,
    /// Ours alone, in a list: accept.
    AudAsArray,
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
    /// No `auth_time`.
    AuthTimeMissing,
    /// Signed in ten minutes ago, says `auth_time`.
    AuthTimeOld,
    /// Signed in a minute and a half ago.
    AuthTimeWithinSkew,
    /// Signing in is ten minutes away, says `auth_time`.
    AuthTimeFuture,
    AtHashWrong,
    /// Not sent, as the code flow allows: accept.
    AtHashMissing,
    /// Claims whose values lie elsewhere; never fetched: accept.
    DistributedClaims,
    /// What isn't about the token itself is in userinfo alone: accept.
    ClaimsInUserinfoOnly,
    /// The payload names `sub` twice.
    DuplicateMembers,
    /// `nbf` beyond the clock skew.
    NbfFuture,

    // Header and signature of the ID token.
    /// One key is published, the token names none: accept.
    KidAbsentSingleJwks,
    /// Several keys are published, the token names none: try all or refuse.
    KidAbsentMultipleJwks,
    /// The same with one key, and a signature by another: no key is tried until one fits.
    KidAbsentBadSignature,
    SigNone,
    /// `none` in capitals.
    SigNoneShouted,
    InvalidSigRs256,
    /// RS512: fits the key, isn't among `id_token_algorithms`.
    WrongAlg,
    /// HMAC with the public key's PEM as the secret.
    Hs256WithPublicKey,
    /// HMAC with the client secret, which isn't among `id_token_algorithms`.
    Hs256WithSecret,
    /// An attacker's key in `jwk`.
    EmbeddedJwk,
    /// The address of an attacker's key in `jku`; never fetched.
    EmbeddedJku,
    /// The same in `x5u`.
    EmbeddedX5u,
    /// An attacker's certificate in `x5c`.
    EmbeddedX5c,
    /// An unknown name in `crit`.
    Crit,
    /// `typ` of an access token.
    TypAccessToken,
    /// Five parts: encrypted.
    Encrypted,
    /// Larger than any ID token.
    TokenHuge,
    /// Not a JWT at all.
    TokenGarbage,

    // Userinfo.
    UserinfoInvalidSub,
    UserinfoMissingSub,
    /// A list instead of an object.
    UserinfoList,
    /// Takes the access token in a form alone, which is one of the ways and not ours.
    UserinfoBearerBodyOnly,
    UserinfoFails,

    // The authorization response.
    IssParamWrong,
    IssParamMissingThoughAdvertised,
    /// Never advertised, sent all the same, and of another issuer.
    IssParamWrongUnadvertised,
    IssParamTwice,
    /// `iss` is there and empty.
    IssParamEmpty,
    /// Never advertised, and not sent: accept.
    IssParamAbsentUnadvertised,
    /// An error response with another issuer's `iss`.
    IssParamWrongOnError,
    /// `iss` with a trailing slash.
    IssParamTrailingSlash,
    StateWrong,
    StateMissing,
    /// `error=access_denied`.
    AccessDenied,
    /// `error=login_required`.
    LoginRequired,
    /// `error=invalid_scope`.
    InvalidScope,
    /// `error=temporarily_unavailable`.
    TemporarilyUnavailable,
    /// A code and an error.
    CodeAndError,
    /// Neither a code nor an error.
    CodeMissing,
    /// Answers in the mode that wasn't asked for.
    OtherResponseMode,

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
    /// Every endpoint at an unusual path: accept.
    EndpointsElsewhere,
    /// No `end_session_endpoint`: accept.
    NoEndSession,
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
    /// No `expires_in`: accept.
    NoExpiresIn,
    /// Takes the client's secret in the header alone.
    BasicOnly,
    /// Takes the client's secret in the body alone.
    PostOnly,
    /// Knows nothing of PKCE: accept, but no code of another login.
    PkceIgnored,

    // The end of the session.
    /// Comes back with a state of its own.
    EndSessionOtherState,
    /// Comes back without a state.
    EndSessionNoState,

    /// Every connection is closed without an answer.
    Down,
}
