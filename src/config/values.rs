//! Values with a grammar of their own: durations, sizes, rates, networks, and the shapes that hold
//! them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::decode::told;
use super::fault::COMES_LATER;

/// A duration: `30s`, `15m`, `8h`, `1h30m`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

/// A number of bytes: `64KiB`, `1MiB`, `1GiB`, `512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// So many a second: `20/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u32);

/// Addresses in CIDR notation: `10.0.0.0/8`; one address alone is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

/// A text that may be written without quotes where YAML reads a number or a boolean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar(pub(crate) String);

/// `auto` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// `auto`.
    Auto,
    /// This many.
    Exactly(u64),
}

/// The value of a key whose feature isn't built yet; to write the key is the fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Later {}

/// A key whose feature isn't built yet; `false` says what is so already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaterUnlessFalse;

/// A short text, or the whole of it as keys.
#[derive(Debug)]
pub(crate) enum Short<T> {
    /// The short form.
    Text(String),
    /// The long one.
    Full(T),
}

/// A list whose faulty items are `None`, so that the others keep their places.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct List<T>(Vec<Option<T>>);

/// A map with names of the operator's own, in the order of the file.
#[derive(Debug)]
pub(crate) struct Named<T>(Vec<(String, T)>);

impl<T> List<T> {
    /// Items with their places in the file.
    pub(crate) fn items(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }

    /// Whether nothing was written between the brackets.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were written, faulty ones too.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Named<T> {
    /// Names and values in the order of the file.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

const DURATION: &str = "a number with a unit: 30s, 15m, 8h, 1h30m or 500ms";
const NETWORK: &str = "a network in CIDR notation, such as 10.4.0.0/24 or 2001:db8::/48";
const SIZE: &str = "64KiB, 1MiB, 1GiB, or a number of bytes";

impl Period {
    fn parse(text: &str) -> Option<Self> {
        let units =
            [("h", Duration::from_hours(1)), ("m", Duration::from_mins(1)), ("s", Duration::from_secs(1))];
        let units = units.into_iter().chain([("ms", Duration::from_millis(1))]).collect::<Vec<_>>();
        let mut rest = text;
        let mut sum = Duration::ZERO;
        // Each unit once, from hours down; `ms` is a word of its own, not minutes.
        let mut allowed = units.as_slice();
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            let place = allowed.iter().position(|(name, _)| *name == unit)?;
            let (_, length) = allowed.get(place)?;
            sum = sum.checked_add(length.checked_mul(number.parse().ok()?)?)?;
            allowed = allowed.get(place + 1..)?;
            rest = after;
        }
        (!text.is_empty()).then_some(Self(sum))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
            let count = millis / length;
            millis %= length;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl Rate {
    fn parse(text: &str) -> Option<Self> {
        text.strip_suffix("/s")?.parse().ok().filter(|rate| *rate > 0).map(Self)
    }
}

/// `Deserialize` for a value written as text, and sometimes as a number.
struct Written<T> {
    expecting: &'static str,
    example: &'static str,
    text: fn(&str) -> Option<T>,
    number: fn(u64) -> Result<T, String>,
}

impl<T> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).ok_or_else(|| {
            let written: String = text.escape_debug().take(40).collect();
            told(&format!("expects {}, not `{written}`", self.expecting), self.example)
        })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        (self.number)(number).map_err(|write| told(&format!("expects {}", self.expecting), &write))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = |number| match number {
            0 => Ok(Self(Duration::ZERO)),
            more => Err(format!("a unit behind the number: {more}s, {more}m or {more}h")),
        };
        deserializer.deserialize_any(Written {
            expecting: "a duration",
            example: DURATION,
            text: Self::parse,
            number,
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = |number| Ok(Self(number));
        deserializer.deserialize_any(Written {
            expecting: "a size",
            example: SIZE,
            text: Self::parse,
            number,
        })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = |number| Err(format!("{number}/s"));
        deserializer.deserialize_any(Written {
            expecting: "a rate",
            example: "so many a second, such as 20/s",
            text: Self::parse,
            number,
        })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |text: &str| {
            let network = text.parse().ok();
            network.or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?))).map(Self)
        };
        let number = |_| Err(NETWORK.to_owned());
        deserializer.deserialize_any(Written { expecting: "a network", example: NETWORK, text, number })
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |text: &str| (text == "auto").then_some(Self::Auto);
        let number = |number| match number {
            0 => Err("auto, or a number from 1 up".to_owned()),
            count => Ok(Self::Exactly(count)),
        };
        deserializer.deserialize_any(Written {
            expecting: "auto or a whole number",
            example: "auto",
            text,
            number,
        })
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn later<E: Error>() -> E {
    told(&format!("{COMES_LATER}: this release doesn't have it yet"), "nothing: leave the key out")
}

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(later())
    }
}

impl<'de> Deserialize<'de> for LaterUnlessFalse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct False;
        impl<'de> Visitor<'de> for False {
            type Value = LaterUnlessFalse;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("false")
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<LaterUnlessFalse, E> {
                if value { Err(later()) } else { Ok(LaterUnlessFalse) }
            }
            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<LaterUnlessFalse, A::Error> {
                Err(later())
            }
        }
        deserializer.deserialize_any(False)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Short<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or keys")
            }
            fn visit_str<E>(self, text: &str) -> Result<Short<T>, E> {
                Ok(Short::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Short<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short::Full)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// `JsonSchema` written inline, without a name of its own.
macro_rules! schema {
    ($name:ident $(<$inner:ident>)?, |$generator:ident| $schema:expr) => {
        impl $(<$inner: JsonSchema>)? JsonSchema for $name $(<$inner>)? {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

schema!(Period, |_generator| json_schema!({
    "type": "string",
    "pattern": "^(?=.)([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
}));
schema!(Size, |_generator| json_schema!({
    "anyOf": [
        { "type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)?$" },
        { "type": "integer", "minimum": 0 }
    ]
}));
schema!(Rate, |_generator| json_schema!({ "type": "string", "pattern": "^[1-9][0-9]*/s$" }));
schema!(Network, |_generator| json_schema!({ "type": "string" }));
schema!(Scalar, |_generator| json_schema!({ "type": ["string", "integer", "boolean"] }));
schema!(Count, |_generator| json_schema!({
    "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1 }]
}));
schema!(Later, |_generator| json_schema!({ "not": {} }));
schema!(LaterUnlessFalse, |_generator| json_schema!({ "const": false }));
schema!(Short<T>, |generator| json_schema!({
    "anyOf": [{ "type": "string" }, generator.subschema_for::<T>()]
}));
schema!(List<T>, |generator| json_schema!({ "type": "array", "items": generator.subschema_for::<T>() }));
schema!(Named<T>, |generator| json_schema!({
    "type": "object",
    "additionalProperties": generator.subschema_for::<T>()
}));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("30s", Some(30_000))]
    #[case("15m", Some(900_000))]
    #[case("8h", Some(28_800_000))]
    #[case("1h30m", Some(5_400_000))]
    #[case("500ms", Some(500))]
    #[case("1m500ms", Some(60_500))]
    #[case("0s", Some(0))]
    #[case("30", None)]
    #[case("s", None)]
    #[case("", None)]
    #[case("-3s", None)]
    #[case("1.5h", None)]
    #[case("30m1h", None)]
    #[case("1h1h", None)]
    #[case("1 h", None)]
    #[case("30x", None)]
    #[case("99999999999999999999h", None)]
    #[case("4294967295h", Some(15_461_882_262_000_000))]
    fn reads_durations(#[case] text: &str, #[case] millis: Option<u128>) {
        assert_eq!(Period::parse(text).map(|period| period.0.as_millis()), millis);
    }

    #[rstest]
    #[case("64KiB", Some(65_536))]
    #[case("1 MiB", Some(1_048_576))]
    #[case("1GiB", Some(1_073_741_824))]
    #[case("512", Some(512))]
    #[case("512B", Some(512))]
    #[case("64KB", None)]
    #[case("64k", None)]
    #[case("KiB", None)]
    #[case("99999999999GiB", None)]
    fn reads_sizes(#[case] text: &str, #[case] bytes: Option<u64>) {
        assert_eq!(Size::parse(text).map(|size| size.0), bytes);
    }

    #[rstest]
    #[case("20/s", Some(20))]
    #[case("0/s", None)]
    #[case("20", None)]
    #[case("20/m", None)]
    fn reads_rates(#[case] text: &str, #[case] rate: Option<u32>) {
        assert_eq!(Rate::parse(text).map(|rate| rate.0), rate);
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_as_written(millis in 0_u64..1_000_000_000_000) {
            let period = Period(Duration::from_millis(millis));
            prop_assert_eq!(Period::parse(&period.to_string()), Some(period));
        }

        #[test]
        fn values_never_panic(text in "\\PC{0,20}") {
            let _ = (Period::parse(&text), Size::parse(&text), Rate::parse(&text));
        }
    }
}
