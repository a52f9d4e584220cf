//! Real examples of every pattern, and near misses that must stay.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// The text with everything found in it replaced by `<pattern>`.
fn marked(text: &str) -> String {
    let mut all = Vec::new();
    find(text.as_bytes(), |_| true, |pattern, range| all.push((range, pattern)));
    all.sort_by_key(|(range, _)| range.start);
    let mut out = String::new();
    let mut at = 0;
    for (range, pattern) in all {
        if range.start >= at {
            out.push_str(&text[at..range.start]);
            out.push_str(&format!("<{}>", Pattern::ALL[pattern as usize].0));
        }
        at = at.max(range.end);
    }
    out.push_str(&text[at..]);
    out
}

#[track_caller]
fn finds(pattern: &str, examples: &[&str]) {
    for example in examples {
        assert_eq!(marked(example), format!("<{pattern}>"), "{example}");
        for (left, right) in [("a ", " b"), ("(", ")"), ("_", "_"), ("=", "&"), ("ü", ","), (" ", ".")] {
            assert_eq!(marked(&format!("{left}{example}{right}")), format!("{left}<{pattern}>{right}"), "{example}");
        }
    }
}

#[track_caller]
fn stay(texts: &[&str]) {
    for text in texts {
        assert_eq!(marked(text), *text);
    }
}

#[test]
fn the_patterns_are_listed_in_their_order() {
    for (number, (_, pattern)) in Pattern::ALL.iter().enumerate() {
        assert_eq!(*pattern as usize, number);
    }
}

#[test]
fn e_mail_addresses() {
    let table = [
        ("jane@example.com", "<email>"),
        ("<jane.doe+tag@mail.example.co.uk>", "<<email>>"),
        ("mailto:o'brien@example.org?x", "mailto:<email>?x"),
        ("to jane@example.com.", "to <email>."),
        ("jörg@bücher.example", "<email>"),
        ("a@xn--bcher-kva.xn--p1ai", "<email>"),
        ("a@b.co,c@d.co", "<email>,<email>"),
        ("a@b@c.de", "a@<email>"),
        ("49301234567@fax.example", "<email>"),
    ];
    for (text, expected) in table {
        assert_eq!(marked(text), expected, "{text}");
    }
    stay(&["@", "a@", "@b.com", "jane@localhost", "lodash@4.17.21", "@angular/core@17", "a@b.c", "a@.com", "a @b.com"]);
}

#[test]
fn payment_cards() {
    finds(
        "card",
        &[
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "4111+1111+1111+1111",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "30569309025904",
            "3056 930902 5904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "6759649826438453",
            "4000000000000000006",
        ],
    );
    assert_eq!(marked("order-4111111111111111"), "order-<card>");
    assert_eq!(marked("4111 1111 1111 1111 12/27 123"), "<card> 12/27 123");
    assert_eq!(marked("17 4111111111111111"), "17 <card>");
    stay(&[
        "4111111111111112",
        "4111111111111116",
        "411111111111",
        "41111111111111111111",
        "1764000000000",
        "1764000000000000",
        "1764000000000000006",
        "4444444444444444444",
        "x4111111111111111",
        "4111111111111111x",
        "41 11 11 11 11 11 11 11",
        "4111-1111 1111-1111",
        "4111--1111--1111--1111",
        "1234567812345670",
        "0000000000000000",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "41111111-1111-1111-1111-111111111111",
        "550e8400-e29b-41d4-a716-446655440000",
    ]);
}

#[test]
fn tokens() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.";
    let encrypted = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..fUlVn2Yq1aw7b_hE.c2VjcmV0.J8Bqy1r0";
    for token in [jwt, unsigned, encrypted] {
        assert_eq!(marked(token), "<jwt>");
        assert_eq!(marked(&format!("x {token} y")), "x <jwt> y");
        assert_eq!(marked(&format!("Bearer {token}")), "Bearer <jwt>");
        assert_eq!(marked(&format!("a.{token}")), "a.<jwt>");
    }
    assert_eq!(marked(&format!("token_{jwt}")), "token_<jwt>");
    assert_eq!(marked("eyJeyJeyJeyJeyJ eyJhbGciOiJub25lIn0.eyJz"), "eyJeyJeyJeyJeyJ <jwt>");
    stay(&[
        "eyJhbGciOiJub25lIn0",
        "eyJ.eyJ.x",
        "eyJhbGciOiJub25lIn0.x",
        "www.example.com",
        "eyJhbGciOiJub25lIn0 .abcd",
    ]);

    let table = [
        ("Bearer mF_9.B5f-4.1JqM", "Bearer <bearer>"),
        ("bearer   abcdefg1", "bearer   <bearer>"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic <bearer>"),
        ("BEARER+ab12cd34==", "BEARER+<bearer>"),
        ("Token 9944b09199c62bcf9418, x", "Token <bearer>, x"),
    ];
    for (text, expected) in table {
        assert_eq!(marked(text), expected, "{text}");
    }
    stay(&[
        "bearer of news",
        "Bearer Authentication",
        "basic training",
        "Bearer",
        "Bearer ",
        "Bearer abc1",
        "xBearer abcdefg1",
    ]);

    assert_eq!(marked("postgres://app:hunter2@db/x?y"), "postgres://<userinfo>@db/x?y");
    assert_eq!(marked("https://a@b@c/ and http://d@e"), "https://<userinfo>@c/ and http://<userinfo>@e");
    stay(&["https://example.com/@jane", "http://@x", "://"]);
}

#[test]
fn telephone_numbers() {
    finds(
        "phone",
        &[
            "+4930123456",
            "+49 30 1234567",
            "+49 (30) 123-4567",
            "+1-212-555-0123",
            "+1 (212) 555-0123",
            "+442079460958",
            "+33.1.23.45.67.89",
            "+44 20 7946 0958",
            "+123456789012345",
            "0049 30 1234567",
            "00491701234567",
            "030 1234567",
            "0171/1234567",
            "0171-1234567",
            "(0171) 123 45 67",
            "01 23 45 67 89",
            "020 7946 0958",
            "(212) 555-0123",
            "212-555-0123",
            "212.555.0123",
            "212 555 0123",
            "1-212-555-0123",
        ],
    );
    assert_eq!(marked("+49 (30) 1234567 or +1 212 555 0123"), "<phone> or <phone>");
    stay(&[
        "1764000000",
        "1764000000000",
        "20261120195815",
        "2026-11-20T19:58:15Z",
        "2026-11-20 19:58:15.123456",
        "017012345",
        "0000001234567890",
        "04-11-2024",
        "04-11-2024 10:30",
        "04-11-2024-001",
        "04/11/2024 1030",
        "192.168.100.200",
        "10.0.0.1:8080",
        "+1234567",
        "+0123456789",
        "+1234567890123456",
        "a+4930123456",
        "1+23456789",
        "112-555-0123",
        "212-155-0123",
        "212-555-01234",
        "9-212-555-0123-4",
        "1.2.3.4",
        "v1.20.300",
        "555-0123",
        "0.123456789",
        "550e8400-e29b-41d4-a716-446655440000",
        "02-12345",
    ]);
}

#[test]
fn national_ids() {
    finds(
        "national_id",
        &[
            "123-45-6789",
            "078-05-1120",
            "AB123456C",
            "AB 12 34 56 C",
            "ab123456d",
            "86095742719",
            "86 095 742 719",
            "47036892816",
            "65929970489",
            "12345678Z",
            "12345678-Z",
            "12345678z",
            "X1234567L",
            "Y1234567X",
            "Z1234567R",
            "RSSMRA85T10A562S",
            "rssmra85t10a562s",
            "184127645108946",
            "1 84 12 76 451 089 46",
            "811228-9874",
            "811228+9874",
            "19811228-9874",
            "44051401359",
            "02070803628",
        ],
    );
    stay(&[
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-4567",
        "123-45-0000",
        "123456789",
        "123-45-67890",
        "1-123-45-6789",
        "123-45-6789-0",
        "DA123456C",
        "GB123456A",
        "AB123456E",
        "AB12345C",
        "at 123456 a",
        "86095742718",
        "08695742714",
        "12345678901",
        "11111111111",
        "12345678A",
        "X1234567A",
        "RSSMRA85T10A562T",
        "ABCDEF85T10A562S",
        "184127645108947",
        "811228-9873",
        "811328-9874",
        "8112289874",
        "198112289874",
        "44051401358",
        "44951401359",
    ]);
}

#[test]
fn a_corsican_nir_counts_its_letter() {
    // 2A is 19 and 2B is 18 where the key is made.
    for (department, counted) in [("2A", "19"), ("2B", "18")] {
        let number: u64 = format!("18412{counted}451089").parse().unwrap();
        let nir = format!("18412{department}451089{:02}", 97 - number % 97);
        assert_eq!(marked(&nir), "<national_id>");
    }
}

#[test]
fn ibans() {
    finds(
        "iban",
        &[
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "de89370400440532013000",
            "DE89-3704-0044-0532-0130-00",
            "GB29NWBK60161331926819",
            "GB29 NWBK 6016 1331 9268 19",
            "FR1420041010050500013M02606",
            "NL91ABNA0417164300",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "ES9121000418450200051332",
            "CH9300762011623852957",
            "PL61109010140000071219812874",
            "SE4550000000058398257466",
        ],
    );
    assert_eq!(marked("DE89 3704 0044 0532 0130 00 please"), "<iban> please");
    stay(&[
        "DE88370400440532013000",
        "DE90370400440532013000",
        "DE8937040044053201300",
        "DE893704004405320130000",
        "XX89370400440532013000",
        "DE8 9370400440532013000",
        "DE89 370400440532013000",
    ]);
}
