//! Sealing: what leaves us in a cookie or a URL and must come back unread and unchanged.
//!
//! AES-256-GCM-SIV ([RFC 8452](https://www.rfc-editor.org/rfc/rfc8452)): a repeated nonce costs
//! nothing but the knowledge that two plaintexts are equal, so random nonces over many replicas and
//! months are safe. The key's id stands in front; the first key seals, all open. What is sealed for
//! one purpose, cookie name and origin opens for no other: they are the associated data.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Bytes of a session key.
pub const KEY_BYTES: usize = 32;
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const HEAD: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// What a sealed value is for; each purpose has keys of its own, derived by HKDF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A whole session in a cookie.
    Session,
    /// One login attempt in a cookie.
    Login,
    /// The `state` parameter of an authorization request.
    State,
    /// The loop guard's count in a cookie.
    LoopGuard,
    /// The `state` parameter of a sign-out at the provider.
    SignOut,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Session, Self::Login, Self::State, Self::LoopGuard, Self::SignOut];

    const fn label(self) -> &'static str {
        match self {
            Self::Session => "vestibule session v1",
            Self::Login => "vestibule login v1",
            Self::State => "vestibule state v1",
            Self::LoopGuard => "vestibule loop guard v1",
            Self::SignOut => "vestibule sign-out v1",
        }
    }
}

/// Where a sealed value belongs: purpose, cookie (or parameter) name, origin.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Purpose.
    pub purpose: Purpose,
    /// Name of the cookie or parameter.
    pub name: &'a str,
    /// Origin as written by its `Display`.
    pub origin: &'a str,
}

impl Binding<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let mut data = vec![VERSION];
        for part in [self.purpose.label(), self.name, self.origin] {
            // Lengths stand in front, so that no two bindings have the same bytes.
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// A session key is not 32 bytes of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session key is 32 bytes in base64url; `vestibule key` makes one")]
pub struct NotAKey;

/// The value can't be opened here; deliberately without a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("open a sealed value")]
pub struct Unopened;

/// A 32-byte key as an operator writes it.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// A fresh random key.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill_random(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Reads base64url with or without padding; standard base64 passes too, since operators have
    /// keys made by `openssl rand -base64 32`.
    ///
    /// # Errors
    /// [`NotAKey`] for another alphabet or length.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let plain: Zeroizing<String> = Zeroizing::new(
            text.trim()
                .trim_end_matches('=')
                .chars()
                .map(|c| match c {
                    '+' => '-',
                    '/' => '_',
                    other => other,
                })
                .collect(),
        );
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(plain.as_bytes()).map_err(|_| NotAKey)?);
        let bytes: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| NotAKey)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// The key as `vestibule key` prints it.
    #[must_use]
    pub fn to_base64url(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }
}

struct PurposeKey {
    id: [u8; KEY_ID_BYTES],
    key: LessSafeKey,
}

/// The keys of a gateway: the first seals, all open.
pub struct Keyring {
    /// `keys[purpose]`, each in the order of the configuration.
    keys: Vec<Vec<PurposeKey>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").finish_non_exhaustive()
    }
}

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        KEY_BYTES + KEY_ID_BYTES
    }
}

impl Keyring {
    /// Derives the keys of every purpose from at least one master key.
    ///
    /// # Errors
    /// [`NotAKey`] when there is none.
    pub fn new(masters: &[MasterKey]) -> Result<Self, NotAKey> {
        if masters.is_empty() {
            return Err(NotAKey);
        }
        let derive = |purpose: Purpose| {
            masters.iter().map(|master| PurposeKey::derive(master, purpose)).collect::<Result<_, _>>()
        };
        let keys = Purpose::ALL.into_iter().map(derive).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    fn of(&self, purpose: Purpose) -> &[PurposeKey] {
        let index = Purpose::ALL.iter().position(|&p| p == purpose).unwrap_or_default();
        self.keys.get(index).map_or(&[], Vec::as_slice)
    }

    /// Seals `plaintext`: base64url without padding, about 4/3 of the plaintext and 44 bytes long.
    #[must_use]
    pub fn seal(&self, binding: Binding<'_>, plaintext: &[u8]) -> String {
        let Some(key) = self.of(binding.purpose).first() else { return String::new() };
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce);
        let mut sealed = Vec::with_capacity(HEAD + plaintext.len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        let mut text = plaintext.to_vec();
        let aad = Aad::from(binding.associated_data());
        // Sealing fails only for plaintexts of gigabytes; then nothing is given out.
        if key.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).is_err() {
            return String::new();
        }
        sealed.extend_from_slice(&text);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens what was sealed for the same binding with any of the keys.
    ///
    /// # Errors
    /// [`Unopened`], whatever the reason.
    pub fn open(&self, binding: Binding<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Unopened)?;
        let (head, text) = bytes.split_at_mut_checked(HEAD).ok_or(Unopened)?;
        let (&version, head) = head.split_first().ok_or(Unopened)?;
        let (id, nonce) = head.split_at(KEY_ID_BYTES);
        if version != VERSION {
            return Err(Unopened);
        }
        let key = self.of(binding.purpose).iter().find(|key| key.id == id).ok_or(Unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
        let aad = Aad::from(binding.associated_data());
        let plain = key.key.open_in_place(nonce, aad, text).map_err(|_| Unopened)?.len();
        bytes.drain(..HEAD);
        bytes.truncate(plain);
        Ok(Zeroizing::new(bytes))
    }

    /// Whether a sealed value was sealed by the key that seals now.
    #[must_use]
    pub fn is_current(&self, purpose: Purpose, sealed: &str) -> bool {
        let id = self.of(purpose).first().map(|key| key.id);
        // 8 base64 characters hold version and key id.
        let head = sealed.get(..8).and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
        head.as_deref().and_then(|head| head.get(1..=KEY_ID_BYTES)) == id.as_ref().map(<[u8; 4]>::as_slice)
    }
}

impl PurposeKey {
    fn derive(master: &MasterKey, purpose: Purpose) -> Result<Self, NotAKey> {
        let pseudo_random = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule").extract(master.0.as_slice());
        let info = [purpose.label().as_bytes()];
        let mut bytes = Zeroizing::new([0; KEY_BYTES + KEY_ID_BYTES]);
        let okm = pseudo_random.expand(&info, KeyLength).map_err(|_| NotAKey)?;
        okm.fill(bytes.as_mut_slice()).map_err(|_| NotAKey)?;
        let (key, id) = bytes.split_at(KEY_BYTES);
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).map_err(|_| NotAKey)?;
        Ok(Self { id: id.try_into().map_err(|_| NotAKey)?, key: LessSafeKey::new(key) })
    }
}

/// Fills `bytes` from the operating system's generator.
///
/// # Panics
/// When the operating system has no randomness: nothing secure could follow.
#[expect(clippy::expect_used, reason = "without randomness nothing secure could follow")]
pub fn fill_random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
}

/// `N` random bytes in base64url.
#[must_use]
pub fn random_token<const N: usize>() -> String {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}
