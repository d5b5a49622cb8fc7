//! Addresses and numbers as text. Every request writes a few, and the standard library's formatting
//! takes ten times as long for them.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Appends an address as its `Display` has it.
pub fn write_ip(text: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        // Writing to memory can't fail.
        let _ = write!(text, "{address}");
        return;
    };
    text.reserve("255.255.255.255".len());
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
}

/// Appends an address and its port as its `Display` has them.
pub fn write_socket(text: &mut Vec<u8>, address: SocketAddr) {
    if address.is_ipv6() {
        let _ = write!(text, "{address}");
    } else {
        write_ip(text, address.ip());
        text.push(b':');
        write_number(text, address.port().into());
    }
}

/// Appends a number in decimal digits.
pub fn write_number(text: &mut Vec<u8>, number: u64) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).unwrap()
    }

    proptest! {
        #[test]
        fn text_is_what_the_standard_library_writes(v4: u32, v6: u128, port: u16, number: u64) {
            for ip in [IpAddr::V4(Ipv4Addr::from_bits(v4)), IpAddr::V6(Ipv6Addr::from_bits(v6))] {
                prop_assert_eq!(written(|text| write_ip(text, ip)), ip.to_string());
                let socket = SocketAddr::new(ip, port);
                prop_assert_eq!(written(|text| write_socket(text, socket)), socket.to_string());
            }
            prop_assert_eq!(written(|text| write_number(text, number)), number.to_string());
        }
    }
}
