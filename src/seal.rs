//! Sealing: what leaves us in a cookie or a URL and must come back unread and unchanged.
//!
//! AES-256-GCM-SIV ([RFC 8452](https://www.rfc-editor.org/rfc/rfc8452)): a repeated nonce costs
//! nothing but the knowledge that two plaintexts are equal, so random nonces over many replicas and
//! months are safe. The key's id stands in front; the first key seals, all open. What is sealed for
//! one purpose, cookie name and origin opens for no other: they are the associated data.

use std::cell::RefCell;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a session key.
pub const KEY_BYTES: usize = 32;
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const HEAD: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;
const TAG_BYTES: usize = 16;
/// Random bytes drawn at once.
const POOL_BYTES: usize = 512;

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
        let parts = [self.purpose.label(), self.name, self.origin];
        let mut data = Vec::with_capacity(1 + parts.iter().map(|part| 8 + part.len()).sum::<usize>());
        data.push(VERSION);
        for part in parts {
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
        fill_directly(bytes.as_mut_slice());
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
        let mut sealed = Vec::with_capacity(HEAD + plaintext.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let Some(text) = sealed.get_mut(HEAD..) else { return String::new() };
        let aad = Aad::from(binding.associated_data());
        // Sealing fails only for plaintexts of gigabytes; then nothing is given out.
        let nonce = Nonce::assume_unique_for_key(nonce);
        let Ok(tag) = key.key.seal_in_place_separate_tag(nonce, aad, text) else { return String::new() };
        sealed.extend_from_slice(tag.as_ref());
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

/// Random bytes drawn ahead. A draw costs as much as sealing a login, however few bytes it gives.
struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES }) };
}

/// Fills `bytes` with random bytes for one use: ids, nonces, verifiers. Few at a time come from a
/// pool of this thread, where what is handed out is wiped.
///
/// # Panics
/// When the operating system has no randomness: nothing secure could follow.
pub fn fill_random(bytes: &mut [u8]) {
    if bytes.len() > POOL_BYTES / 8 {
        return fill_directly(bytes);
    }
    POOL.with_borrow_mut(|pool| {
        if pool.used + bytes.len() > POOL_BYTES {
            fill_directly(&mut pool.bytes);
            pool.used = 0;
        }
        let end = pool.used + bytes.len();
        match pool.bytes.get_mut(pool.used..end) {
            Some(drawn) => {
                bytes.copy_from_slice(drawn);
                drawn.zeroize();
                pool.used = end;
            }
            None => fill_directly(bytes),
        }
    });
}

#[expect(clippy::expect_used, reason = "without randomness nothing secure could follow")]
fn fill_directly(bytes: &mut [u8]) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const HERE: Binding<'_> =
        Binding { purpose: Purpose::Session, name: "__Host-vestibule", origin: "https://app.test" };

    fn keyring() -> Keyring {
        Keyring::new(&[MasterKey::random()]).unwrap()
    }

    fn opened(keyring: &Keyring, binding: Binding<'_>, sealed: &str) -> Option<Vec<u8>> {
        keyring.open(binding, sealed).ok().map(|plain| plain.to_vec())
    }

    #[rstest]
    #[case::purpose(Binding { purpose: Purpose::Login, ..HERE })]
    #[case::state(Binding { purpose: Purpose::State, ..HERE })]
    #[case::name(Binding { name: "__Host-vestibule.1", ..HERE })]
    #[case::origin(Binding { origin: "https://app.test:8443", ..HERE })]
    #[case::scheme(Binding { origin: "http://app.test", ..HERE })]
    #[case::moved_border(Binding { name: "__Host-vestibuleh", origin: "ttps://app.test", ..HERE })]
    fn opens_nowhere_but_where_it_belongs(#[case] elsewhere: Binding<'_>) {
        let keyring = keyring();
        let sealed = keyring.seal(HERE, b"kim");
        assert_eq!(opened(&keyring, HERE, &sealed).as_deref(), Some(&b"kim"[..]));
        assert_eq!(opened(&keyring, elsewhere, &sealed), None);
    }

    #[test]
    fn every_purpose_has_a_key_of_its_own() {
        let keyring = keyring();
        let ids: std::collections::HashSet<Vec<u8>> = Purpose::ALL
            .into_iter()
            .map(|purpose| keyring.seal(Binding { purpose, ..HERE }, b"kim"))
            .map(|sealed| URL_SAFE_NO_PAD.decode(sealed).unwrap()[1..=KEY_ID_BYTES].to_vec())
            .collect();
        assert_eq!(ids.len(), Purpose::ALL.len());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let keyring = keyring();
        let sealed = keyring.seal(HERE, b"a session");
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = URL_SAFE_NO_PAD.encode(flipped);
            assert_eq!(keyring.open(HERE, &flipped), Err(Unopened), "bit {bit}");
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let keyring = keyring();
        let sealed = keyring.seal(HERE, b"a session").into_bytes();
        for at in 0..sealed.len() {
            for bit in 0..7 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(keyring.open(HERE, &changed), Err(Unopened), "{changed}");
            }
        }
    }

    #[test]
    fn every_truncation_and_extension_is_noticed() {
        let keyring = keyring();
        let sealed = keyring.seal(HERE, b"a session");
        for length in 0..sealed.len() {
            assert_eq!(keyring.open(HERE, &sealed[..length]), Err(Unopened), "{length}");
        }
        for tail in ["A", "AA", "AAAA", "=", "==", "%3D", "\"", " ", "\n"] {
            assert_eq!(keyring.open(HERE, &format!("{sealed}{tail}")), Err(Unopened), "{tail:?}");
            assert_eq!(keyring.open(HERE, &format!("{tail}{sealed}")), Err(Unopened), "{tail:?}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = (MasterKey::random(), MasterKey::random());
        let before = Keyring::new(std::slice::from_ref(&old)).unwrap();
        let rotated = Keyring::new(&[new.clone(), old]).unwrap();
        let after = Keyring::new(&[new]).unwrap();
        let (first, second) = (before.seal(HERE, b"kim"), rotated.seal(HERE, b"kim"));
        assert!(rotated.open(HERE, &first).is_ok() && rotated.open(HERE, &second).is_ok());
        assert_eq!(after.open(HERE, &first), Err(Unopened));
        assert!(after.open(HERE, &second).is_ok());
        assert_eq!(before.open(HERE, &second), Err(Unopened));
        assert!(rotated.is_current(Purpose::Session, &second));
        assert!(!rotated.is_current(Purpose::Session, &first));
        assert!(!rotated.is_current(Purpose::Session, ""));
    }

    #[test]
    fn a_keyring_needs_a_key() {
        assert!(matches!(Keyring::new(&[]), Err(NotAKey)));
    }

    #[test]
    fn the_same_text_is_never_sealed_alike() {
        let keyring = keyring();
        assert_ne!(keyring.seal(HERE, b"kim"), keyring.seal(HERE, b"kim"));
    }

    #[rstest]
    #[case::base64url("_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-8", true)]
    #[case::padded("_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-8=", true)]
    #[case::standard("/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+8=", true)]
    #[case::line_break("_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-8\n", true)]
    #[case::short("_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_w", false)]
    #[case::long("_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-", false)]
    #[case::loose_bits("_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-9", false)]
    #[case::hexadecimal("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false)]
    #[case::empty("", false)]
    fn a_key_has_32_bytes(#[case] text: &str, #[case] is_key: bool) {
        assert_eq!(MasterKey::parse(text).is_ok(), is_key);
    }

    #[test]
    fn a_printed_key_is_read_again_as_itself() {
        let key = MasterKey::random();
        let sealed = Keyring::new(std::slice::from_ref(&key)).unwrap().seal(HERE, b"kim");
        let read = MasterKey::parse(&key.to_base64url()).unwrap();
        assert!(Keyring::new(&[read]).unwrap().open(HERE, &sealed).is_ok());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let key = MasterKey::random();
        assert_eq!(format!("{key:?}"), "MasterKey(…)");
        assert_eq!(format!("{:?}", Keyring::new(&[key]).unwrap()), "Keyring { .. }");
    }

    #[test]
    fn hashes_the_vector_of_fips_180() {
        let expected = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(URL_SAFE_NO_PAD.encode(sha256(b"abc")), expected);
    }

    #[test]
    fn no_drawn_bytes_come_twice_whatever_their_number() {
        let mut seen = std::collections::HashSet::new();
        for round in 0..2000 {
            // Sixteen bytes of a draw are looked at: that two are equal by chance doesn't happen.
            let mut bytes = vec![0; 16 + round % 100];
            fill_random(&mut bytes);
            assert!(bytes.windows(16).all(|window| window != [0; 16]));
            assert!(seen.insert(bytes[..16].to_vec()));
            assert!(seen.insert(bytes[bytes.len() - 16..].to_vec()) || bytes.len() == 16);
        }
    }

    #[rstest]
    #[case::out_of_an_empty_pool(POOL_BYTES, 1, 1)]
    #[case::as_many_as_it_gives(1, POOL_BYTES / 8, 1 + POOL_BYTES / 8)]
    #[case::more_than_it_gives(1, POOL_BYTES / 8 + 1, 1)]
    #[case::to_the_last_byte(POOL_BYTES - 8, 8, POOL_BYTES)]
    #[case::more_than_is_left(POOL_BYTES - 8, 9, 9)]
    fn few_bytes_come_out_of_the_pool_and_many_do_not(
        #[case] used: usize,
        #[case] number: usize,
        #[case] used_then: usize,
    ) {
        POOL.with_borrow_mut(|pool| pool.used = used);
        fill_random(&mut vec![0; number]);
        // Left empty: nothing undrawn is given out to a test on the same thread.
        let left = POOL.with_borrow_mut(|pool| std::mem::replace(&mut pool.used, POOL_BYTES));
        assert_eq!(left, used_then);
    }

    #[test]
    fn random_tokens_have_the_bytes_asked_for() {
        assert_eq!(random_token::<32>().len(), 43);
        assert_ne!(random_token::<32>(), random_token::<32>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_sealed_opens_as_it_was(plain in proptest::collection::vec(any::<u8>(), 0..600), name in "[ -~]{0,20}") {
            let keyring = keyring();
            let binding = Binding { name: &name, ..HERE };
            let sealed = keyring.seal(binding, &plain);
            prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert!(sealed.len() <= plain.len().div_ceil(3) * 4 + 45);
            prop_assert_eq!(opened(&keyring, binding, &sealed), Some(plain));
        }

        #[test]
        fn what_was_not_sealed_never_opens(text in "\\PC*|[A-Za-z0-9_-]{0,200}") {
            prop_assert_eq!(keyring().open(HERE, &text), Err(Unopened));
        }

        #[test]
        fn different_bindings_have_different_associated_data(
            one in ("[ab]{0,3}", "[ab]{0,3}"),
            other in ("[ab]{0,3}", "[ab]{0,3}"),
        ) {
            prop_assume!(one != other);
            let data = |(name, origin): &(String, String)| Binding { name, origin, ..HERE }.associated_data();
            prop_assert_ne!(data(&one), data(&other));
        }
    }
}
